package door

import "slices"

// A state is what has become of a person, who is named after it.
type state struct {
	name  string
	title string // the column's

	out   bool // the directory has let the person go, and nobody may come in
	plain bool // the person has no right to sudo
	// No refresh knows yet.
	unknown bool
	// The key in IAM opens nothing.
	keyless bool
	// A former row: shell nologin, no home.
	former bool
	// The name is another person's, who may come in.
	another bool
}

// The states in the order of the columns.
var states = []state{
	{name: "active", title: "active"},
	{name: "inactive", title: "key inactive", keyless: true},
	{name: "early", title: "out, no refresh yet", out: true, unknown: true},
	{name: "pending", title: "pending removal", out: true},
	{name: "held", title: "held back", out: true},
	{name: "former", title: "former", out: true, former: true},
	{name: "again", title: "recreated", out: true, former: true, another: true},
	{name: "demoted", title: "demoted", plain: true},
	{name: "orphan", title: "login group deleted", out: true},
	{name: "fallen", title: "sudo group deleted", plain: true},
	{name: "stale", title: "IAM unreachable too long", out: true},
}

// A verdict is where a way leads.
type verdict string

const (
	in   verdict = "in"
	no   verdict = "no"
	root verdict = "root"
	// Another person, who has the name now, comes in.
	newcomer verdict = "the new person"
)

// A way in is one row of a table.
type way struct {
	id    string // as ways.sh prints it
	title string
	rule  rule
}

// A rule says where a way leads, for a person in this state, where sshd has
// this UsePAM.
type rule func(s state, pam string) verdict

// mayComeIn is the rule of everything that asks PAM's account phase.
func (s state) mayComeIn() verdict {
	if s.out {
		return no
	}
	return in
}

// byName is the same for what knows a name and no uid.
func (s state) byName() verdict {
	if s.another {
		return newcomer
	}
	return s.mayComeIn()
}

// sudo is the rule of sudo, once somebody is in.
func (s state) sudo() verdict {
	if s.out || s.plain {
		return no
	}
	return root
}

// iamKey is the rule of a key that was uploaded to IAM.
func iamKey(s state, _ string) verdict {
	if s.keyless {
		return no
	}
	return s.mayComeIn()
}

// ownKey is the rule of a key in the person's home, as setup has it.
func ownKey(state, string) verdict { return no }

// allowedKey is the rule of the same key with keys.own_file = "allow". Without
// PAM nobody is asked; former people have no home that sshd could look into.
func allowedKey(s state, pam string) verdict {
	switch {
	case pam == "yes":
		return s.mayComeIn()
	case s.former:
		return no
	}
	return in
}

// certificate is the rule of a certificate for the person's name. Without PAM
// nobody is asked.
func certificate(s state, pam string) verdict {
	if pam == "yes" || s.another {
		return s.byName()
	}
	return in
}

// open is the rule of a connection that was opened before: it goes on.
func open(state, string) verdict { return in }

// shell is the rule of a way that runs the person's shell, as commands and sftp
// do and forwarding does not.
func shell(r rule) rule {
	return func(s state, pam string) verdict {
		if s.former && !s.another {
			return no
		}
		return r(s, pam)
	}
}

// thenSudo is the rule of sudo by somebody who is in by another way.
func thenSudo(r rule) rule {
	return func(s state, pam string) verdict {
		if r(s, pam) != in {
			return no
		}
		return s.sudo()
	}
}

// job is the rule of what runs without the person: nobody asks IAM for it, and
// the last refresh counts, until the person knocks somewhere.
func job(s state, _ string) verdict {
	if s.unknown {
		return in
	}
	return s.mayComeIn()
}

// crontab is job, but for a name that is another person's: cron keeps the
// uid with which it has read the file, and PAM hears the name alone.
func crontab(s state, pam string) verdict {
	if s.another {
		return in
	}
	return job(s, pam)
}

// throughSSHD are the ways for which it matters whether sshd uses PAM.
var throughSSHD = slices.Concat(
	connection("iam", "a key in IAM", iamKey, shell(iamKey)),
	connection("own", "a key in the home", ownKey, shell(ownKey)),
	connection("allowed", "… with `own_file = \"allow\"`", allowedKey, shell(allowedKey)),
	connection("certificate", "a certificate", certificate, shell(certificate)),
	connection("master", "an old ControlMaster", open, open),
)

// connection is what a connection of ssh is good for. The shell has a say in
// all but forwarding.
func connection(id, title string, connects, runs rule) []way {
	return []way{
		{id, title + ": a command", runs},
		{id + "-sftp", title + ": sftp", runs},
		{id + "-forwarding", title + ": forwarding", connects},
		{id + "-sudo", title + ": sudo", thenSudo(runs)},
	}
}

// waysOf are the ways through an sshd that has this UsePAM; for "", those
// beside sshd.
func waysOf(pam string) []way {
	if pam == "" {
		return besideSSHD
	}
	return throughSSHD
}

// besideSSHD are the others.
var besideSSHD = []way{
	{"su", "`su NAME` by root", func(s state, _ string) verdict { return s.byName() }},
	{"cron", "cron", crontab},
	{"at", "at", job},
	{"units", "the user's systemd units, lingering", job},
	{"session-sudo", "sudo in an open session", func(s state, _ string) verdict { return s.sudo() }},
}
