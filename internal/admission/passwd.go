package admission

import (
	"bufio"
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"
)

// maxPasswd bounds what is read of the passwd file.
const maxPasswd = 32 << 20

// LocalUID looks name up in the passwd file at path alone. The first entry of a name counts, as it does for
// the C library.
func LocalUID(path, name string) (uid uint32, found bool, err error) {
	f, err := os.Open(path)
	if err != nil {
		return 0, false, err
	}
	defer func() { _ = f.Close() }()
	lines := bufio.NewScanner(io.LimitReader(f, maxPasswd))
	for lines.Scan() {
		fields := strings.SplitN(lines.Text(), ":", 4)
		if fields[0] != name {
			continue
		}
		if len(fields) < 4 {
			return 0, false, fmt.Errorf("read %q: the entry of %q is cut short", path, name)
		}
		n, err := strconv.ParseUint(fields[2], 10, 32)
		if err != nil {
			return 0, false, fmt.Errorf("read %q: the entry of %q has uid %.20q", path, name, fields[2])
		}
		return uint32(n), true, nil
	}
	return 0, false, lines.Err()
}
