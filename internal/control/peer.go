package control

import (
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"net"
	"os"
	"slices"
	"sync"
	"time"

	"golang.org/x/sys/unix"
	"golang.org/x/time/rate"
)

// Listen makes the socket at path, with mode and the group gid (-1: the group of
// the process). It replaces a socket that a dead daemon left there. The mode does
// not decide who may speak: Server does, by the uid that the kernel reports.
func Listen(path string, mode fs.FileMode, gid int) (*net.UnixListener, error) {
	if info, err := os.Lstat(path); err == nil && info.Mode().Type() == fs.ModeSocket {
		if err := os.Remove(path); err != nil {
			return nil, err
		}
	}
	l, err := net.ListenUnix("unix", &net.UnixAddr{Name: path, Net: "unix"})
	if err != nil {
		return nil, err
	}
	err = os.Chmod(path, mode)
	if gid >= 0 {
		err = errors.Join(err, os.Lchown(path, -1, gid))
	}
	if err != nil {
		_ = l.Close()
		return nil, err
	}
	return l, nil
}

// peer returns the uid of the process that connected, or that listens, as the
// kernel recorded it: SO_PEERCRED, unix(7).
func peer(conn *net.UnixConn) (uint32, error) {
	raw, err := conn.SyscallConn()
	if err != nil {
		return 0, err
	}
	var cred *unix.Ucred
	var credErr error
	if err := raw.Control(func(fd uintptr) {
		cred, credErr = unix.GetsockoptUcred(int(fd), unix.SOL_SOCKET, unix.SO_PEERCRED)
	}); err != nil {
		return 0, err
	}
	if credErr != nil {
		return 0, fmt.Errorf("read peer's credentials: %w", credErr)
	}
	return cred.Uid, nil
}

// A door accepts connections of the peers it knows, and only so many at a time.
// Root's connections have places of their own: anybody who tries to log in makes
// sshd open connections as the helper's user, and these must not keep root out.
type door struct {
	net.Listener
	peers  []uint32
	places chan struct{}
	roots  chan struct{}
	log    *slog.Logger
	quiet  rate.Sometimes
}

func newDoor(l net.Listener, o Options) *door {
	return &door{
		Listener: l, peers: o.Peers, places: make(chan struct{}, o.Connections), roots: make(chan struct{}, o.Reserved),
		log: o.Log, quiet: rate.Sometimes{First: 5, Interval: 10 * time.Second},
	}
}

// Accept returns the next connection that may stay; others are closed at once.
func (d *door) Accept() (net.Conn, error) {
	for {
		conn, err := d.Listener.Accept()
		if err != nil {
			return nil, err
		}
		u, ok := conn.(*net.UnixConn)
		if !ok {
			_ = conn.Close()
			return nil, fmt.Errorf("accept: %s is not a Unix socket", conn.RemoteAddr().Network())
		}
		uid, err := peer(u)
		places := d.places
		if uid == 0 {
			places = d.roots
		} else if err == nil && !slices.Contains(d.peers, uid) {
			err = fmt.Errorf("uid %d is not allowed to connect", uid)
		}
		if err == nil {
			select {
			case places <- struct{}{}:
				return &guest{Conn: conn, uid: uid, leave: sync.OnceFunc(func() { <-places })}, nil
			default:
				err = fmt.Errorf("%d connections of uid %d are open already", cap(places), uid)
			}
		}
		_ = conn.Close()
		d.quiet.Do(func() { d.log.Warn("control socket: peer refused", "reason", err) })
	}
}

// A guest is an accepted connection and who is at its other end.
type guest struct {
	net.Conn
	uid   uint32
	leave func() // gives the place back, once
}

func (g *guest) Close() error {
	defer g.leave()
	return g.Conn.Close()
}
