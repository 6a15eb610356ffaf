package faults

import (
	"fmt"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"github.com/nss-iam/nss-iam/tests/testbed"
)

// directoryFaults are of what the daemon asks, and of its answers.
var directoryFaults = []fault{
	{name: "IAM is down", make: func(s *site) { s.iam.Stop(); s.refresh() }, code: 1, later: time.Hour,
		status: says(`broken +refresh .*unreachable`), explain: quiet(openStill),
		doctor: says(`broken +source .*unreachable`), alert: says("NSSIAMNotRefreshed"),
		journal: says(`refresh failed.*unreachable`)},
	{name: "IAM is down and the host was booted", make: func(s *site) {
		s.daemon.Stop()
		s.Run("rm", "-rf", "/run/nss-iam")
		s.iam.Stop()
		s.start()
		s.Eventually("the daemon has tried", time.Minute,
			func() bool { return strings.Contains(s.daemon.Output(), "refresh failed") })
		s.refresh()
	}, code: 1, later: time.Hour,
		status: says(`broken +refresh .*unreachable`), explain: quiet(openStill), doctor: says(`broken +source`),
		alert: says("NSSIAMNotRefreshed"), journal: says(`refresh failed.*unreachable`)},
	{name: "IAM throttles every call",
		make: func(s *site) { s.iam.Spoil(testbed.Fault{Kind: "throttle", Times: -1}); s.refresh() }, code: 1,
		status: says(`broken +refresh .*throttled`), explain: quiet(openStill),
		doctor: says(`broken +(refresh|source) .*throttled`), alert: says("NSSIAMBroken"),
		journal: says(`refresh failed.*throttled`)},
	{name: "IAM has a fault of its own",
		make: func(s *site) { s.iam.Spoil(testbed.Fault{Kind: "failure", Times: -1}); s.refresh() }, code: 1,
		status: says(`broken +refresh .*service failure`), explain: quiet(openStill),
		doctor: says(`broken +source .*service failure`), alert: says("NSSIAMBroken"),
		journal: says(`refresh failed.*service failure`)},
	{name: "IAM's answers are cut off",
		make: func(s *site) { s.iam.Spoil(testbed.Fault{Kind: "cut", Times: -1}); s.refresh() }, code: 1,
		status: says(`broken +refresh .*incomplete`), explain: quiet(openStill), doctor: says(`broken +source .*incomplete`),
		alert: says("NSSIAMBroken"), journal: says(`refresh failed.*incomplete`)},
	{name: "iam:GetGroup is not granted", make: func(s *site) { s.iam.Deny("iam:GetGroup"); s.refresh() }, code: 1,
		status: says(`broken +refresh .*iam:GetGroup`), explain: quiet(openStill),
		doctor: says(`broken +source .*iam:GetGroup`), alert: says("NSSIAMBroken"),
		journal: says(`refresh failed.*iam:GetGroup`)},
	{name: "iam:ListSSHPublicKeys is not granted",
		make: func(s *site) { s.iam.Deny("iam:ListSSHPublicKeys"); s.start(); s.trial() }, code: 1,
		status: says(`broken +logins .*iam:ListSSHPublicKeys`), explain: quiet(openStill),
		doctor: says(`broken +source .*iam:ListSSHPublicKeys`), alert: says("NSSIAMBroken"),
		journal: says(`does not answer what logins ask.*iam:ListSSHPublicKeys`)},
	{name: "iam:ListGroupsForUser is not granted",
		make: func(s *site) { s.iam.Deny("iam:ListGroupsForUser"); s.start(); s.trial() }, code: 1,
		status: says(`broken +logins .*iam:ListGroupsForUser`), explain: quiet(openStill),
		doctor: says(`broken +source .*iam:ListGroupsForUser`), alert: says("NSSIAMBroken"),
		journal: says(`does not answer what logins ask.*iam:ListGroupsForUser`)},
	{name: "iam:ListSSHPublicKeys is taken away under the daemon",
		make: func(s *site) { s.iam.Deny("iam:ListSSHPublicKeys"); s.refresh() }, code: 1,
		status: says(`broken +logins .*iam:ListSSHPublicKeys`), explain: quiet(openStill),
		doctor: says(`broken +source .*iam:ListSSHPublicKeys`), alert: says("NSSIAMBroken"),
		journal: says(`does not answer what logins ask.*iam:ListSSHPublicKeys`)},
	{name: "iam:ListGroupsForUser is taken away under the daemon",
		make: func(s *site) { s.iam.Deny("iam:ListGroupsForUser"); s.refresh() }, code: 1,
		status: says(`broken +logins .*iam:ListGroupsForUser`), explain: quiet(openStill),
		doctor: says(`broken +source .*iam:ListGroupsForUser`), alert: says("NSSIAMBroken"),
		journal: says(`does not answer what logins ask.*iam:ListGroupsForUser`)},
	{name: "iam:ListGroupsForUser is not granted, and keys.online = \"require\"", make: func(s *site) {
		s.configure(plain + "[keys]\nonline = \"require\"\n")
		s.iam.Deny("iam:ListGroupsForUser")
		s.start()
		s.trial()
	}, code: 1,
		status: says(`broken +logins .*iam:ListGroupsForUser`), explain: says(`NO +this host: .*iam:ListGroupsForUser`),
		doctor: says(`broken +source .*iam:ListGroupsForUser`), alert: says("NSSIAMBroken"),
		journal: says(`does not answer what logins ask.*iam:ListGroupsForUser`)},
	{name: "the daemon has no credentials, root's shell has",
		make: func(s *site) { s.start("AWS_EC2_METADATA_DISABLED=true"); s.refresh() }, code: 1,
		status: says(`broken +refresh .*no credentials`), explain: quiet(openStill),
		doctor: says(`broken +source .*no credentials`), alert: says("NSSIAMBroken"),
		journal: says(`refresh failed.*no credentials`)},
	{name: "the credentials are nobody's",
		make:   func(s *site) { s.start("AWS_ACCESS_KEY_ID=AKIANOBODYEXAMPLE", "AWS_SECRET_ACCESS_KEY=x"); s.refresh() },
		code:   1,
		status: says(`broken +refresh .*credentials`), explain: quiet(openStill),
		doctor: says(`broken +source .*credentials`), alert: says("NSSIAMBroken"),
		journal: says(`refresh failed.*credentials`)},
	{name: "a login group is spelled wrong", make: func(s *site) {
		s.configure(strings.Replace(plain, `"developers"`, `"developers", "developpers"`, 1))
		s.daemon.Signal(unix.SIGHUP)
		s.refresh()
	}, code: 1,
		status: says(`broken +refresh .*developpers`), explain: says(`no directory was read yet: .*developpers`),
		doctor: says(`broken +(refresh|source) .*developpers`), alert: says("NSSIAMBroken"),
		journal: says(`refresh failed.*developpers`)},
	{name: "all login groups are suddenly empty",
		make: func(s *site) { s.iam.Spoil(testbed.Fault{Kind: "none", Action: "GetGroup", Times: -1}); s.refresh() }, code: 1,
		status: says(`broken +refresh .*not believed`), explain: quiet(openStill),
		doctor: says(`broken +refresh .*not believed`), alert: says("NSSIAMBroken"),
		journal: says(`refresh failed.*not believed`)},
	{name: "removals are held back", person: "bob", make: func(s *site) {
		const more = 4
		for i := range more {
			s.iam.AddUser(testbed.User{Name: fmt.Sprintf("guest%d", i), Groups: []string{"developers"}})
		}
		s.refresh()
		s.iam.DeleteUser("bob")
		for i := range more {
			s.iam.DeleteUser(fmt.Sprintf("guest%d", i))
		}
		s.refresh()
		s.refresh()
	}, code: 0,
		status: says(`5 of 6 users.*--accept-removals`), explain: says(`removals were held back`),
		doctor: says(`warning +directory +5 of 6 users`), alert: says("NSSIAMAnswerDoubted"),
		journal: says(`user or group not served as configured.*max_fraction`)},
	{name: "a login group is deleted", make: func(s *site) {
		s.configure(strings.Replace(plain, `"developers"`, `"developers", "empty"`, 1))
		s.start()
		s.refresh()
		s.iam.DeleteGroup("empty")
		s.refresh()
	}, code: 0,
		status: says(`group "empty".*does not exist`), explain: quiet("alice is in another group"),
		doctor: says(`warning +directory .*"empty"`), alert: says("NSSIAMAnswerDoubted"),
		journal: says(`user or group not served as configured.*empty`)},
	{name: "the keys of one person may not be listed", person: "dave", make: func(s *site) {
		s.iam.DenyFor("dave", "iam:ListSSHPublicKeys")
		s.iam.AddUser(testbed.User{Name: "dave", Groups: []string{"developers"}})
		s.refresh()
		s.Eventually("the daemon has asked for the keys", time.Minute, func() bool {
			return strings.Contains(s.Try(testbed.Refresh, "explain", "dave").Stdout, "ListSSHPublicKeys")
		})
		s.refresh()
	}, code: 0,
		status: says(`dave`), explain: says(`iam:ListSSHPublicKeys`),
		doctor: says(`warning +directory .*"dave"`), alert: says("NSSIAMAnswerDoubted"),
		journal: says(`dave.*iam:ListSSHPublicKeys`)},
}
