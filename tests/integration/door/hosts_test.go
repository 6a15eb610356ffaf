package door

import (
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/nss-iam/nss-iam/tests/testbed"
)

const (
	iamPort = "8000"
	place   = "/run/door"
	script  = place + "/ways.sh"

	// atOnce is how many people's ways are tried at the same time on one host.
	atOnce = 4
)

// crowd are people who only leave, so that more leave at once than
// removal.max_fraction lets go.
var crowd = []string{"cleo", "cora", "curt", "cyril", "cyrus"}

// A fleet is one booted host of every release, and the account that they read.
type fleet struct {
	t     *testing.T
	net   *testbed.Net
	iam   *testbed.IAM
	debs  []string
	sites []*site
}

// A site is one host.
type site struct {
	*testbed.Host
	t       *testing.T
	release string
	fleet   *fleet
	lasting *lasting
}

// lasting is what of a site outlives a step.
type lasting struct {
	host *testbed.Host
	uids map[string]string // by state, as people had them while they were active

	mu      sync.Mutex
	seen    results
	reasons map[cell]string
}

// each runs a step on all hosts at the same time. A step that fails is the last.
func (f *fleet) each(name string, step func(site)) {
	f.t.Helper()
	start := time.Now()
	ok := f.t.Run(name, func(t *testing.T) {
		for _, s := range f.sites {
			t.Run(s.release, func(t *testing.T) {
				t.Parallel()
				step(site{s.lasting.host.On(t), t, s.release, f, s.lasting})
			})
		}
	})
	f.t.Logf("%6.1f s  %s", time.Since(start).Seconds(), name)
	if !ok {
		f.t.FailNow()
	}
}

// newFleet boots the hosts.
func newFleet(t *testing.T) *fleet {
	testbed.RequireArtifacts(t, "debootstrap", "systemd-nspawn", "dpkg-deb")
	start := time.Now()
	f := &fleet{t: t, net: testbed.NewNet(t)}
	f.iam = f.net.Place.StartIAM(company(t), "-listen", testbed.PlaceAddress+":"+iamPort)
	f.iam.Do(http.MethodPut, "instance", map[string]any{"role": "host"}, nil)
	var all sync.WaitGroup
	all.Go(func() { f.debs = testbed.Pack(t, "deb", "0.2.0~1") })
	for _, release := range testbed.Releases {
		b := f.net.NewHost(release)
		s := &site{release: release, lasting: &lasting{uids: map[string]string{}, seen: results{},
			reasons: map[cell]string{}}}
		f.sites = append(f.sites, s)
		all.Go(func() { s.lasting.host = b.Boot(t) })
	}
	all.Wait()
	if t.Failed() {
		t.FailNow()
	}
	t.Logf("%6.1f s  packed and booted", time.Since(start).Seconds())
	return f
}

// company is one person a state, each with a key in IAM and the right to sudo.
func company(t *testing.T) testbed.Company {
	c := testbed.Company{Groups: []testbed.Group{{Name: "developers"}, {Name: "interns"}, {Name: "admins"},
		{Name: "operators"}}}
	for _, s := range states {
		login, sudo := "developers", "admins"
		switch s.name {
		case "orphan":
			login = "interns"
		case "fallen":
			sudo = "operators"
		}
		c.Users = append(c.Users, testbed.User{Name: s.name, Groups: []string{login, sudo},
			Keys: []testbed.IAMKey{key(t, s.name)}})
	}
	for _, name := range crowd {
		c.Users = append(c.Users, testbed.User{Name: name, Groups: []string{"developers"},
			Keys: []testbed.IAMKey{key(t, name)}})
	}
	return c
}

func key(t *testing.T, name string) testbed.IAMKey {
	return testbed.IAMKey{ID: keyID(name), Body: testbed.NewKey(t, "rsa", name).Public}
}

func keyID(name string) string {
	return ("APKA" + strings.ToUpper(name) + "EXAMPLEEXAMPLEEXAMPLE")[:20]
}

// config is a host's configuration. The daemon refreshes when it is asked to.
func (s site) config(refresh, keys string) string {
	return fmt.Sprintf(`[source]
kind = "iam"
refresh = %q
rate = 100
[login]
groups = ["developers", "interns"]
[sudo]
groups = ["admins", "operators"]
[accounts]
homes = "create"
[keys]
timeout = "20s"
%s
[removal]
confirm = 2
max_fraction = 0.2
`, refresh, keys)
}

