// Package powerloss is a disk for tests that remembers every write to it and
// what was synced, so that a test can look at each state in which a loss of
// power could have left it. It knows nothing of what the files are.
//
// The disk is a FUSE file system of one folder, so it sees what the kernel
// sees: writes through a mapping as well, and of programs that are static.
// The process that serves a Disk must not map its files: a page fault would
// wait for the process that is stopped by it.
package powerloss

import (
	"bytes"
	"context"
	"fmt"
	"io/fs"
	"sync"
	"syscall"
	"time"

	fuse "github.com/hanwen/go-fuse/v2/fs"
	wire "github.com/hanwen/go-fuse/v2/fuse"
)

// A Disk is one folder of plain files in memory.
type Disk struct {
	fuse.Inode
	server *wire.Server

	mu    sync.Mutex // guards what follows
	names map[string]*file
	made  uint64 // files so far
	trace Trace
}

// A file is what is open or has a name.
type file struct {
	fuse.Inode
	disk *Disk
	id   uint64

	// Guarded by disk.mu.
	data    []byte
	mode    uint32
	changed time.Time
}

// Mount puts an empty Disk at dir. Only root can.
func Mount(dir string) (*Disk, error) {
	d := &Disk{names: map[string]*file{}}
	server, err := fuse.Mount(dir, d, &fuse.Options{MountOptions: wire.MountOptions{
		DirectMountStrict: true, DisableXAttrs: true, FsName: "powerloss", Name: "powerloss",
		// A file changes through the kernel alone: what it has in memory is right.
		ExplicitDataCacheControl: true,
	}})
	if err != nil {
		return nil, fmt.Errorf("mount a disk of the tests at %q: %w", dir, err)
	}
	d.server = server
	return d, nil
}

// Unmount takes the disk away.
func (d *Disk) Unmount() error { return d.server.Unmount() }

// Promise notes that from now on somebody relies on what the disk holds.
func (d *Disk) Promise() { d.note(Event{Kind: Promised}) }

// Trace returns what happened so far.
func (d *Disk) Trace() Trace {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.trace[:len(d.trace):len(d.trace)]
}

// Files returns what a program sees now.
func (d *Disk) Files() map[string]Content {
	d.mu.Lock()
	defer d.mu.Unlock()
	files := map[string]Content{}
	for name, f := range d.names {
		files[name] = Content{bytes.Clone(f.data), fs.FileMode(f.mode)}
	}
	return files
}

func (d *Disk) note(e Event) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.trace = append(d.trace, e)
}

// Lookup, Create, Unlink, Rename and Fsync are the folder's part of package
// github.com/hanwen/go-fuse/v2/fs.

func (d *Disk) Lookup(ctx context.Context, name string, out *wire.EntryOut) (*fuse.Inode, syscall.Errno) {
	d.mu.Lock()
	defer d.mu.Unlock()
	f := d.names[name]
	if f == nil {
		return nil, syscall.ENOENT
	}
	f.attr(&out.Attr)
	return d.NewInode(ctx, f, fuse.StableAttr{Mode: syscall.S_IFREG, Ino: f.id + 1}), 0
}

func (d *Disk) Create(ctx context.Context, name string, flags, mode uint32, out *wire.EntryOut) (*fuse.Inode,
	fuse.FileHandle, uint32, syscall.Errno) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.names[name] != nil {
		return nil, nil, 0, syscall.EEXIST
	}
	d.made++
	f := &file{disk: d, id: d.made, mode: mode & 0o7777, changed: time.Now()}
	d.names[name] = f
	d.trace = append(d.trace, Event{Kind: Made, File: f.id, Mode: fs.FileMode(f.mode)},
		Event{Kind: Named, Name: name, File: f.id})
	f.attr(&out.Attr)
	return d.NewInode(ctx, f, fuse.StableAttr{Mode: syscall.S_IFREG, Ino: f.id + 1}), nil, 0, 0
}

