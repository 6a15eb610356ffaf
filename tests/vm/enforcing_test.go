package vm

import (
	"cmp"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"github.com/nss-iam/nss-iam/tests/testbed"
)

// linked is the release's policy with our module in it, compiled and put in place
// in a layer over the tree: within a machine that takes minutes.
const linked = `set -e
mount --make-rprivate /
mount -t tmpfs tmpfs "$2"
mkdir "$2/upper" "$2/work" "$2/root"
mount -t overlay overlay -o "lowerdir=$1,upperdir=$2/upper,workdir=$2/work" "$2/root"
cp -r "$3/packaging/selinux" "$2/root/module"
cp "$3/tests/vm/debian.cil" "$2/root/debian.cil"
chroot "$2/root" /module/build /nss_iam.pp
chroot "$2/root" semodule -n -s default -i /nss_iam.pp -i /debian.cil
tar -C "$2/root" -cf "$4" etc/selinux/default var/lib/selinux/default`

// Debian 12 as a rule. "NSS_IAM_SELINUX=trixie make vm-test" boots Debian 13 in its place.
func TestWhereSELinuxEnforcesEveryWayInWorksAndNothingOfOursIsDenied(t *testing.T) {
	debian := release(t, cmp.Or(os.Getenv("NSS_IAM_SELINUX"), "bookworm"))
	room(t)
	t.Parallel()
	p := pack(t, "selinux")
	if out, err := exec.Command("unshare", "--mount", "bash", "-c", linked, "linked", debian.file("root"), t.TempDir(),
		testbed.Root(), filepath.Join(p.dir, "policy.tar")).CombinedOutput(); err != nil {
		t.Fatalf("link the policy: %v\n%s", err, out)
	}
	machine{tree: debian, payload: p.disk(), append: "security=selinux selinux=1", memory: "1024"}.boot(t,
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
