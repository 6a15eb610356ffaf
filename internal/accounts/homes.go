package accounts

import (
	"fmt"
	"math"
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
		f.Detail = fmt.Sprintf("has no home: %s, and %s", whose(owner, usual), whose(second, u.Home))
		u.Home = formerHome
	} else {
		f.Detail = fmt.Sprintf("has the home %s: %s", quoted(u.Home), whose(owner, usual))
	}
	f.Remedy = fmt.Sprintf("find out whose files %s holds; move the folder away, or, if all of it is this user's, run "+
		"\"chown -R -h %d:%d %s\"", quoted(usual), u.UID, u.UID, usual)
	p.homeFindings = append(p.homeFindings, f)
}

// Anybody in place of an owner says that a folder is root's and others may write to it: what is
// in it may be anybody's. No file has this uid: chown(2) takes it for "leave it".
const Anybody uint32 = math.MaxUint32

func whose(owner uint32, path string) string {
	if owner == Anybody {
		return fmt.Sprintf("others may write to the folder %s, which is root's", quoted(path))
	}
	return fmt.Sprintf("uid %d owns the folder %s", owner, quoted(path))
}

// considerHome notes that a folder may become a home, and reports whose it is.
func (p *plan) considerHome(path string, uid uint32, result *Result) (owner uint32, foreign bool) {
	result.Homes = append(result.Homes, Home{path, uid})
	owner, foreign = p.in.ForeignHomes[path]
	return owner, foreign && owner != uid
}
