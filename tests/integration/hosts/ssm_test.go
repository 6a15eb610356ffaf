package hosts

import (
	"regexp"
	"strconv"
	"strings"
)

// sessionManager does what the agent of AWS Systems Manager does before it
// gives a shell to the user that RunAs names: it asks a shell for "id NAME",
// takes uid, gid and groups from what id prints, and starts a shell with these
// in /home/NAME. PAM is not asked, so that nothing but the daemon has made the
// home. (amazon-ssm-agent: shell_unix.go, utility_unix.go)
func (s site) sessionManager() {
	for _, name := range []string{"alice", "bob", "carol", "dave", "eve.at.example.com"} {
		if r := s.Try("sh", "-c", "id "+name); r.Code != 0 {
			s.t.Errorf("%s does not exist: %v", name, r)
			continue
		}
		uid, gid := s.agentNumber("id -u "+name), s.agentNumber("id -g "+name)
		var groups []string
		for _, group := range s.agentGroups("id " + name) {
			groups = append(groups, strconv.Itoa(group))
		}
		home := "/home/" + name
		if got, want := s.Run("stat", "-c", "%u:%g %a %F", home), strconv.Itoa(uid)+":"+strconv.Itoa(gid)+" 700 directory"; got != want {
			s.t.Errorf("%s is %s, want %s", home, got, want)
		}
		if got := s.Run("find", home, "-not", "-user", name); got != "" {
			s.t.Errorf("not %s's: %s", name, got)
		}
		shell := s.Run("getent", "passwd", name)
		shell = shell[strings.LastIndex(shell, ":")+1:]
		r := s.TryInput("cd\npwd\ntest -f .bashrc && echo skeleton\ntouch mine && stat -c %U mine\nid -un\nexit\n", []string{"HOME=" + home, "USER=" + name, "LOGNAME=" + name},
			"setpriv", "--reuid", strconv.Itoa(uid), "--regid", strconv.Itoa(gid), "--groups", strings.Join(groups, ","), "--", shell)
		if want := home + "\nskeleton\n" + name + "\n" + name + "\n"; r.Stdout != want || r.Code != 0 {
			s.t.Errorf("%s's shell: %v, want %q", name, r, want)
		}
	}
	if r := s.Try("sh", "-c", "id mallory"); r.Code == 0 {
		s.t.Errorf("mallory may not log in, and exists: %v", r)
	}
}

// agentNumber reads a number as the agent does, which refuses root's.
func (s site) agentNumber(command string) int {
	s.t.Helper()
	n, err := strconv.Atoi(strings.TrimSpace(s.Run("sh", "-c", command)))
	if err != nil || n <= 0 {
		s.t.Fatalf("%s: %d, %v", command, n, err)
	}
	return n
}

var agentGroup = regexp.MustCompile(`^(?:.* groups=)?([0-9]+)\(`)

// agentGroups splits what id prints at commas, and wants a name in brackets in
// every part: a group with a comma in its name, or without a name, ends the
// session before it begins.
func (s site) agentGroups(command string) (groups []int) {
	s.t.Helper()
	for _, part := range strings.Split(strings.TrimSpace(s.Run("sh", "-c", command)), ",") {
		match := agentGroup.FindStringSubmatch(part)
		if match == nil {
			s.t.Fatalf("%s: invalid group %q", command, part)
		}
		n, err := strconv.Atoi(match[1])
		if err != nil || n <= 0 {
			s.t.Fatalf("%s: group %d, %v", command, n, err)
		}
		groups = append(groups, n)
	}
	return groups
}