func (d *Disk) Unlink(ctx context.Context, name string) syscall.Errno {
	d.mu.Lock()
	defer d.mu.Unlock()
	delete(d.names, name)
	d.trace = append(d.trace, Event{Kind: Named, Name: name})
	return 0
}

func (d *Disk) Rename(ctx context.Context, name string, _ fuse.InodeEmbedder, newName string,
	flags uint32) syscall.Errno {
	if flags != 0 {
		return syscall.EINVAL
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	f := d.names[name]
	delete(d.names, name)
	d.names[newName] = f
	d.trace = append(d.trace, Event{Kind: Named, Name: newName, File: f.id}, Event{Kind: Named, Name: name})
	return 0
}

func (d *Disk) Fsync(context.Context, fuse.FileHandle, uint32) syscall.Errno {
	d.note(Event{Kind: FolderSynced})
	return 0
}

func (d *Disk) Getattr(_ context.Context, _ fuse.FileHandle, out *wire.AttrOut) syscall.Errno {
	out.Mode = 0o755
	return 0
}

// What follows is a file's part of the same.

func (f *file) attr(out *wire.Attr) {
	out.Ino, out.Mode, out.Size, out.Nlink = f.id+1, syscall.S_IFREG|f.mode, uint64(len(f.data)), 1
	out.Blocks = (out.Size + 511) / 512
	out.SetTimes(&f.changed, &f.changed, &f.changed)
}

func (f *file) Getattr(_ context.Context, _ fuse.FileHandle, out *wire.AttrOut) syscall.Errno {
	f.disk.mu.Lock()
	defer f.disk.mu.Unlock()
	f.attr(&out.Attr)
	return 0
}

func (f *file) Setattr(_ context.Context, _ fuse.FileHandle, in *wire.SetAttrIn, out *wire.AttrOut) syscall.Errno {
	f.disk.mu.Lock()
	defer f.disk.mu.Unlock()
	if size, ok := in.GetSize(); ok {
		f.data = resized(f.data, int(size))
		f.disk.trace = append(f.disk.trace, Event{Kind: Resized, File: f.id, At: int(size)})
	}
	if mode, ok := in.GetMode(); ok {
		f.mode = mode & 0o7777
		f.disk.trace = append(f.disk.trace, Event{Kind: ModeSet, File: f.id, Mode: fs.FileMode(f.mode)})
	}
	f.changed = time.Now()
	f.attr(&out.Attr)
	return 0
}

func (f *file) Open(context.Context, uint32) (fuse.FileHandle, uint32, syscall.Errno) {
	return nil, 0, 0
}

func (f *file) Read(_ context.Context, _ fuse.FileHandle, into []byte, at int64) (wire.ReadResult, syscall.Errno) {
	f.disk.mu.Lock()
	defer f.disk.mu.Unlock()
	n := 0
	if at < int64(len(f.data)) {
		n = copy(into, f.data[at:])
	}
	return wire.ReadResultData(into[:n]), 0
}

func (f *file) Write(_ context.Context, _ fuse.FileHandle, data []byte, at int64) (uint32, syscall.Errno) {
	f.disk.mu.Lock()
	defer f.disk.mu.Unlock()
	f.data = written(f.data, int(at), data)
	f.changed = time.Now()
	f.disk.trace = append(f.disk.trace, Event{Kind: Written, File: f.id, At: int(at), Data: bytes.Clone(data)})
	return uint32(len(data)), 0
}

func (f *file) Fsync(context.Context, fuse.FileHandle, uint32) syscall.Errno {
	f.disk.note(Event{Kind: Synced, File: f.id})
	return 0
}

// resized returns data with the length n, zeros behind what was there.
func resized(data []byte, n int) []byte {
	if n <= len(data) {
		return data[:n:n]
	}
	return append(data[:len(data):len(data)], make([]byte, n-len(data))...)
}

// written returns data with part at the place given.
func written(data []byte, at int, part []byte) []byte {
	if at+len(part) > len(data) {
		data = resized(data, at+len(part))
	}
	copy(data[at:], part)
	return data
}
