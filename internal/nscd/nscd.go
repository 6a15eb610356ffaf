// Package nscd tells a name service cache daemon, glibc's nscd or unscd, that
// what it remembers of users and groups is out of date: by Debian's defaults it
// would go on answering for ten minutes (users) and an hour (groups), also
// after a restart. It asks for nothing else, and where no such daemon runs it
// does nothing.
package nscd

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"syscall"
	"time"
)

// Socket is where such a daemon listens. It is part of glibc's ABI.
const Socket = "/var/run/nscd/socket"

// Settle is after which time everybody in the daemon reads the new nss.db: the
// module looks for one at most once a second, so an old answer may be
// remembered again after an invalidation that comes at once.
const Settle = 1500 * time.Millisecond

// patience bounds one question.
const patience = time.Second

// The request's head, three 32-bit integers in the machine's order: the
// protocol's version, what is asked, and the length of the name that follows
// with its zero byte.
//
// Source: glibc, nscd/nscd-client.h.
const (
	protocolVersion   = 2
	requestInvalidate = 10
)

// caches are what the module answers for.
var caches = []string{"passwd", "group"}

// Invalidate has the daemon at socket forget users and groups, and waits until
// it has. It reports false where none listens. Only root may ask.
func Invalidate(ctx context.Context, socket string) (running bool, err error) {
	for _, name := range caches {
		running, err := invalidate(ctx, socket, name)
		if !running {
			return false, nil
		}
		if err != nil {
			return true, fmt.Errorf("invalidate nscd's cache %q: %w", name, err)
		}
	}
	return true, nil
}

func invalidate(ctx context.Context, socket, name string) (running bool, err error) {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	conn, err := new(net.Dialer).DialContext(ctx, "unix", socket)
	if errors.Is(err, fs.ErrNotExist) || errors.Is(err, syscall.ECONNREFUSED) {
		return false, nil
	}
	if err != nil {
		return true, err
	}
	defer func() { _ = conn.Close() }()
	deadline, _ := ctx.Deadline()
	if err := conn.SetDeadline(deadline); err != nil {
		return true, err
	}
	if _, err := conn.Write(request(name)); err != nil {
		return true, err
	}
	// glibc's acknowledges with a number; others close the connection.
	var answer [4]byte
	switch _, err := io.ReadFull(conn, answer[:]); {
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
		return true, nil
	case err != nil:
		return true, err
	}
	if code := int32(binary.NativeEndian.Uint32(answer[:])); code != 0 {
		return true, syscall.Errno(code)
	}
	return true, nil
}

func request(name string) []byte {
	var b []byte
	for _, n := range []int{protocolVersion, requestInvalidate, len(name) + 1} {
		b = binary.NativeEndian.AppendUint32(b, uint32(n))
	}
	return append(append(b, name...), 0)
}
