// Package documents runs what README.md, docs and the man pages tell people to
// type. The commands are run in the documents' order on a Debian host that has
// booted, on which, at first, nothing is installed. IAM and the metadata service
// are the emulator's, at EC2's own address; S3 and the parameter store are
// cloud's, and so are aws, curl and dnf: see cloud/main.go. Of the aws commands
// only those of IAM and the ones cloud/operations.go has a function for do
// anything; the others are held against its list of operations and options.
//
// Commands are run where a reader would run them. "$" is the reader's own machine, where
// the checkout and the keys are, and "#" is root on the instance, which has neither, in the
// folder to which files are copied. A script is the reader's own if it asks AWS or makes
// keys, else the instance's. The machines share programs and the network only in that
// ssh to any name leads to the instance's sshd. Where a console
// block shows output, the command must print those lines. Configurations are
// checked by check-config, policies against a list of actions.
//
// A block that cannot be run has the reason in a comment before it, such as
// <!-- not run: needs an AWS account -->. Other comments: <!-- exit status 1 -->
// for the block's last command, <!-- on the publisher --> for a second instance,
// <!-- on your machine --> or <!-- on the instance --> where the rule above is wrong,
// <!-- while IAM is down --> for an outage that lasts as long as the block.
package documents

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	yaml "go.yaml.in/yaml/v3"

	"github.com/nss-iam/nss-iam/tests/testbed"
)

func TestEveryCommandInTheDocumentsWorks(t *testing.T) {
	t.Parallel()
	testbed.RequireArtifacts(t, "dh", "ssh-keygen")
	blocks, err := allBlocks()
	if err != nil {
		t.Fatal(err)
	}
	start := time.Now()
	// The hosts may do what the README says they need, and no more.
	policies := slices.IndexFunc(blocks, func(b block) bool { return b.document == "README.md" && b.language == "json" })
	if policies < 0 {
		t.Fatal("README.md has no policy")
	}
	r := newReader(t, blocks[policies].text())
	t.Logf("a host after %v", time.Since(start).Round(100*time.Millisecond))
	run, checked, commandsRun, beanstalk := 0, 0, 0, false
	var notRun []string
	for _, b := range blocks {
		runs, known := languages[b.language]
		switch {
		case !known:
			t.Errorf("%v: language %q is not known to this test", b, b.language)
		case !runs && slices.ContainsFunc(b.lines, commands.MatchString):
			t.Errorf("%v: commands in a block that is not marked as such", b)
		case !runs:
		case b.notRun != "":
			notRun = append(notRun, fmt.Sprintf("%v: %s", b, b.notRun))
		case b.language == "sh", b.language == "console":
			began := time.Now()
			commandsRun += r.run(b)
			run++
			if took := time.Since(began); took > 2*time.Second {
				t.Logf("%v took %v", b, took.Round(100*time.Millisecond))
			}
		default:
			r.check(b)
			checked++
		}
		if t.Failed() {
			t.Fatalf("the blocks after %v are not run: they rest on it", b)
		}
		if b.document != "README.md" && !beanstalk {
			beanstalk = true
			r.beanstalk()
		}
	}
	t.Logf("%d blocks run (%d commands and scripts), %d checked, %d not run, in %v", run, commandsRun, checked,
		len(notRun), time.Since(start).Round(100*time.Millisecond))
	for _, reason := range notRun {
		t.Logf("not run: %s", reason)
	}
	if run < 40 || checked < 7 {
		t.Errorf("%d blocks run and %d checked: where are the others?", run, checked)
	}
}

const (
	// folder is where the reader has the repository, on the reader's machine.
	folder = "/root/src/nss-iam"
	// checkout is where that is on the instance's disk: the documents know nothing of it.
	checkout = "/srv/laptop"
	// copied is where the instance has what is copied to it.
	copied = "/home/admin"
)

// A reader types the documents' commands on a host.
type reader struct {
	t      *testing.T
	host   *testbed.Host
	policy string                      // that README.md gives hosts
	places map[string]*testbed.Process // the other machines there are, by what documents call them
}

// The account that the documents speak of; its users and login groups are made
// by the README itself.
const company = `{"account": "111122223333", "groups": [{"name": "ops"}, {"name": "team-web"}]}`

const metadata, services = "169.254.169.254", "169.254.169.253"

var environment = []string{
	"AWS_ENDPOINT_URL_IAM=http://" + metadata, "AWS_ENDPOINT_URL_STS=http://" + metadata, "AWS_ENDPOINT_URL_EC2=http://" +
		metadata,
	"AWS_ENDPOINT_URL_S3=http://" + services, "AWS_ENDPOINT_URL_SSM=http://" + services,
}

