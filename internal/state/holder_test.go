package state

import (
	"fmt"
	"os"
	"strings"
	"testing"
)

func TestTheHolderOfALockIsNamed(t *testing.T) {
	dir := t.TempDir()
	if got := Holder(dir); got != "" {
		t.Errorf("no file: %q", got)
	}
	s, err := Open(dir)
	must(t, err)
	defer func() { _ = s.Close() }()
	if got, want := Holder(dir), fmt.Sprintf("process %d, \"", os.Getpid()); !strings.HasPrefix(got, want) {
		t.Errorf("got %q, want %q…", got, want)
	}
}

func TestALockOfAnotherKindOrAnotherFileIsNotTaken(t *testing.T) {
	const locks = "1: POSIX  ADVISORY  WRITE 11 fe:01:42 0 EOF\n" +
		"2: FLOCK  ADVISORY  WRITE 12 fe:01:142 0 EOF\n" +
		"3: FLOCK  ADVISORY  WRITE 13 fe:01:42 0 EOF\n" +
		"3: -> FLOCK  ADVISORY  WRITE 14 fe:01:42 0 EOF\n"
	for inode, want := range map[uint64]int{42: 13, 142: 12, 2: 0} {
		if got := lockedBy(locks, inode); got != want {
			t.Errorf("inode %d: got %d, want %d", inode, got, want)
		}
	}
}
