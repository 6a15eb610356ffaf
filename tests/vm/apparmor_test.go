package vm

import (
	"testing"
	"time"
)

func TestProgramsThatAppArmorConfinesLookPeopleUpByOurFragmentsOnly(t *testing.T) {
	t.Parallel()
	bookworm := release(t, "bookworm")
	p := pack(t, "apparmor")
	machine{tree: bookworm, payload: p.disk(), append: "security=apparmor", memory: "768"}.
		boot(t, "apparmor").passed(20 * time.Minute)
}
