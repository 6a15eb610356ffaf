package doctor

import (
	"fmt"
	"os"
	"strconv"
	"strings"
)

// lastlogLimit is the apparent size from which lastlog is worth a word: what
// uids of local people make is below.
const lastlogLimit = 100 << 30

// lastlog looks at the file that has a record at the place of each uid, and
// holes between them.
func (e *examination) lastlog() {
	info, err := os.Stat(e.Host.Root + "/var/log/lastlog")
	if err != nil || info.Size() < lastlogLimit {
		return
	}
	e.add(Warning, "lastlog", fmt.Sprintf("/var/log/lastlog appears to have %d GB", info.Size()/1_000_000_000),
		"the file is sparse; a backup that reads its holes takes as long as for a file of that size, and may store it",
		`have backups keep holes, or do without the file: "lastlog" in docs/operations.md`)
}

// subids looks for ranges of further uids and gids, which rootless containers
// use, that overlap the uids of directory users.
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
			e.add(Warning, "subordinate ids", fmt.Sprintf("%s gives %.80q the ids %d to %d; those from %d to %d are "+
				"directory users'",
				name, f[0], first, first+count-1, e.LowID, e.HighID),
				"processes in containers of that user can own, and change, files of directory users with these ids",
				"give a range below "+strconv.FormatUint(uint64(e.LowID), 10)+` instead: "Rootless podman" in docs/operations.md`)
		}
	}
}
