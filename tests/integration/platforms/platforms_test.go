// Package platforms runs what platform teams install nss-iam with, on booted
// Debian hosts: the Ansible role by the release's own ansible-playbook, and the
// EC2 Image Builder component as its agent runs it, step after step.
package platforms

import (
	"encoding/json"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	yaml "go.yaml.in/yaml/v3"

	"github.com/nss-iam/nss-iam/tests/testbed"
)

const (
	account = "127.0.0.1:8000"
	config  = "[source]\nregion = \"us-east-1\"\nendpoint = \"http://" + account + "\"\n\n" +
		"[login]\ngroups = [\"developers\"]\n\n[sudo]\ngroups = [\"admins\"]\n"
)

// A host is one that has booted, with an emulated account of its own.
type host struct {
	*testbed.Host
	t     *testing.T
	alice testbed.Key
	debs  []string // their paths on the host
}

func newHost(t *testing.T, release string, debs []string) host {
	t.Helper()
	h := host{testbed.NewBootedHost(t, release), t, testbed.NewKey(t, "rsa", "alice"), nil}
	for _, deb := range debs {
		h.debs = append(h.debs, "/srv/"+filepath.Base(deb))
		h.put(deb, "/srv/"+filepath.Base(deb), 0o644)
	}
	h.put(filepath.Join(testbed.Build(), "iam-emulator"), "/usr/local/bin/iam-emulator", 0o755)
	company, err := json.Marshal(testbed.Company{
		Groups: []testbed.Group{{Name: "developers"}, {Name: "admins"}},
		Users: []testbed.User{{
			Name: "alice", Groups: []string{"developers", "admins"}, Keys: []testbed.IAMKey{{Body: h.alice.Public}},
		}},
	})
	if err != nil {
		t.Fatal(err)
	}
	h.Write("/srv/company.json", string(company), 0o644)
	h.Run("ip", "link", "set", "lo", "up")
	h.Start(nil, "/usr/local/bin/iam-emulator",
		"-listen", account, "-company", "/srv/company.json", "-address-file", "/srv/url")
	h.Eventually("the account answers", time.Minute, func() bool { return h.Try("test", "-s", "/srv/url").Code == 0 })
	h.Write("/root/.ssh/alice", h.alice.Private, 0o600)
	return h
}

// put copies a file of this machine to the host.
func (h host) put(from, to string, mode os.FileMode) {
	h.t.Helper()
	content, err := os.ReadFile(from)
	if err != nil {
		h.t.Fatal(err)
	}
	h.Write(to, string(content), mode)
}

// loginAs is a login by ssh with alice's key.
func (h host) loginAs(name string, command string) testbed.Result {
	h.t.Helper()
	return h.Try("ssh", "-i", "/root/.ssh/alice", "-o", "IdentitiesOnly=yes", "-o", "BatchMode=yes",
		"-o", "LogLevel=ERROR", "-o", "StrictHostKeyChecking=no", "-o", "UserKnownHostsFile=/dev/null",
		name+"@127.0.0.1", command)
}

// mustServe waits until alice gets in, and is root by sudo.
func (h host) mustServe() {
	h.t.Helper()
	h.Eventually("alice is known", time.Minute, func() bool { return h.Try("id", "alice").Code == 0 })
	if r := h.loginAs("alice", "sudo -n id -un"); r.Stdout != "root\n" {
		h.t.Fatalf("alice's login: %v\n%s", r, h.Run("journalctl", "-n", "20", "--no-pager"))
	}
}

// mustBeAnImage demands what an image is: connected, enabled, with nobody's
// memory, and with nothing running.
func (h host) mustBeAnImage() {
	h.t.Helper()
	if r := h.Try("systemctl", "is-active", "nss-iam"); r.Code == 0 {
		h.t.Errorf("the daemon runs in the image: %v", r)
	}
	h.Run("systemctl", "is-enabled", "nss-iam")
	if r := h.Run("iam-cachefill", "setup", "--offline"); !strings.Contains(r, "nothing to change") {
		h.t.Errorf("setup was not done: %s", r)
	}
	if r := h.Run("sh", "-c", "ls /var/lib/nss-iam"); strings.Contains(r, ".db") {
		h.t.Errorf("the image holds a cache: %s", r)
	}
}