// An sshd besides the host's own: without PAM, or with other files to include.
const sshdUnit = `[Service]
ExecStartPre=/bin/mkdir -p /run/sshd
ExecStart=/usr/sbin/sshd -D -f %s
KillMode=process
`

var include = regexp.MustCompile(`(?mi)^Include .*$`)

// install brings a host to where people are served.
func (s site) install() {
	s.AptInstall(s.fleet.debs...)
	s.Write("/etc/nss-iam/environment", "AWS_EC2_METADATA_SERVICE_ENDPOINT="+s.fleet.iam.URL+
		"\nAWS_ENDPOINT_URL="+s.fleet.iam.URL+"\nNO_PROXY=*\n", 0o600)

	// sudo asks for the name
	s.Run("sh", "-c", `echo "127.0.1.1 $(hostname)" >>/etc/hosts; mkdir -p /var/lib/systemd/linger`)

	ways, err := os.ReadFile("ways.sh")
	if err != nil {
		s.t.Fatal(err)
	}
	s.Write(script, string(ways), 0o755)
	for _, folder := range []string{"cron", "at", "units", "sftp", "profile"} {
		s.Run("install", "-d", "-m", "1777", filepath.Join(place, folder))
	}
	for _, p := range states {
		s.Write(place+"/keys/iam-"+p.name, testbed.NewKey(s.t, "rsa", p.name).Private, 0o600)
	}
	own, ca := testbed.NewKey(s.t, "ed25519", "own"), testbed.NewKey(s.t, "ed25519", "ca")
	s.Write(place+"/keys/own", own.Private, 0o600)
	s.Write(place+"/keys/own.pub", own.Public+"\n", 0o644)
	s.Write(place+"/keys/ca", ca.Private, 0o600)
	s.Write("/etc/ssh/door_ca.pub", ca.Public+"\n", 0o644)

	more := "TrustedUserCAKeys /etc/ssh/door_ca.pub\nMaxStartups 1000\nLogLevel VERBOSE\n"
	// From 9.8 on sshd turns an address away for a while after refused logins.
	if s.Try("grep", "-qi", "persourcepenalties", "/usr/sbin/sshd").Code == 0 {
		more += "PerSourcePenalties no\n"
	}
	s.Write("/etc/ssh/sshd_config.d/99-door.conf", more, 0o644)

	// The settings of setup are those of keys.own_file = "allow" first, of which a
	// copy is kept, and then the default ones.
	s.setUp(`own_file = "allow"`)
	s.Run("cp", "-r", "/etc/ssh/sshd_config.d", "/etc/ssh/allowed.d")
	s.setUp("")
	main := s.Read("/etc/ssh/sshd_config")
	allowed := include.ReplaceAllString(main, "Include /etc/ssh/allowed.d/*.conf")
	if allowed == main {
		s.t.Fatalf("sshd_config includes nothing:\n%s", main)
	}
	for port, config := range map[string]string{
		"2222": "UsePAM no\n" + main, "2223": "UsePAM yes\n" + allowed, "2224": "UsePAM no\n" + allowed,
	} {
		file := "/etc/ssh/door_" + port
		s.Write(file, "Port "+port+"\nPidFile none\n"+config, 0o644)
		s.Write("/etc/systemd/system/door-"+port+".service", fmt.Sprintf(sshdUnit, file), 0o644)
	}
	s.Run("systemctl", "daemon-reload")
	// Before 2.33 glibc reads nsswitch.conf once in a process's life. ssh comes
	// before the other sshds: with it goes /run/sshd.
	s.Run("systemctl", "restart", "cron", "atd", "ssh", "nss-iam")
	s.Run("systemctl", "start", "door-2222", "door-2223", "door-2224")
	for _, port := range []string{"22", "2222", "2223", "2224"} {
		s.Eventually("an sshd answers at port "+port, 5*time.Minute, func() bool {
			return s.Try("ssh-keyscan", "-p", port, "127.0.0.1").Stdout != ""
		})
	}
	defer func() {
		if s.t.Failed() {
			s.t.Log(s.journal())
		}
	}()
	for _, p := range states {
		s.Eventually(p.name+" is served and has a home", 5*time.Minute, func() bool {
			return s.Try("sh", "-c", "id "+p.name+" && test -d /home/"+p.name).Code == 0
		})
		s.lasting.uids[p.name] = s.Run("id", "-u", p.name)
	}
}

// journal is the end of the host's log, for a failed test.
func (s site) journal() string {
	return s.Try("journalctl", "-n", "60", "--no-pager").Stdout
}

