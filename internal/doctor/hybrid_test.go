package doctor

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// put writes files of the host.
func put(t *testing.T, p Input, files map[string]string) {
	t.Helper()
	for name, content := range files {
		if err := os.MkdirAll(filepath.Dir(p.Host.Root+name), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(p.Host.Root+name, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
}

// found is what doctor says by one check: states and texts.
func found(p Input, check string) (states, texts string) {
	for _, f := range Examine(context.Background(), p) {
		if f.Check == check {
			states += f.State + " "
			texts += f.What + "; " + f.Fix + "\n"
		}
	}
	return strings.TrimSpace(states), texts
}

func TestAHybridNodeNeedsTheAgentsCredentials(t *testing.T) {
	node := `{"ManagedInstanceID":"mi-0123456789abcdef0","Region":"eu-west-1"}`
	const agents = "/root/.aws/credentials"
	for _, c := range []struct {
		name        string
		files       map[string]string
		age         time.Duration
		state, text string
	}{
		{"an EC2 instance", map[string]string{registration: `{"ManagedInstanceID":"i-0123456789abcdef0"}`}, 0, "", ""},
		{"a registration that is damaged", map[string]string{registration: "{"}, 0, "", ""},
		{"without credentials", map[string]string{registration: node}, 0, Broken, "names no credentials"},
		{"with an access key", map[string]string{registration: node, environment: "AWS_ACCESS_KEY_ID=AKIA\n"}, 0, Good,
			"access key"},
		{"with a file that the unit hides", map[string]string{registration: node, agents: "x",
			environment: "AWS_SHARED_CREDENTIALS_FILE=" + agents + "\n"}, 0, Broken, "does not see"},
		{"with a folder that a drop-in shows", map[string]string{registration: node, agents: "x",
			environment:                 "# agent\nAWS_SHARED_CREDENTIALS_FILE=\"" + agents + "\"\n",
			unitDropIns + "/agent.conf": "[Service]\nProtectHome=tmpfs\nBindReadOnlyPaths=-/root/.aws\n"}, 0, Good, "renews"},
		{"with a file that is not there", map[string]string{registration: node,
			environment: "AWS_SHARED_CREDENTIALS_FILE=/var/lib/agent/credentials\n"}, 0, Broken, "is not there"},
		{"with a file that nobody renews", map[string]string{registration: node, "/var/lib/agent/credentials": "x",
			environment: "AWS_SHARED_CREDENTIALS_FILE=/var/lib/agent/credentials\n"}, 2 * time.Hour, Broken,
			"restart amazon-ssm-agent"},
	} {
		t.Run(c.name, func(t *testing.T) {
			p, _ := healthy(t)
			put(t, p, c.files)
			if c.age != 0 {
				then := time.Now().Add(-c.age)
				if err := os.Chtimes(p.Host.Root+"/var/lib/agent/credentials", then, then); err != nil {
					t.Fatal(err)
				}
			}
			if state, text := found(p, "hybrid node"); state != c.state || !strings.Contains(text, c.text) {
				t.Errorf("%q: %s", state, text)
			}
		})
	}
}

func TestSubordinateIdsThatOverlapDirectoryUsers(t *testing.T) {
	for _, c := range []struct {
		name, subuid, subgid, state string
	}{
		{"those of useradd", "bob:100000:65536\n", "bob:100000:65536\n", ""},
		{"the recipe's", "alice:700000000:65536\n", "alice:700000000:65536\n", ""},
		{"inside of the range", "bob:2001000000:65536\n", "", Warning},
		{"across its beginning", "bob:2000999999:2\n", "bob:2000999999:2\n", Warning + " " + Warning},
		{"up to it", "bob:2000934464:65536\n", "", ""},
		{"everything", "bob:1:4294967294\n", "", Warning},
		{"behind it", "", "bob:2147000000:10\n", ""},
		{"nonsense", "bob:x:y\nbob\nbob:2001000000:0\nbob:99999999999999999999:1\n", "", ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			p, _ := healthy(t)
			p.LowID, p.HighID = 2001000000, 2146999999
			put(t, p, map[string]string{"/etc/subuid": c.subuid, "/etc/subgid": c.subgid})
			if state, text := found(p, "subordinate ids"); state != c.state {
				t.Errorf("%q: %s", state, text)
			}
		})
	}
}

func TestALastlogOfHolesIsNamed(t *testing.T) {
	for size, want := range map[int64]string{0: "", 292 * 60000: "", 292 * 2001000001: Warning} {
		p, _ := healthy(t)
		put(t, p, map[string]string{"/var/log/lastlog": ""})
		if err := os.Truncate(p.Host.Root+"/var/log/lastlog", size); err != nil {
			t.Fatal(err)
		}
		if state, text := found(p, "lastlog"); state != want {
			t.Errorf("of %d bytes: %q: %s", size, state, text)
		}
	}
}