func newReader(t *testing.T, hostPolicy string) *reader {
	t.Helper()
	work := t.TempDir()
	cloud := filepath.Join(work, "cloud")
	build := exec.Command("go", "build", "-o", cloud, "./tests/integration/documents/cloud")
	build.Dir, build.Env = testbed.Root(), append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("build the stand-in: %v\n%s", err, out)
	}
	debs := testbed.Pack(t, "deb", "0.2.0")
	published := testbed.NewSigningKey(t).Repository(t, "file:/srv/packages", debs...)

	r := &reader{t: t, host: testbed.NewBootedHost(t, "trixie"), policy: hostPolicy,
		places: make(map[string]*testbed.Process)}
	tree := exec.Command("tar", "-C", testbed.Root(), "--owner=0", "--group=0", "-c", "README.md", "docs", "packaging/aws")
	files, err := tree.Output()
	if err != nil {
		t.Fatal(err)
	}
	r.host.Run("mkdir", "-p", checkout+"/src/nss-iam/build/repo", checkout+"/.ssh", "/srv/packages", "/run/cloud")
	r.unpack(files, checkout+"/src/nss-iam")
	r.host.Publish(published, "/srv/packages")
	r.put(filepath.Join(published.Folder, "nss-iam.asc"), checkout+"/src/nss-iam/build/repo/nss-iam.asc")
	for _, deb := range debs {
		r.put(deb, checkout+"/src/nss-iam/build/"+filepath.Base(deb))
		r.put(deb, "/srv/packages/"+filepath.Base(deb))
	}
	r.put(debs[0], "/srv/packages/nss-iam.rpm")
	r.put(filepath.Join(testbed.Root(), "packaging/config.toml"), "/srv/packages/config.toml")
	for _, name := range []string{"cloud", "aws", "curl", "dnf"} {
		r.put(cloud, "/usr/local/bin/"+name)
	}
	r.put(filepath.Join(testbed.Build(), "iam-emulator"), "/usr/local/bin/iam-emulator")
	r.host.Write("/usr/local/bin/editor", "#!/bin/sh\ntest -f \"$1\"\n", 0o755)

	r.host.Run("sh", "-ec", "ip link set lo up; ip addr add "+metadata+"/32 dev lo; ip addr add "+services+"/32 dev lo")
	r.host.Write("/run/cloud/company.json", company, 0o644)
	r.host.Start(nil, "/usr/local/bin/iam-emulator", "-listen", metadata+":80", "-company", "/run/cloud/company.json",
		"-address-file", "/run/cloud/url")
	r.host.Start(nil, "/usr/local/bin/cloud", services+":80")
	// The daemon finds the emulator as it would find AWS: without a word in its configuration.
	r.host.Write("/etc/systemd/system.conf.d/cloud.conf", "[Manager]\nDefaultEnvironment="+strings.Join(environment, " ")+
		"\n", 0o644)
	r.host.Run("systemctl", "daemon-reload")
	r.host.Write(checkout+"/.ssh/config", "Host *\nHostName 127.0.0.1\nBatchMode yes\nStrictHostKeyChecking no\n"+
		"UserKnownHostsFile /dev/null\nLogLevel ERROR\n", 0o600)
	// The image's own way in: a user with a key and sudo.
	key := testbed.NewKey(t, "ed25519", "admin")
	r.host.Run("useradd", "-m", "-s", "/bin/bash", "-p", "*", "admin")
	r.host.Write("/home/admin/.ssh/authorized_keys", key.Public+"\n", 0o600)
	r.host.Run("chown", "-R", "admin:admin", "/home/admin/.ssh")
	r.host.Write("/etc/sudoers.d/90-cloud-init-users", "admin ALL=(ALL) NOPASSWD:ALL\n", 0o440)
	r.host.Write(checkout+"/.ssh/id_ed25519", key.Private, 0o600)
	r.host.Eventually("the emulator answers", time.Minute,
		func() bool { return r.host.Try("test", "-s", "/run/cloud/url").Code == 0 })
	r.instanceRole(hostPolicy)
	return r
}

// instanceRole gives the instance a profile with this policy.
func (r *reader) instanceRole(policy string) {
	r.t.Helper()
	body := `{"role": "nss-iam-host", "policy": ` + policy + `}`
	request, err := http.NewRequestWithContext(context.Background(), http.MethodPut, "http://"+metadata+"/admin/instance",
		strings.NewReader(body))
	if err != nil {
		r.t.Fatal(err)
	}
	response, err := r.host.Client().Do(request)
	if err != nil {
		r.t.Fatal(err)
	}
	defer response.Body.Close()
	if response.StatusCode >= 300 {
		r.t.Fatalf("give the instance a role: %s", response.Status)
	}
}

func (r *reader) unpack(archive []byte, where string) {
	r.t.Helper()
	if got := r.host.TryInput(string(archive), nil, "tar", "-C", where, "-x"); got.Code != 0 {
		r.t.Fatal(got)
	}
}