// setUp configures the host and has setup edit it.
func (s site) setUp(keys string) {
	s.t.Helper()
	s.Write("/etc/nss-iam/config.toml", s.config("1h", keys), 0o644)
	s.Run("iam-cachefill", "setup")
}

// people calls try for many people, several at a time, and hands what it
// printed to note.
func (s site) people(names []string, note func(name, way, as, reason string), try func(name string) testbed.Result) {
	s.t.Helper()
	var all sync.WaitGroup
	slots := make(chan struct{}, atOnce)
	for _, name := range names {
		all.Go(func() {
			slots <- struct{}{}
			defer func() { <-slots }()
			r := try(name)
			if r.Code != 0 {
				s.t.Errorf("%s: %v", name, r)
			}
			for line := range strings.Lines(r.Stdout) {
				if fields := strings.SplitN(strings.TrimSuffix(line, "\n"), "\t", 3); len(fields) == 3 {
					note(name, fields[0], fields[1], fields[2])
				}
			}
		})
	}
	all.Wait()
}

// note records where a way led.
func (s site) note(pam string) func(name, way, as, reason string) {
	return func(name, way, as, reason string) {
		v := newcomer
		switch {
		case as == "no":
			v = no
		case as == "0":
			v = root
		case as == s.lasting.uids[name]:
			v = in
		case strings.HasSuffix(way, "-sudo"):
			v = no // it ran as the person's own number or another's, and root is what it is for
		}
		s.lasting.mu.Lock()
		defer s.lasting.mu.Unlock()
		c := cell{way, name, pam}
		s.lasting.seen[c], s.lasting.reasons[c] = v, reason
	}
}

// prepare opens what is open before somebody leaves, and puts into the homes
// what lets them in later.
func (s site) prepare() {
	var names []string
	for _, p := range states {
		names = append(names, p.name)
	}
	s.people(names, func(name, way, as, reason string) {
		if as != "0" {
			s.t.Errorf("%s is active: %s: %s %s", name, way, as, reason)
		}
	}, func(name string) testbed.Result {
		return s.Try(script, "prepare", name, s.lasting.uids[name])
	})
	// cron keeps what it knows of people when it reads their files.
	s.Eventually("cron has run everybody's job", 5*time.Minute, func() bool {
		return s.Run("sh", "-c", "ls "+place+"/cron | wc -l") == strconv.Itoa(len(names))
	})
}

// try tries all ways for these people. Each person who knocks is asked about, and the
// answer counts for jobs as well; so "early" knocks when the jobs have run.
func (s site) try(names []string) {
	since := s.Run("date", "+%s")
	at := []string{script, "at"}
	for _, name := range names {
		at = append(at, s.lasting.uids[name])
	}
	s.Run(at...)
	early := slices.Index(names, "early")
	if early < 0 {
		s.knock(names)
	} else {
		s.knock(slices.Concat(names[:early], names[early+1:]))
	}
	// cron looks once a minute, and a job takes a moment; on a busy machine it takes
	// longer, and those who are to come in are waited for.
	s.Run("sh", "-c", `end=$(($1 / 60 * 60 + 75)); now=$(date +%s); [ $now -ge $end ] || sleep $((end - now))`, "sh",
		since)
	patience := time.Now().Add(time.Minute)
	for _, p := range states {
		if slices.Contains(names, p.name) && job(p, "") == in {
			for s.Try(script, "ran", p.name, s.lasting.uids[p.name], since).Code != 0 && time.Now().Before(patience) {
				time.Sleep(time.Second)
			}
		}
	}
	s.people(names, s.note(""), func(name string) testbed.Result {
		return s.Try(script, "jobs", name, s.lasting.uids[name], since)
	})
	if early >= 0 {
		s.knock(names[early : early+1])
	}
	if n := strings.Count(s.Run("journalctl", "-q", "-o", "cat", "-u", "atd"), "waitpid"); n > 0 {
		s.t.Logf("%s: atd took the helper's end from pam_exec %d times", s.release, n)
	}
}

// knock tries all ways but jobs.
func (s site) knock(names []string) {
	for _, pam := range []string{"yes", "no"} {
		s.people(names, s.note(pam), func(name string) testbed.Result {
			return s.Try(script, "sshd", name, s.lasting.uids[name], pam)
		})
	}
	s.people(names, s.note(""), func(name string) testbed.Result {
		return s.Try(script, "host", name, s.lasting.uids[name])
	})
}
