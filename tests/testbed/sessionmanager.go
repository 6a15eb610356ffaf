package testbed

import (
	"fmt"
	"regexp"
	"strconv"
	"strings"
)

// SessionManager does what the agent of AWS Systems Manager does before it
// gives a shell to the user that RunAs names: it asks a shell for "id NAME",
// takes uid, gid and groups from what id prints, and starts the user's shell with
// these in /home/NAME. PAM is not asked, and the agent makes neither user nor
// home: without a home the session does not begin. input is what the person
// types. An error is the agent's own.
// (amazon-ssm-agent: shell_unix.go, utility_unix.go)
func (h *Host) SessionManager(user, input string) (Result, error) {
	h.t.Helper()
	if r := h.Try("sh", "-c", "id "+user); r.Code != 0 {
		return r, fmt.Errorf("failed to start the session as %q: the user does not exist", user)
	}
	uid, err := h.agentNumber("id -u " + user)
	if err != nil {
		return Result{}, err
	}
	gid, err := h.agentNumber("id -g " + user)
	if err != nil {
		return Result{}, err
	}
	groups, err := h.agentGroups("id " + user)
	if err != nil {
		return Result{}, err
	}
	home := "/home/" + user
	if h.Try("test", "-d", home).Code != 0 {
		return Result{}, fmt.Errorf("chdir %s: no such file or directory", home)
	}
	shell := h.Run("getent", "passwd", user)
	shell = shell[strings.LastIndex(shell, ":")+1:]
	return h.TryInput("cd\n"+input, []string{"HOME=" + home, "USER=" + user, "LOGNAME=" + user},
		"setpriv", "--reuid", uid, "--regid", gid, "--groups", strings.Join(groups, ","), "--", shell), nil
}

// agentNumber reads a number as the agent does, which refuses root's.
func (h *Host) agentNumber(command string) (string, error) {
	h.t.Helper()
	text := strings.TrimSpace(h.Try("sh", "-c", command).Stdout)
	if n, err := strconv.Atoi(text); err != nil || n <= 0 {
		return "", fmt.Errorf("%s: invalid number %q", command, text)
	}
	return text, nil
}

var agentGroup = regexp.MustCompile(`^(?:.* groups=)?([0-9]+)\(`)

// agentGroups splits what id prints at commas, and wants a name in brackets in
// every part: a group with a comma in its name, or without a name, ends the
// session before it begins.
func (h *Host) agentGroups(command string) (groups []string, err error) {
	h.t.Helper()
	for _, part := range strings.Split(strings.TrimSpace(h.Try("sh", "-c", command).Stdout), ",") {
		match := agentGroup.FindStringSubmatch(part)
		if match == nil || match[1] == "0" {
			return nil, fmt.Errorf("%s: invalid group %q", command, part)
		}
		groups = append(groups, match[1])
	}
	return groups, nil
}