func (r *reader) put(file, name string) {
	r.t.Helper()
	content, err := os.ReadFile(file)
	if err != nil {
		r.t.Fatal(err)
	}
	r.host.Write(name, string(content), 0o755)
}

const (
	ownMachine = "your machine"
	instance   = "the instance"
)

// others are the machines besides the instance, as processes that see other files: what
// each puts in the place of the instance's.
var others = map[string]string{
	ownMachine: "mount --bind " + checkout + " /root; mount -t tmpfs tmpfs /home",
	"the publisher": "for d in /etc/nss-iam /var/lib/nss-iam /run/nss-iam; do mount -t tmpfs -o mode=0755 tmpfs $d; " +
		"done; cp /srv/packages/config.toml /etc/nss-iam/",
}

// bash runs a script as the reader: stopped by the first command that fails.
func (r *reader) bash(where, script string) testbed.Result {
	r.t.Helper()
	dir := copied
	if where == ownMachine {
		dir = folder
	}
	command := []string{"bash", "-euo", "pipefail", "-c", "cd " + dir + "\n" + script}
	if others[where] != "" {
		command = append([]string{"nsenter", "-m", "-t", r.other(where), "--"}, command...)
	}
	return r.host.TryInput("", append(environment, "TERM=dumb"), command...)
}

// other is the number, on the host, of a process that is another machine.
func (r *reader) other(where string) string {
	r.t.Helper()
	if r.places[where] == nil {
		ready := "/run/cloud/" + strings.ReplaceAll(where, " ", "-")
		r.places[where] = r.host.Start(nil, "unshare", "--mount", "--propagation", "private", "sh", "-ec",
			others[where]+"; touch "+ready+"; exec sleep infinity")
		r.host.Eventually(where+" is there", time.Minute, func() bool { return r.host.Try("test", "-e", ready).Code == 0 })
	}
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", r.places[where].Pid()))
	if err != nil {
		r.t.Fatal(err)
	}
	inside := regexp.MustCompile(`(?m)^NSpid:.*\t([0-9]+)$`).FindSubmatch(status)
	if inside == nil {
		r.t.Fatalf("no number of the process of %s in the host: %s", where, status)
	}
	return string(inside[1])
}

// run types a block's commands, and returns how many.
func (r *reader) run(b block) int {
	r.t.Helper()
	if b.outage {
		r.host.Run("cloud", "down", metadata)
		defer r.host.Run("cloud", "up", metadata)
	}
	if b.where == "the publisher" { // whose policy is packaging/aws/snapshot.yaml's
		r.instanceRole(`{"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "*", "Resource": "*"}]}`)
		defer r.instanceRole(r.policy)
	}
	if b.language == "sh" {
		r.script(b)
		return 1
	}
	steps := b.steps()
	if len(steps) == 0 {
		r.t.Errorf("%v: a console block begins with \"$ \" or \"# \"", b)
	}
	for i, s := range steps {
		status := 0
		if i == len(steps)-1 {
			status = b.status
		}
		r.step(b, s, status)
	}
	return len(steps)
}

func (r *reader) script(b block) {
	r.t.Helper()
	if got := r.bash(b.place(), b.text()); got.Code != b.status {
		r.t.Errorf("%v: want exit status %d: %s\n%s\nexit status %d\n%s", b, b.status, b.text(), got.Stdout, got.Code,
			got.Stderr)
	}
}

// looks are the commands that change nothing, which may be repeated.
var looks = regexp.MustCompile(
	`^(id|getent|ssh|journalctl|iam-cachefill (status|explain|doctor)|systemctl (is-active|status))\b`)

// step runs a command of a console block. Output that is not there yet, since
// the daemon needs a moment, is waited for.
func (r *reader) step(b block, s step, status int) {
	r.t.Helper()
	var got testbed.Result
	var missing string
	for deadline := time.Now().Add(time.Minute); ; time.Sleep(200 * time.Millisecond) {
		got = r.bash(s.place(b), s.command)
		var ok bool
		missing, ok = shows(got.Stdout+got.Stderr, s.output)
		if got.Code == status && ok {
			return
		}
		if !looks.MatchString(s.command) || time.Now().After(deadline) {
			break
		}
	}
	r.t.Errorf("%s:%d: %s\nwant exit status %d and %q; got %d and\n%s\n%s", b.document, s.line, s.command, status,
		missing, got.Code, got.Stdout, got.Stderr)
}

