package logins

import (
	"bytes"
	_ "embed"
	"encoding/json"
	"fmt"
	"os"
	"runtime"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/nss-iam/nss-iam/tests/bench/page"
	"github.com/nss-iam/nss-iam/tests/testbed"
)

//go:embed classic.sh
var classic string

func TestMain(m *testing.M) {
	if len(os.Args) == 2 && os.Args[1] == "measure-here" {
		measureHere()
		return
	}
	os.Exit(m.Run())
}

func TestQuantilesAreOfTheSortedRuns(t *testing.T) {
	var in, out bytes.Buffer
	if err := json.NewEncoder(&in).Encode(Plan{Rounds: 5,
		Commands: []Command{{"nothing", []string{"true"}, uint32(os.Getuid()), uint32(os.Getgid())}}}); err != nil {
		t.Fatal(err)
	}
	if err := measure(&in, &out); err != nil {
		t.Fatal(err)
	}
	var times map[string]Times
	if err := json.Unmarshal(out.Bytes(), &times); err != nil {
		t.Fatal(err)
	}
	got := times["nothing"]
	if len(got) != 5 || got.Quantile(0) > got.Quantile(0.5) || got.Quantile(0.5) > got.Quantile(1) ||
		got.Quantile(1) != got[4] || got[0] <= 0 {
		t.Errorf("times %v", got)
	}
}

// A bench is a host with everybody who is compared on it.
type bench struct {
	*testing.B
	host *testbed.Host
}

// run carries out a plan inside the host.
func (b bench) run(rounds int, commands ...Command) map[string]Times {
	b.Helper()
	self, err := os.Executable()
	if err != nil {
		b.Fatal(err)
	}
	plan, err := json.Marshal(Plan{rounds, commands})
	if err != nil {
		b.Fatal(err)
	}
	r := b.host.TryInput(string(plan), nil, self, "measure-here")
	var times map[string]Times
	if err := json.Unmarshal([]byte(r.Stdout), &times); err != nil || r.Code != 0 {
		b.Fatal(r)
	}
	return times
}

func number(b *testing.B, text string) uint32 {
	n, err := strconv.ParseUint(text, 10, 32)
	if err != nil {
		b.Fatal(err)
	}
	return uint32(n)
}

// BenchmarkLogins compares, and writes its table into the file named by
// NSS_IAM_BENCHMARKS. Run it with -benchtime 1x.
func BenchmarkLogins(b *testing.B) {
	testbed.RequireArtifacts(b, "sshd", "ssh")
	load := loadOf()
	host := testbed.NewHost(b)
	host.Install()
	alice := testbed.NewKey(b, "rsa", "alice")
	iam := host.StartIAM(testbed.Company{
		Groups: []testbed.Group{{Name: "developers"}},
		Users: []testbed.User{{Name: "alice", Groups: []string{"developers"}, Keys: []testbed.IAMKey{
			{Body: alice.Public}, {Body: testbed.NewKey(b, "rsa", "alice's other").Public},
		}}},
	})
	configure := func(online string) {
		host.Configure(iam.Source() + "[login]\ngroups = [\"developers\"]\n[keys]\nonline = \"" + online + "\"\n")
		host.Refreshed()
	}
	at := bench{b, host}
	uid := host.TryInput("", nil, "id", "-u", "nss-iam").Stdout
	helperUID, helperGID := number(b, strings.TrimSpace(uid)), number(b, host.Run("id", "-g", "nss-iam"))

	configure("off")
	ask := []string{testbed.Helper, "alice", host.Run("id", "-u", "alice"), alice.Fingerprint()}
	helper := func(name string) Command { return Command{name, ask, helperUID, helperGID} }
	nothing := Command{"nothing", []string{"/bin/true"}, helperUID, helperGID}
	account := Command{"account", []string{"/usr/bin/env", "-i", "PAM_USER=alice", "PAM_SERVICE=sshd", "PAM_TYPE=account",
		testbed.Account}, 0, 0}
	cached := at.run(400, helper("helper"), account, nothing)

	configure("prefer")
	daemon := host.StartDaemon()
	host.Eventually("the daemon answers", time.Minute, func() bool {
		return host.Try("test", "-S", "/run/nss-iam/cachefill.sock").Code == 0
	})
	online := at.run(400, helper("helper"), account)

	host.Run("useradd", "-m", "-s", "/bin/bash", "-p", "*", "local")
	host.Run("install", "-d", "-o", "local", "-g", "local", "-m", "0700", "/home/local/.ssh")
	host.Write("/home/local/.ssh/authorized_keys", alice.Public+"\n", 0o644)
	host.Run("install", "-d", "-o", "alice", "-g", "alice", "-m", "0700", "/home/alice")
	ours := host.StartSSHD()
	plain := host.StartSSHD("AuthorizedKeysCommand none", "AuthorizedKeysCommandUser nobody")
	login := func(name, user string, d *testbed.SSHD) Command {
		return Command{name, append(append([]string{"ssh", "-o", "User=" + user}, d.Client(alice)...), "true"), 0, 0}
	}
	logins := at.run(60, login("local", "local", plain), login("iam", "alice", ours))

	var theirs map[string]Times
	if host.Try("test", "-x", "/usr/bin/aws").Code == 0 {
		access, secret, _ := strings.Cut(strings.TrimPrefix(strings.Join(testbed.Credentials(), " "), "AWS_ACCESS_KEY_ID="),
			" AWS_SECRET_ACCESS_KEY=")
		const script = "/usr/local/sbin/classic-keys"
		host.Write(script, strings.NewReplacer("@URL@", iam.URL, "@ACCESS@", access, "@SECRET@", secret).Replace(classic),
			0o755)
		old := host.StartSSHD("AuthorizedKeysCommand "+script+" %u", "AuthorizedKeysCommandUser nss-iam")
		theirs = at.run(5, Command{"script", []string{script, "alice"}, helperUID, helperGID}, helper("helper"),
			login("script login", "alice", old), login("login", "alice", ours))
	} else {
		b.Log("no /usr/bin/aws: nothing to compare with; the command that supplies it: apt-get install awscli")
	}
	if daemon.Pid() == 0 {
		b.Fatal("the daemon has ended meanwhile")
	}
	table := report(host, load, cached, online, logins, theirs)
	b.Logf("\n%s", table)
	b.ReportMetric(ms(cached["helper"].Quantile(.5)), "ms-cached")
	b.ReportMetric(ms(online["helper"].Quantile(.5)), "ms-daemon")
	b.ReportMetric(ratio(logins["iam"], logins["local"]), "times-local")
	if file := os.Getenv("NSS_IAM_BENCHMARKS"); file != "" {
		if err := page.Replace(file, "logins", table); err != nil {
			b.Fatal(err)
		}
	}
}

