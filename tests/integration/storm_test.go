package integration

import (
	"fmt"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/nss-iam/nss-iam/tests/testbed"
)

// A storm is real ssh for each user, and for the other logins the real helper,
// asked as sshd asks it: 200 real ssh and sshd on two cores measure the cores.
const (
	stormLogins = 200
	stormUsers  = 50
	// stormReuse is for how long the daemon reuses an answer.
	stormReuse = 3 * time.Second
)

// storm does $1 logins at once, by turns as user-01 to user-$2, the first $2 of
// them by ssh. $3 is the helper and $4 the key's fingerprint. It prints one line
// for each: "in" or "out", and milliseconds.
const storm = `
logins=$1 users=$2 helper=$3 fingerprint=$4
shift 4
by_ssh() { ssh -o User="$1" "${@:2}" true 2>>/run/testbed/storm.err; }
# sshd asks for the key that is offered, and again when it is proven.
by_helper() {
	uid=$(id -u "$1")
	for _ in 1 2; do
		setpriv --reuid=nss-iam --regid=nss-iam --init-groups "$helper" "$1" "$uid" "$fingerprint" \
			2>>/run/testbed/storm.err | grep -q ^no-pty || return 1
	done
}
timed() {
	begin=$(date +%s%N) outcome=out
	if "$@"; then outcome=in; fi
	echo "$outcome $((($(date +%s%N) - begin) / 1000000))"
}
for i in $(seq 0 $((logins - 1))); do
	user=$(printf user-%02d $((i % users + 1)))
	if [ "$i" -lt "$users" ]; then timed by_ssh "$user" "$@" & else timed by_helper "$user" & fi
done
wait`

// TestTwoHundredLoginsAtOnceAllComeIn: IAM takes 100 ms for an answer and
// throttles every third call, so at its default rate the daemon cannot ask
// about 50 people within keys.timeout. Who is not asked about in time comes in
// by the cache. Once a login was answered by IAM, IAM sees no other listing of that
// user within the time that an answer is reused for. A question whose answer did
// not come whole in time may be asked again sooner.
func TestTwoHundredLoginsAtOnceAllComeIn(t *testing.T) {
	testbed.RequireArtifacts(t, "sshd")
	host := testbed.NewHost(t)
	host.Install()
	key := testbed.NewKey(t, "rsa", "everybody")
	company := testbed.Company{Groups: []testbed.Group{{Name: "developers"}}}
	for u := range stormUsers {
		company.Users = append(company.Users, testbed.User{
			Name: fmt.Sprintf("user-%02d", u+1), Groups: []string{"developers"},
			Keys: []testbed.IAMKey{{Body: key.Public}},
		})
	}
	iam := host.StartIAM(company, "-v", "-latency", "100ms")
	const login = "[login]\ngroups = [\"developers\"]\n[keys]\noptions = [\"no-pty\"]\n"
	host.Configure(iam.Source() + "rate = 100\n" + login)
	host.Refreshed()
	host.Configure(iam.Source() + login)
	d := daemon(host)
	sshd := host.StartSSHD()
	log := host.Syslog()
	if r := sshd.Login("user-01", key, "true"); r.Code != 0 { // the client's files are written, and all works
		t.Fatalf("before the storm: %v\n%s", r, sshd.Log())
	}
	iam.Spoil(testbed.Fault{Kind: "throttle", Every: 3, Times: -1})
	iam.Calls()
	begin, before := time.Now(), len(iam.Process.Output())
	r := host.Try(append([]string{"bash", "-c", storm, "storm", fmt.Sprint(stormLogins), fmt.Sprint(stormUsers),
		testbed.Helper, key.Fingerprint()}, sshd.Client(key)...)...)
	took := time.Since(begin)
	outcomes := strings.Fields(r.Stdout)
	in, slowest := 0, 0
	for i := 0; i+1 < len(outcomes); i += 2 {
		if outcomes[i] == "in" {
			in++
		}
		var ms int
		fmt.Sscan(outcomes[i+1], &ms)
		slowest = max(slowest, ms)
	}
	if in != stormLogins {
		t.Errorf("%d of %d came in\n%s\n%s\n%s", in, stormLogins, host.Try("sort", "-u", "/run/testbed/storm.err").Stdout,
			strings.Join(log.Lines("authkeys"), "\n"), d.Output())
	}
	calls := iam.Calls()
	t.Logf("%d logins of %d users in %v, the slowest %d ms; offered from the directory %d times, from the cache %d "+
		"times; IAM saw %v",
		in, stormUsers, took.Round(10*time.Millisecond), slowest, len(log.Lines("offered, from the directory")),
		len(log.Lines("offered, from cache")), calls)
	last := map[string]time.Time{}
	for _, m := range listing.FindAllStringSubmatch(iam.Process.Output()[before:], -1) {
		at, err := time.Parse(time.RFC3339Nano, m[1])
		if err != nil {
			t.Fatal(err)
		}
		one := last[m[2]]
		answered := func(login time.Time) bool { return login.After(one) && login.Before(at) }
		if at.Sub(one) < stormReuse && slices.ContainsFunc(log.Times(m[2], "offered, from the directory"), answered) {
			t.Errorf("IAM listed the keys of %s twice within %v, with a good answer between", m[2], at.Sub(one))
		}
		last[m[2]] = at
	}
	if len(last) == 0 {
		t.Errorf("IAM was not asked at all: %v\n%s", calls, d.Output())
	}
}

// listing is a line of the emulator's log about a listing that it answered.
var listing = regexp.MustCompile(`(?m)^time=(\S+) level=INFO msg=call action=ListSSHPublicKeys user=(\S+) status=200`)