// beanstalk does what Elastic Beanstalk does with the file for .ebextensions:
// writes its files, and runs its commands in the order of their names.
func (r *reader) beanstalk() {
	r.t.Helper()
	const name = "packaging/aws/ebextensions/nss-iam.config"
	text, err := os.ReadFile(filepath.Join(testbed.Root(), name))
	if err != nil {
		r.t.Fatal(err)
	}
	sum := strings.Fields(r.host.Run("sha256sum", "/srv/packages/nss-iam.rpm"))[0]
	var extension struct {
		Files map[string]struct {
			Mode, Owner, Group, Content string
		}
		Commands map[string]struct{ Command string }
	}
	d := yaml.NewDecoder(strings.NewReader(strings.Replace(string(text), strings.Repeat("0", 64), sum, 1)))
	d.KnownFields(true)
	if err := d.Decode(&extension); err != nil {
		r.t.Fatalf("%s: %v", name, err)
	}
	for path, f := range extension.Files {
		// Three digits for the kind of file, which is a plain one, and three for the mode.
		mode, err := strconv.ParseUint(f.Mode, 8, 32)
		if err != nil || len(f.Mode) != 6 || f.Owner != "root" || f.Group != "root" {
			r.t.Errorf("%s: %s has mode %q, owner %q and group %q", name, path, f.Mode, f.Owner, f.Group)
		}
		r.host.Write(path, f.Content, os.FileMode(mode))
	}
	for range 2 { // a second deployment changes nothing
		for _, key := range slices.Sorted(maps.Keys(extension.Commands)) {
			if got := r.host.TryInput("", environment, "sh", "-c", extension.Commands[key].Command); got.Code != 0 {
				r.t.Errorf("%s: %s: %v", name, key, got)
			}
		}
	}
	r.host.Eventually("alice is known", time.Minute, func() bool { return r.host.Try("id", "alice").Code == 0 })
}

// check judges a block that is no command.
func (r *reader) check(b block) {
	r.t.Helper()
	var err error
	switch b.language {
	case "toml":
		err = r.toml(b)
	case "json":
		err = policy(b.text())
	case "yaml":
		var node yaml.Node
		err = yaml.Unmarshal([]byte(b.text()), &node)
	}
	if err != nil {
		r.t.Errorf("%v: %v", b, err)
	}
}

var loginRule = regexp.MustCompile(`(?m)^\[login\]`)

// toml has check-config judge a configuration. A fragment without a login rule
// gets one, since without any nothing is served.
func (r *reader) toml(b block) error {
	r.t.Helper()
	text := b.text()
	if !loginRule.MatchString(text) {
		text += "[login]\nall_users = true\n"
	}
	r.host.Write("/run/cloud/config.toml", text, 0o644)
	if got := r.host.Try("iam-cachefill", "check-config", "--config", "/run/cloud/config.toml"); got.Code != 0 {
		return fmt.Errorf("%s%s", got.Stdout, got.Stderr)
	}
	return nil
}

// Actions that policies in documents may name.
var actions = []string{
	"iam:GetGroup", "iam:GetUser", "iam:ListSSHPublicKeys", "iam:GetSSHPublicKey", "iam:ListGroupsForUser",
	"iam:ListUsers", "iam:ListGroups",
	"iam:ListUserTags", "iam:TagUser", "iam:UntagUser", "iam:UploadSSHPublicKey", "iam:UpdateSSHPublicKey",
	"iam:DeleteSSHPublicKey",
	"iam:AddUserToGroup", "iam:RemoveUserFromGroup", "iam:CreateUser", "iam:UpdateUser", "iam:UpdateGroup",
	"iam:CreateGroup",
	"ssm:StartSession", "ssm:TerminateSession", "ssm:ResumeSession", "ec2-instance-connect:SendSSHPublicKey",
	"ec2:DescribeInstances",
}

// policy judges an IAM policy.
func policy(text string) error {
	var p struct {
		Version   string
		Statement []map[string]any
	}
	d := json.NewDecoder(strings.NewReader(text))
	d.DisallowUnknownFields()
	if err := d.Decode(&p); err != nil {
		return err
	}
	if p.Version != "2012-10-17" || len(p.Statement) == 0 {
		return fmt.Errorf("version %q, %d statements", p.Version, len(p.Statement))
	}
	for _, s := range p.Statement {
		for key := range s {
			if !slices.Contains([]string{"Sid", "Effect", "Action", "Resource", "NotResource", "Condition"}, key) {
				return fmt.Errorf("no element %q in a statement", key)
			}
		}
		if s["Effect"] != "Allow" && s["Effect"] != "Deny" || (s["Resource"] == nil) == (s["NotResource"] == nil) {
			return fmt.Errorf("statement %v has no effect or no resource", s)
		}
		named, many := s["Action"].([]any)
		if !many {
			named = []any{s["Action"]}
		}
		for _, action := range named {
			if name, _ := action.(string); !slices.Contains(actions, name) {
				return fmt.Errorf("action %q is not known to this test", action)
			}
		}
	}
	return nil
}