// boot is what the first boot of an instance starts.
func (h host) boot() {
	h.t.Helper()
	h.Run("systemctl", "restart", "ssh")
	h.Run("systemctl", "start", "nss-iam")
}

// credentials are the daemon's, by its environment file.
func credentials() string { return strings.Join(testbed.Credentials(), "\n") + "\n" }

func TestPlatformTeamsInstall(t *testing.T) {
	testbed.RequireArtifacts(t, "debootstrap", "systemd-nspawn", "dh")
	debs := testbed.Pack(t, "deb", "0.2.0~1")
	t.Run("by the Ansible role", func(t *testing.T) { byAnsible(t, debs) })
	t.Run("by the Image Builder component", func(t *testing.T) { byImageBuilder(t, debs) })
}

func byAnsible(t *testing.T, debs []string) {
	t.Parallel()
	const release = "trixie"
	h := newHost(t, release, debs)
	h.ansible(release)
	vars := map[string]any{
		"nss_iam_packages": h.debs, "nss_iam_config": config, "nss_iam_environment": credentials(),
	}

	if r := h.play(vars); r.Code != 0 {
		t.Fatalf("the role fails on a new host: %v", r)
	}
	h.mustServe()
	if r := h.play(vars); r.Code != 0 || !strings.Contains(r.Stdout, "changed=0 ") {
		t.Errorf("a second run changes something: %v", r)
	}

	vars["nss_iam_config"] = "[login]\ngruops = [\"developers\"]\n"
	if r := h.play(vars); r.Code == 0 || !strings.Contains(r.Stdout+r.Stderr, "gruops") {
		t.Errorf("a configuration with a wrong key is not refused by its name: %v", r)
	}
	if got := h.Read(testbed.Config); got != config {
		t.Errorf("a refused configuration is in place: %q", got)
	}
	h.mustServe()

	vars["nss_iam_config"] = strings.Replace(config, "admins", "developers", 1)
	if r := h.play(vars); r.Code != 0 || !strings.Contains(r.Stdout, "RUNNING HANDLER [nss_iam : Restart nss-iam]") {
		t.Errorf("another configuration does not restart the daemon: %v", r)
	}
	h.mustServe()

	h.Run("apt-get", "-qy", "purge", "nss-iam", "libnss-iam")
	vars["nss_iam_config"], vars["nss_iam_image"] = config, true
	h.Run("sh", "-c", "rm -f /var/cache/*nss-iam_*.deb")
	if r := h.play(vars); r.Code != 0 {
		t.Fatalf("the role fails in an image: %v", r)
	}
	h.mustBeAnImage()
	h.boot()
	h.mustServe()
}

// ansible puts the release's own ansible-playbook and the role on the host.
func (h host) ansible(release string) {
	h.t.Helper()
	files := testbed.Packages(h.t, release, "ansible-core")["ansible-core"]
	if len(files) == 0 {
		h.t.Fatalf("%s has no ansible-core", release)
	}
	h.Run("mkdir", "-p", "/srv/packages")
	for _, file := range files {
		h.put(file, "/srv/packages/"+filepath.Base(file), 0o644)
	}
	h.Run("sh", "-c", "apt-get -qy install /srv/packages/*.deb >/srv/log 2>&1 </dev/null || { tail /srv/log; exit 1; }")
	top := filepath.Join(testbed.Root(), "packaging", "ansible")
	err := filepath.WalkDir(top, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		name, err := filepath.Rel(top, path)
		if err == nil {
			h.put(path, "/srv/ansible/"+name, 0o644)
		}
		return err
	})
	if err != nil {
		h.t.Fatal(err)
	}
}

// play runs the example playbook on the host itself.
func (h host) play(vars map[string]any) testbed.Result {
	h.t.Helper()
	text, err := json.Marshal(vars)
	if err != nil {
		h.t.Fatal(err)
	}
	h.Write("/srv/ansible/vars.json", string(text), 0o600)
	return h.TryInput("", []string{"ANSIBLE_NOCOLOR=1", "ANSIBLE_LOCALHOST_WARNING=False"}, "ansible-playbook",
		"--connection", "local", "--inventory", "localhost,",
		"--extra-vars", "@/srv/ansible/vars.json", "/srv/ansible/site.yml")
}

