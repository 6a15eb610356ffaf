package vm

import (
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"github.com/nss-iam/nss-iam/tests/testbed"
)

// linked is Debian's policy with our module in it, made in a layer over the tree:
// within a machine that takes minutes.
const linked = `set -e
mount --make-rprivate /
mount -t tmpfs tmpfs "$2"
mkdir "$2/upper" "$2/work" "$2/root"
mount -t overlay overlay -o "lowerdir=$1,upperdir=$2/upper,workdir=$2/work" "$2/root"
cp "$3" "$2/root/nss_iam.pp"
cp "$4" "$2/root/atd.cil"
chroot "$2/root" semodule -n -s default -i /nss_iam.pp -i /atd.cil
tar -C "$2/root" -cf "$5" etc/selinux/default var/lib/selinux/default`

func TestWhereSELinuxEnforcesEveryWayInWorksAndNothingOfOursIsDenied(t *testing.T) {
	bookworm := release(t, "bookworm")
	room(t)
	t.Parallel()
	p := pack(t, "selinux")
	testbed.Require(t, "gawk", "m4", "checkmodule")
	module := filepath.Join(t.TempDir(), "nss_iam.pp")
	for _, command := range [][]string{
		{filepath.Join(testbed.Root(), "packaging/selinux/build"), module},
		{"unshare", "--mount", "bash", "-c", linked, "linked", bookworm.file("root"), t.TempDir(), module,
			filepath.Join(testbed.Root(), "tests/vm/atd.cil"), filepath.Join(p.dir, "policy.tar")},
	} {
		if out, err := exec.Command(command[0], command[1:]...).CombinedOutput(); err != nil {
			t.Fatalf("%q: %v\n%s", command, err, out)
		}
	}
	machine{tree: bookworm, payload: p.disk(), append: "security=selinux selinux=1", memory: "1024"}.boot(t,
		"selinux").passed(20 * time.Minute)
}

func TestProgramsThatAppArmorConfinesLookPeopleUpByOurFragmentsOnly(t *testing.T) {
	bookworm := release(t, "bookworm")
	room(t)
	t.Parallel()
	p := pack(t, "apparmor")
	machine{tree: bookworm, payload: p.disk(), append: "security=apparmor", memory: "768"}.
		boot(t, "apparmor").passed(20 * time.Minute)
}
