package accounts

import (
	"fmt"
	"strconv"
)

// A Home is a folder considered as the home of a uid.
type Home struct {
	Path string
	UID  uint32
}

// settleHome gives a user another home if another uid owns the usual one, whatever
// is in that folder by now: a profile that was left there would run as the user. The
// other home lies beside it and has the uid in its path, so that no second person of
// the name ever gets it. If that one belongs to another, too, the user has none.
func (p *plan) settleHome(u *User, result *Result) {
	usual := u.Home
	owner, foreign := p.considerHome(usual, u.UID, result)
	if !foreign {
		return
	}
	f := Finding{Kind: "user", ID: u.ID, DirectoryName: u.Gecos, UnixID: u.UID, Reason: HomeTaken}
	u.Home = usual + "-" + strconv.FormatUint(uint64(u.UID), 10)
	if second, taken := p.considerHome(u.Home, u.UID, result); taken {
		f.Detail = fmt.Sprintf("has no home: uid %d owns the folder %s, and uid %d the folder %s", owner, quoted(usual),
			second, quoted(u.Home))
		u.Home = formerHome
	} else {
		f.Detail = fmt.Sprintf("has the home %s: uid %d owns the folder %s", quoted(u.Home), owner, quoted(usual))
	}
	f.Remedy = fmt.Sprintf("find out whose files %s holds; move the folder away, or, if all of it is this user's, run "+
		"\"chown -R -h %d:%d %s\"", quoted(usual), u.UID, u.UID, usual)
	p.homeFindings = append(p.homeFindings, f)
}

// considerHome notes that a folder may become a home, and reports whose it is.
func (p *plan) considerHome(path string, uid uint32, result *Result) (owner uint32, foreign bool) {
	result.Homes = append(result.Homes, Home{path, uid})
	owner, foreign = p.in.ForeignHomes[path]
	return owner, foreign && owner != uid
}