// A component is what of an EC2 Image Builder component its agent looks at.
type component struct {
	Name, Description string
	SchemaVersion     string `yaml:"schemaVersion"`
	Parameters        []map[string]struct {
		Type, Description string
		Default           *string
	}
	Phases []struct {
		Name  string
		Steps []struct {
			Name, Action string
			Inputs       struct{ Commands []string }
		}
	}
}

func byImageBuilder(t *testing.T, debs []string) {
	t.Parallel()
	h := newHost(t, "bookworm", debs)
	// The agent's host has curl; this one fetches from a folder.
	const curl = "#!/bin/sh\n# curl -fsS --retry 5 -o FILE ADDRESS\nexec cp \"/srv/${6##*/}\" \"$5\"\n"
	h.Write("/usr/local/bin/curl", curl, 0o755)
	h.Write("/etc/systemd/system/nss-iam.service.d/account.conf",
		"[Service]\nEnvironment="+strings.Join(testbed.Credentials(), " ")+"\n", 0o644)
	h.Write("/srv/config.toml", config, 0o644)
	h.Publish(testbed.NewSigningKey(t).Repository(t, "file:/srv/repo", debs...), "/srv/repo")
	h.Run("cp", "/srv/repo/nss-iam.asc", "/srv/repo/apt/nss-iam.sources", "/srv/")
	sum := strings.Fields(h.Run("sha256sum", "/srv/nss-iam.asc"))[0]

	given := map[string]string{"Repository": "https://packages.example.com", "Sha256": strings.Repeat("0", 64)}
	if step, r := h.component(given); step != "Install" || h.Try("dpkg", "-s", "nss-iam").Code == 0 {
		t.Fatalf("a key with another checksum: step %q ended with %v", step, r)
	}
	given["Sha256"] = sum
	if step, r := h.component(given); step != "" {
		t.Fatalf("step %q: %v", step, r)
	}
	h.mustBeAnImage()
	if got := h.Read(testbed.Config); got != "[login]\ngroups = [\"developers\"]\n\n[sudo]\ngroups = [\"admins\"]\n" {
		t.Errorf("config.toml is %q", got)
	}

	given["Configuration"] = "https://packages.example.com/config.toml"
	if step, r := h.component(given); step != "" {
		t.Fatalf("with a configuration: step %q: %v", step, r)
	}
	h.mustBeAnImage()
	h.boot()
	h.mustServe()
}

// component runs the component's steps with these parameters, and returns the
// name of the first that fails.
func (h host) component(given map[string]string) (string, testbed.Result) {
	h.t.Helper()
	file, err := os.Open(filepath.Join(testbed.Root(), "packaging/aws/image-builder/nss-iam.yaml"))
	if err != nil {
		h.t.Fatal(err)
	}
	defer file.Close()
	var c component
	d := yaml.NewDecoder(file)
	d.KnownFields(true)
	if err := d.Decode(&c); err != nil {
		h.t.Fatal(err)
	}
	values := maps.Clone(given)
	for _, p := range c.Parameters {
		for name, parameter := range p {
			if _, ok := values[name]; !ok && parameter.Default != nil {
				values[name] = *parameter.Default
			}
		}
	}
	var pairs []string
	for _, name := range slices.Sorted(maps.Keys(values)) {
		pairs = append(pairs, "{{ "+name+" }}", values[name])
	}
	for _, phase := range c.Phases {
		for _, step := range phase.Steps {
			script := strings.NewReplacer(pairs...).Replace(strings.Join(step.Inputs.Commands, "\n"))
			if step.Action != "ExecuteBash" || strings.Contains(script, "{{") {
				h.t.Fatalf("step %q: action %q, with parameters that have no value: %s", step.Name, step.Action, script)
			}
			r := h.Try("bash", "-c", script)
			h.t.Logf("%6.1f s  %s", r.Took.Seconds(), step.Name)
			if r.Code != 0 {
				return step.Name, r
			}
		}
	}
	return "", testbed.Result{}
}
