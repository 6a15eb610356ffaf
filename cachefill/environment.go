package main

import (
	"bufio"
	"os"
	"strings"
)

// daemonEnvironment gives this process what the daemon's unit is given, so
// that AWS is asked as the daemon asks it. What the environment has already
// stands.
func daemonEnvironment() {
	f, err := os.Open("/etc/nss-iam/environment")
	if err != nil {
		return
	}
	defer func() { _ = f.Close() }()
	for lines := bufio.NewScanner(f); lines.Scan(); {
		name, value, ok := strings.Cut(strings.TrimSpace(lines.Text()), "=")
		if _, set := os.LookupEnv(name); ok && !set && !strings.HasPrefix(name, "#") {
			_ = os.Setenv(name, strings.Trim(value, `"'`))
		}
	}
}
