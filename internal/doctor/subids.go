package doctor

import (
	"fmt"
	"os"
	"strconv"
	"strings"
)

// subids looks for ranges of further uids and gids, which rootless containers
// use, that overlap the numbers of directory users.
func (e *examination) subids() {
	if e.HighID == 0 {
		return
	}
	for _, name := range []string{"/etc/subuid", "/etc/subgid"} {
		text, err := os.ReadFile(e.Host.Root + name)
		if err != nil {
			continue
		}
		for line := range strings.Lines(string(text)) {
			f := strings.Split(strings.TrimSpace(line), ":")
			if len(f) != 3 {
				continue
			}
			first, err1 := strconv.ParseUint(f[1], 10, 32)
			count, err2 := strconv.ParseUint(f[2], 10, 32)
			if err1 != nil || err2 != nil || count == 0 || first > uint64(e.HighID) || first+count <= uint64(e.LowID) {
				continue
			}
			e.add(Warning, "subordinate ids", fmt.Sprintf("%s gives %.80q the numbers %d to %d; those from %d to %d are directory users'",
				name, f[0], first, first+count-1, e.LowID, e.HighID),
				"processes in containers of that user can own, and change, files of directory users with these numbers",
				"give a range below "+strconv.FormatUint(uint64(e.LowID), 10)+` instead: "Rootless podman" in docs/operations.md`)
		}
	}
}