func ms(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }

func ratio(a, b Times) float64 { return float64(a.Quantile(.5)) / float64(b.Quantile(.5)) }

func loadOf() string {
	text, err := os.ReadFile("/proc/loadavg")
	if err != nil {
		return "unknown"
	}
	return strings.Join(strings.Fields(string(text))[:2], ", ")
}

func report(host *testbed.Host, load string, cached, online, logins, theirs map[string]Times) string {
	var s strings.Builder
	row := func(what string, t Times, note string) {
		fmt.Fprintf(&s, "| %s | %.1f | %.1f | %d | %s |\n", what, ms(t.Quantile(.5)), ms(t.Quantile(.9)), len(t), note)
	}
	s.WriteString("| what, from start to exit | median ms | 90 % ms | runs | |\n|---|--:|--:|--:|---|\n")
	row("`/bin/true`", cached["nothing"], "what starting any program costs here")
	row("`authkeys`, from the cache", cached["helper"], "wanted: 5 ms")
	row("`authkeys`, through the daemon, answer reused", online["helper"], "wanted: 8 ms")
	row("the account helper, from the cache", cached["account"], "with `env` to start it; wanted: 5 ms")
	row("the account helper, through the daemon, answer reused", online["account"], "")
	row("`ssh host true`, local user with authorized_keys", logins["local"], "sshd without AuthorizedKeysCommand")
	row("`ssh host true`, IAM user", logins["iam"], fmt.Sprintf("%.2f times the local user's; wanted: 1.15",
		ratio(logins["iam"], logins["local"])))
	if theirs != nil {
		row("script on the AWS CLI, two keys", theirs["script"], "an emulated IAM on the same machine, without any latency")
		row("`authkeys`, beside it", theirs["helper"], fmt.Sprintf("%.0f times quicker; wanted: 20",
			ratio(theirs["script"], theirs["helper"])))
		row("`ssh host true` with that script", theirs["script login"], "")
		row("`ssh host true` with `authkeys`, beside it", theirs["login"],
			fmt.Sprintf("%.0f times quicker", ratio(theirs["script login"], theirs["login"])))
	}
	fmt.Fprintf(&s, "\nMeasured on %s, %d processors (%s), load %s before the run; %s",
		time.Now().UTC().Format(time.DateOnly),
		runtime.NumCPU(), processor(), load, strings.TrimSpace(host.Try("ssh", "-V").Stderr))
	if theirs != nil {
		fmt.Fprintf(&s, "; %s", strings.Fields(host.Run("/usr/bin/aws", "--version"))[0])
	}
	return s.String() + ".\n"
}

func processor() string {
	text, err := os.ReadFile("/proc/cpuinfo")
	if err != nil {
		return "unknown"
	}
	for line := range strings.Lines(string(text)) {
		if name, found := strings.CutPrefix(line, "model name"); found {
			return strings.TrimSpace(strings.TrimLeft(name, "\t :"))
		}
	}
	return runtime.GOARCH
}
