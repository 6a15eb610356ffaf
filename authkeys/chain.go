package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/nss-iam/nss-iam/internal/keys"
)

// Bounds of the other helper.
const (
	chainTime   = 5 * time.Second
	chainOutput = 256 << 10 // bytes
	chainLines  = 256
)

// runChain runs another AuthorizedKeysCommand and returns the lines of its
// output that are keys. Unless it ends well and in time, none count. Bad lines
// are left out and reported in the error, beside the good ones.
func runChain(argv []string, q question) ([]string, error) {
	argv, err := expand(argv, q)
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(context.Background(), chainTime)
	defer cancel()
	output := &boundedBuffer{limit: chainOutput}
	cmd := exec.CommandContext(ctx, argv[0], argv[1:]...)
	cmd.Dir, cmd.Stdout = "/", output
	cmd.Env = []string{"PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"}
	// Its own children must not outlive the limit either.
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) }
	cmd.WaitDelay = 200 * time.Millisecond
	if err := cmd.Run(); err != nil {
		switch {
		case ctx.Err() != nil:
			err = fmt.Errorf("not done after %s", chainTime)
		case output.full:
			err = fmt.Errorf("more than %d bytes of output", chainOutput)
		}
		return nil, fmt.Errorf("run %q: %w", argv[0], err)
	}
	return chainKeys(output.text)
}

func chainKeys(output []byte) (lines []string, err error) {
	bad := 0
	for raw := range bytes.Lines(output) {
		line, lineErr := keys.ForeignLine(string(bytes.TrimSuffix(raw, []byte("\n"))))
		switch {
		case lineErr != nil:
			bad++
			err = fmt.Errorf("%d bad lines left out, the last: %w", bad, lineErr)
		case line == "":
		case len(lines) == chainLines:
			return lines, fmt.Errorf("more than %d keys, the rest left out", chainLines)
		default:
			lines = append(lines, line)
		}
	}
	return lines, err
}

// expand puts sshd's values in the place of arguments that are a token.
func expand(argv []string, q question) ([]string, error) {
	if !filepath.IsAbs(argv[0]) {
		return nil, fmt.Errorf("run %q: not an absolute path", argv[0])
	}
	values := map[string]string{"%u": q.name, "%f": q.fingerprint, "%k": q.keyText, "%t": q.keyType}
	if q.hasUID {
		values["%U"] = strconv.FormatUint(uint64(q.uid), 10)
	}
	out := make([]string, len(argv))
	for i, a := range argv {
		value, known := values[a]
		switch {
		case i > 0 && known && value != "":
			out[i] = value
		case i > 0 && (known || a == "%U"):
			return nil, fmt.Errorf("run %q: it wants %s, which sshd_config's AuthorizedKeysCommand does not pass", argv[0], a)
		default:
			out[i] = strings.ReplaceAll(a, "%%", "%")
		}
	}
	return out, nil
}

var errFull = errors.New("output too long")

// A boundedBuffer takes so much and no more; the writing process then fails.
// It is not a bytes.Buffer inside out: that one's ReadFrom knows no bound.
type boundedBuffer struct {
	text  []byte
	limit int
	full  bool
}

func (b *boundedBuffer) Write(p []byte) (int, error) {
	if len(b.text)+len(p) > b.limit {
		b.full = true
		return 0, errFull
	}
	b.text = append(b.text, p...)
	return len(p), nil
}
