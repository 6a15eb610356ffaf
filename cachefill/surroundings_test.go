package main

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/nss-iam/nss-iam/tests/emulator"
	"github.com/nss-iam/nss-iam/tests/unmet"
)

// A bench is a folder with a configuration and a cache, beside an emulated account.
type bench struct {
	work        string
	environment []string
}

func newBench(t *testing.T) bench {
	t.Helper()
	e, err := emulator.Start(emulator.Options{Company: company})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = e.Close() })
	b := bench{work: t.TempDir()}
	none := filepath.Join(b.work, "none")
	b.environment = []string{"IAM_CACHEFILL_OF_A_TEST=1", "WORK=" + b.work, "PATH=" + os.Getenv("PATH"), "HOME=/",
		"TERM=dumb", "GORACE=atexit_sleep_ms=0", "AWS_ENDPOINT_URL=" + e.URL,
		"AWS_REGION=eu-west-1", "AWS_EC2_METADATA_DISABLED=true",
		"AWS_ACCESS_KEY_ID=" + emulator.AccessKey, "AWS_SECRET_ACCESS_KEY=" + emulator.SecretKey,
		"AWS_CONFIG_FILE=" + none, "AWS_SHARED_CREDENTIALS_FILE=" + none, "NO_PROXY=*"}
	for name, content := range map[string]string{
		"config.toml": "[login]\ngroups = [\"developers\"]\n", "run/other": "", "host/other": "",
	} {
		at := filepath.Join(b.work, name)
		if err := os.MkdirAll(filepath.Dir(at), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(at, []byte(content), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if said := b.run(`"$@"`, "refresh"); said.status != 0 {
		t.Fatalf("the first refresh: %+v", said)
	}
	return b
}

// A said is what became of a command.
type said struct {
	stdout, stderr string
	status         int
}

// run has a shell run the program, as "$@".
func (b bench) run(script string, args ...string) said {
	cmd := exec.Command("bash", append([]string{"-c", script, os.Args[0], os.Args[0]}, args...)...)
	cmd.Dir, cmd.Env = b.work, b.environment
	var stdout, stderr strings.Builder
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	err := cmd.Run()
	r := said{stdout: stdout.String(), stderr: stderr.String()}
	var exit *exec.ExitError
	switch {
	case errors.As(err, &exit):
		r.status = exit.ExitCode()
	case err != nil:
		r.status = -1
	}
	return r
}

// passing is what two runs of one command differ in.
var passing = regexp.MustCompile(`\d{4}-\d\d-\d\d[T ][0-9:.]+(Z|[+-][0-9:]+)?|\b(\d+(\.\d+)?(ms|µs|s|m|h))+\b`)

// asked are commands that change nothing.
var asked = [][]string{
	{}, {"version"}, {"status"}, {"status", "--json"}, {"explain", "alice"}, {"explain", "nobody"}, {"check-config"},
	{"refresh", "--dry-run"}, {"completion", "bash"}, {"statsu"}, {"__complete", "explain", "al"},
}

func TestCommandsAnswerInAnySurroundings(t *testing.T) {
	unmet.Long(t, "each command runs in each surrounding")
	b := newBench(t)
	const same = -1
	well := make([]said, len(asked))
	for i, args := range asked {
		well[i] = b.run(`"$@"`, args...)
	}
	for _, c := range []struct {
		name   string
		script string
		text   bool // what is printed is the same, too
		status int
	}{
		{"the language C", `exec env LANG=C LC_ALL=C "$@"`, true, same},
		{"Turkish, with its letters i", `exec env LANG=tr_TR.UTF-8 LC_ALL=tr_TR.UTF-8 "$@"`, true, same},
		{"a language that nobody has", `exec env LANG=xx_YY.none LC_ALL=xx_YY.none "$@"`, true, same},
		{"no HOME", `unset HOME; "$@"`, true, same},
		{"no TERM", `unset TERM; "$@"`, true, same},
		{"no program to be found", `PATH=/none "$@"`, true, same},
		{"a folder that was removed", `mkdir gone && cd gone && rmdir ../gone && "$@"`, true, same},
		{"no input", `"$@" <&-`, true, same},
		{"no output", `"$@" >&-`, false, same},
		{"no errors", `"$@" 2>&-`, false, same},
		{"nothing at all", `"$@" <&- >&- 2>&-`, false, same},
		{"a reader who takes one line", `"$@" | head -1 >/dev/null; exit ${PIPESTATUS[0]}`, false, same},
		{"a reader who is gone", `"$@" > >(true); exit $?`, false, same},
		{"a disk that is full", `"$@" >/dev/full; exit $?`, false, exitFailed},
	} {
		t.Run(c.name, func(t *testing.T) {
			for i, args := range asked {
				well, got := well[i], b.run(c.script, args...)
				want := c.status
				if want == same || well.stdout == "" {
					want = well.status
				}
				if got.status != want {
					t.Errorf("%q: exit status %d, want %d: %+v", args, got.status, want, got)
				}
				for _, text := range []string{got.stdout, got.stderr} {
					if strings.Contains(text, "goroutine") || strings.Contains(text, "panic") {
						t.Errorf("%q: %s", args, text)
					}
				}
				if n := strings.Count(got.stderr, "\n"); n > strings.Count(well.stderr, "\n")+1 {
					t.Errorf("%q: %d lines: %s", args, n, got.stderr)
				}
				plain := func(r said) string { return passing.ReplaceAllString(r.stdout+r.stderr, "…") }
				if c.text && plain(got) != plain(well) {
					t.Errorf("%q prints\n%s\nand elsewhere\n%s", args, plain(got), plain(well))
				}
			}
		})
	}
}

func TestWhatIsMissingOrBrokenIsOneClearLine(t *testing.T) {
	for _, c := range []struct {
		name   string
		spoil  string // in bash, in the folder that has the configuration and the cache
		args   []string
		status int
		says   string // of standard error, or of standard output where that is empty
	}{
		{"no folder of the cache", "rm -r cache", []string{"status"}, 1, `broken +cache +nothing is served`},
		{"… for explain", "rm -r cache", []string{"explain", "alice"}, 1, `nss\.db|no cache|refresh`},
		{"… for a rehearsal", "rm -r cache", []string{"refresh", "--dry-run"}, 0, `alice`},
		{"… for a refresh, which makes it", "rm -r cache", []string{"refresh"}, 0, `alice`},
		{"no folder of the socket", "rm -r run", []string{"status"}, 0, `daemon +not running`},
		{"a socket that is a file", "echo >run/sock", []string{"status"}, 0, `daemon +not running`},
		{"a cache that is a file", "rm -r cache; echo >cache", []string{"status"}, 1, `nss\.db`},
		{"… for a refresh", "rm -r cache; echo >cache", []string{"refresh"}, 1, `not a directory`},
		{"no configuration", "rm config.toml", []string{"explain", "alice"}, 2, `config\.toml.*no such file.*; create it`},
		{"a configuration that is a folder", "rm config.toml; mkdir config.toml", []string{"check-config"}, 2,
			`config\.toml`},
		{"a configuration of bytes", `printf '\0\1\2\377' >config.toml`, []string{"check-config"}, 2, `config\.toml:1`},
		{"an empty configuration", ">config.toml", []string{"check-config"}, 2, `login`},
		{"a configuration that leads to itself", "rm config.toml; ln -s config.toml config.toml", []string{"status"}, 2,
			`config\.toml`},
		{"a wrong key", `echo 'gruops = 1' >>config.toml`, []string{"refresh"}, 2, `config\.toml:3.*groups`},
		{"an nss.db that is cut", "truncate -s 100 cache/nss.db", []string{"status"}, 1, `broken +cache +nss\.db`},
		{"an nss.db that is cut, for explain", "truncate -s 100 cache/nss.db", []string{"explain", "alice"}, 1, `nss\.db`},
	} {
		t.Run(c.name, func(t *testing.T) {
			b := newBench(t)
			if r := b.run(c.spoil); r.status != 0 {
				t.Fatalf("%+v", r)
			}
			got := b.run(`"$@"`, c.args...)
			said := got.stderr
			if said == "" {
				said = got.stdout
			}
			if got.status != c.status || !regexp.MustCompile(c.says).MatchString(said) {
				t.Errorf("want status %d and %s: %+v", c.status, c.says, got)
			}
			if strings.Count(got.stderr, "\n") > 1 || strings.Contains(said, "goroutine") {
				t.Errorf("%s", got.stderr)
			}
		})
	}
}
