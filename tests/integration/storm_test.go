package integration

import (
	"fmt"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/nss-iam/nss-iam/tests/testbed"
)

// The storm: real ssh against a real sshd, the real helper and the real daemon.
const (
	stormLogins = 200
	stormUsers  = 50
	// stormReuse is for how long the daemon reuses an answer.
	stormReuse = 3 * time.Second
)

// storm logs in: $1 logins at once, by turns as user-01 to user-$2. It prints
// each one's exit status and milliseconds.
const storm = `
login() {
	begin=$(date +%s%N)
	ssh "$@" >/dev/null 2>>/run/testbed/storm.err
	echo "$? $((($(date +%s%N) - begin) / 1000000))"
}
n=$1 users=$2
shift 2
for i in $(seq 1 "$n"); do
	login -o User="$(printf 'user-%02d' $((i % users + 1)))" "$@" true &
done
wait`

// TestTwoHundredLoginsAtOnceAllComeIn: IAM takes 100 ms for an answer and
// throttles every third call, so at its default rate the daemon cannot ask
// about 50 people within keys.timeout. Who is not asked about in time comes in
// by the cache, and IAM sees no listing of a user twice within the time that an
// answer is reused for.
func TestTwoHundredLoginsAtOnceAllComeIn(t *testing.T) {
	testbed.RequireArtefacts(t, "sshd")
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
	const login = "[login]\ngroups = [\"developers\"]\n"
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
	client := sshd.Client(key)
	r := host.Try(append([]string{"bash", "-c", storm, "storm", fmt.Sprint(stormLogins), fmt.Sprint(stormUsers)}, client...)...)
	took := time.Since(begin)
	outcomes := strings.Fields(r.Stdout)
	in, slowest := 0, 0
	for i := 0; i+1 < len(outcomes); i += 2 {
		if outcomes[i] == "0" {
			in++
		}
		var ms int
		fmt.Sscan(outcomes[i+1], &ms)
		slowest = max(slowest, ms)
	}
	if in != stormLogins {
		t.Errorf("%d of %d came in\n%s\n%s\n%s", in, stormLogins, host.Try("sort", "-u", "/run/testbed/storm.err").Stdout, strings.Join(log.Lines("authkeys"), "\n"), d.Output())
	}
	calls := iam.Calls()
	t.Logf("%d logins of %d users in %v, the slowest %d ms; offered from IAM %d times, from the cache %d times; IAM saw %v",
		in, stormUsers, took.Round(10*time.Millisecond), slowest, len(log.Lines("offered, from IAM")), len(log.Lines("offered, from cache")), calls)
	last := map[string]time.Time{}
	listings := 0
	for _, m := range listing.FindAllStringSubmatch(iam.Process.Output()[before:], -1) {
		at, err := time.Parse(time.RFC3339Nano, m[1])
		if err != nil {
			t.Fatal(err)
		}
		if gap := at.Sub(last[m[2]]); !last[m[2]].IsZero() && gap < stormReuse {
			t.Errorf("IAM listed the keys of %s twice within %v", m[2], gap)
		}
		last[m[2]] = at
		listings++
	}
	if listings == 0 {
		t.Errorf("IAM was not asked at all: %v\n%s", calls, d.Output())
	}
}

// listing is a line of the emulator's log about a listing that it answered.
var listing = regexp.MustCompile(`(?m)^time=(\S+) level=INFO msg=call action=ListSSHPublicKeys user=(\S+) status=200`)
