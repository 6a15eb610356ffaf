package hostsetup

import (
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
)

// Where systemd looks for units, the first being the strongest, systemd.unit(5).
var unitDirs = []string{
	"/etc/systemd/system", "/run/systemd/system", "/usr/local/lib/systemd/system",
	"/usr/lib/systemd/system", "/lib/systemd/system",
}

// A commandLineOption is an AuthorizedKeysCommand that stands in a unit of
// sshd's: it beats whatever sshd_config says, as EC2 Instance Connect wants it.
type commandLineOption struct {
	unit    string   // "ssh.service"
	file    string   // where its ExecStart is
	line    string   // ExecStart's value
	words   []string // the command, with sshd's tokens
	without string   // ExecStart's value without the options for the key command
}

var (
	keysOption = regexp.MustCompile(`\s+-o\s*(?:"AuthorizedKeysCommand(?:User)?[ =][^"]*"|` +
		`'AuthorizedKeysCommand(?:User)?[ =][^']*'|AuthorizedKeysCommand(?:User)?=\S+)`)
	keysValue = regexp.MustCompile(`AuthorizedKeysCommand[ =]+([^"'\n]*)`)
)

// commandLineOptions looks for such options in the units that start sshd.
func (h *Host) commandLineOptions() (found []commandLineOption) {
	for _, unit := range []string{"ssh.service", "sshd.service", "ssh@.service", "sshd@.service"} {
		file, line := h.execStart(unit)
		match := keysValue.FindStringSubmatch(line)
		if match == nil || !keysOption.MatchString(line) {
			continue
		}
		// A unit writes %% for sshd's %.
		words := strings.Fields(strings.ReplaceAll(match[1], "%%", "%"))
		found = append(found, commandLineOption{unit, file, line, words, keysOption.ReplaceAllString(line, "")})
	}
	return found
}

// execStart returns the value of a unit's last ExecStart and its file.
func (h *Host) execStart(unit string) (file, line string) {
	var files []string
	dropIns := make(map[string]string)
	for _, dir := range unitDirs {
		if name := filepath.Join(dir, unit); len(files) == 0 && h.exists(name) {
			files = append(files, name)
		}
		for _, suffix := range []string{unit + ".d", "service.d"} {
			entries, _ := os.ReadDir(h.at(filepath.Join(dir, suffix)))
			for _, e := range entries {
				if _, stronger := dropIns[e.Name()]; !stronger && strings.HasSuffix(e.Name(), ".conf") {
					dropIns[e.Name()] = filepath.Join(dir, suffix, e.Name())
				}
			}
		}
	}
	names := make([]string, 0, len(dropIns))
	for name := range dropIns {
		names = append(names, name)
	}
	slices.Sort(names)
	for _, name := range names {
		files = append(files, dropIns[name])
	}
	for _, name := range files {
		if name == unitOverride(unit) {
			continue // what we wrote ourselves
		}
		content, err := os.ReadFile(h.at(name))
		if err != nil {
			continue
		}
		text := strings.ReplaceAll(string(content), "\\\n", " ")
		for l := range strings.Lines(text) {
			key, value, ok := strings.Cut(strings.TrimSpace(l), "=")
			if value = strings.TrimSpace(value); ok && strings.TrimSpace(key) == "ExecStart" && value != "" {
				file, line = name, value
			}
		}
	}
	return file, line
}

func (h *Host) exists(name string) bool {
	_, err := os.Stat(h.at(name))
	return err == nil
}

// unitOverride is the drop-in that takes the option out of sshd's command line.
func unitOverride(unit string) string { return "/etc/systemd/system/" + unit + ".d/zz-nss-iam.conf" }
