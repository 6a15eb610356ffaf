package doctor

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"
)

const (
	// registration is where Systems Manager's agent keeps who a hybrid node is.
	registration = "/var/lib/amazon/ssm/registration"
	environment  = "/etc/nss-iam/environment"
	unitDropIns  = "/etc/systemd/system/nss-iam.service.d"

	// keptFor is how long what the agent writes is good; it writes every 30 minutes.
	keptFor = time.Hour

	hybridRecipe = `see "Hybrid nodes" in docs/operations.md`
)

// hybridNode looks at the credentials of a host that is no EC2 instance and is
// known to Systems Manager: no metadata service gives it any.
func (e *examination) hybridNode() {
	text, err := os.ReadFile(e.Host.Root + registration)
	if err != nil || e.AWS == nil || e.Snapshot != "" {
		return
	}
	var node struct{ ManagedInstanceID string }
	if json.Unmarshal(text, &node) != nil || !strings.HasPrefix(node.ManagedInstanceID, "mi-") {
		return // an EC2 instance, whose agent may have a registration, too
	}
	given := e.environment()
	file := given["AWS_SHARED_CREDENTIALS_FILE"]
	what := fmt.Sprintf("this is the hybrid node %.30q", node.ManagedInstanceID)
	switch {
	case given["AWS_ACCESS_KEY_ID"] != "":
		e.good("hybrid node", what+", with an access key of its own")
		return
	case file == "":
		e.add(Broken, "hybrid node", what+", and "+environment+" names no credentials",
			"a hybrid node has no role of an instance: the daemon asks with the agent's credentials, or with none", hybridRecipe)
		return
	case !e.seen(file):
		e.add(Broken, "hybrid node", fmt.Sprintf("the daemon does not see %q", file), "its unit hides the folder from it",
			hybridRecipe)
		return
	}
	info, err := os.Stat(e.Host.Root + file)
	switch {
	case err != nil:
		e.add(Broken, "hybrid node", fmt.Sprintf("%q is not there", file), "the agent has written no credentials",
			"systemctl status amazon-ssm-agent; ShareCreds must not be false in /etc/amazon/ssm/amazon-ssm-agent.json")
	case time.Since(info.ModTime()) > keptFor:
		e.add(Broken, "hybrid node", fmt.Sprintf("%q was written %s ago", file,
			time.Since(info.ModTime()).Round(time.Minute)),
			"the agent's credentials are valid for an hour, and it renews them every 30 minutes", "systemctl restart "+
				"amazon-ssm-agent")
	default:
		e.good("hybrid node", fmt.Sprintf("%s, whose agent renews %q", what, file))
	}
}

// environment is what the daemon's unit is given.
func (e *examination) environment() map[string]string {
	given := make(map[string]string)
	text, err := os.ReadFile(e.Host.Root + environment)
	if err != nil {
		return given
	}
	for line := range strings.Lines(string(text)) {
		name, value, ok := strings.Cut(strings.TrimSpace(line), "=")
		if ok && !strings.HasPrefix(name, "#") {
			given[name] = strings.Trim(value, `"'`)
		}
	}
	return given
}

// seen reports whether the daemon's unit shows a file to it.
func (e *examination) seen(file string) bool {
	hides := false
	for _, dir := range hidden {
		hides = hides || strings.HasPrefix(file, dir)
	}
	if !hides {
		return true
	}
	names, _ := filepath.Glob(filepath.Join(e.Host.Root+unitDropIns, "*.conf"))
	for _, name := range names {
		text, err := os.ReadFile(name)
		if err != nil {
			continue
		}
		for line := range strings.Lines(string(text)) {
			key, value, _ := strings.Cut(strings.TrimSpace(line), "=")
			if key != "BindReadOnlyPaths" && key != "BindPaths" {
				continue
			}
			for bound := range strings.FieldsSeq(value) {
				if bound = strings.TrimPrefix(bound, "-"); file == bound || strings.HasPrefix(file, bound+"/") {
					return true
				}
			}
		}
	}
	return false
}
