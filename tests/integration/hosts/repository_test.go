package hosts

import (
	"strings"
)

// Where a host finds the repository, and the one whose key it does not know.
const (
	repository = "/opt/packages"
	strangers  = "of strangers"
)

// subscribe tells apt of the repository, as README.md does, and which key signs it.
func (s site) subscribe() {
	s.t.Helper()
	s.Publish(s.f.repositories[newer], repository)
	s.Run("install", "-D", "-m", "0644", repository+"/nss-iam.asc", "/etc/apt/keyrings/nss-iam.asc")
	s.Run("install", "-m", "0644", repository+"/apt/nss-iam.sources", "/etc/apt/sources.list.d/")
	s.Run(update...)
}

// The release's own archive is out of reach.
var update = []string{"apt-get", "-qq", "-o", "Dir::Etc::SourceList=/dev/null", "-o", "APT::Update::Error-Mode=any",
	"update"}

// publish publishes another version, and has apt read the lists.
func (s site) publish(version string) {
	s.t.Helper()
	s.Publish(s.f.repositories[version], repository)
	s.forget()
	s.Run(update...)
}

// forget has apt read the lists again: it takes none that is older than the one it
// has, and these were all made in one minute.
func (s site) forget() {
	s.t.Helper()
	s.Run("sh", "-c", "rm -rf /var/lib/apt/lists/*")
}

// tamper shows apt what somebody else published.
func (s site) tamper() {
	packages := repository + "/apt/dists/stable/main/binary-amd64"
	for name, c := range map[string]struct{ version, script, want string }{
		"a package with another byte": {newer, "f=$(echo " + repository +
			"/apt/pool/main/n/nss-iam/libnss-iam_*.deb); printf x | dd of=$f bs=1 seek=5000 conv=notrunc status=none",
			"Hash Sum mismatch"},
		"a list with another package": {newer, "cd " + packages + "; sed -i 's/^Version: .*/Version: 9.9/' Packages; rm " +
			"Packages.xz; gzip -9nkf Packages", ""},
		"a key that nobody trusts": {strangers, "", ""},
		"no signature": {newer, "rm " + repository + "/apt/dists/stable/InRelease " + repository +
			"/apt/dists/stable/Release.gpg", ""},
	} {
		s.Publish(s.f.repositories[c.version], repository)
		s.Run("sh", "-ec", c.script)
		s.forget()
		r := s.Try(update...)
		if r.Code == 0 {
			r = s.Try("env", "DEBIAN_FRONTEND=noninteractive", "apt-get", "-qq", "-y", "--no-install-recommends", "install",
				"nss-iam="+newer)
		}
		if r.Code == 0 || !strings.Contains(r.Stdout+r.Stderr, c.want) {
			s.t.Errorf("%s was not refused: %v\n%s", name, r, r.Stdout)
		}
		if got := s.Run("dpkg-query", "-W", "-f", "${Version}", "nss-iam"); got != older {
			s.t.Errorf("%s: nss-iam is %s now", name, got)
		}
	}
}
