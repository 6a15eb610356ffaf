package hosts

import (
	"fmt"
	"strings"

	"github.com/nss-iam/nss-iam/tests/testbed"
)

// census is every file of a host with mode, owner and size, and the content of
// those outside /usr. Left out is what other programs keep about any
// installation, any account made and any boot: dpkg's, apt's and systemd's own
// state, dpkg-db-backup's copies of it, logs, caches, root's own .ssh, and the backups and
// the lock of passwd(5).
const census = `cd / && LC_ALL=C; export LC_ALL
skip="-path var/log -o -path var/cache -o -path var/tmp -o -path var/lib/dpkg -o -path var/lib/systemd
-o -path var/lib/apt -o -path var/backups -o -path root/.ssh
-o -name passwd- -o -name shadow- -o -name group- -o -name gshadow- -o -name subuid- -o -name subgid-
-o -path etc/.pwd.lock"
{
find etc usr var root \( $skip \) -prune -o \( -type d -printf '%p %y %m %U:%G\n' -o -printf '%p %y %m %U:%G %s %l\n' \)
find etc var root \( $skip \) -prune -o -type f -print0 | xargs -0 sha256sum | awk '{ print $2, $1 }'
} | sort`

func (s site) census() string {
	s.t.Helper()
	return s.Run("sh", "-c", census)
}

// same fails the test where the host is not as it was. What lies in the folder
// of the cache is not looked at where served is true.
func (s site) same(what, before string, served bool) {
	s.t.Helper()
	for _, line := range differences(before, s.census()) {
		if !served || !strings.Contains(line, " var/lib/nss-iam") {
			s.t.Errorf("%s: %s", what, line)
		}
	}
}

// differences are the lines of two texts that only one has.
func differences(before, after string) (all []string) {
	count := make(map[string]int)
	for line := range strings.Lines(before + "\n") {
		count[strings.TrimSpace(line)]--
	}
	for line := range strings.Lines(after + "\n") {
		count[strings.TrimSpace(line)]++
	}
	for line, n := range count {
		if n != 0 {
			all = append(all, fmt.Sprintf("%+d %s", n, line))
		}
	}
	return all
}

func apt(host *testbed.Host, args ...string) string {
	return host.Run(append([]string{"env", "DEBIAN_FRONTEND=noninteractive", "apt-get", "-qq", "-y",
		"--no-install-recommends",
		"-o", "Dpkg::Options::=--force-confold", "-o", "DPkg::Lock::Timeout=60"}, args...)...)
}
