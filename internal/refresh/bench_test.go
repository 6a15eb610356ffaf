package refresh_test

import (
	"errors"
	"fmt"
	"syscall"
	"testing"
	"time"

	"github.com/nss-iam/nss-iam/internal/accounts"
	"github.com/nss-iam/nss-iam/internal/cache"
	"github.com/nss-iam/nss-iam/tests/emulator"
)

// newFleetHost is a host of 5,000 users with two keys each, all of them known.
func newFleetHost(b *testing.B) *host {
	h := newHostOf(b, emulator.Options{Company: emulator.Generate(emulator.Size{Users: 5000, Keys: 2, Groups: 200,
		Seed: 1})}, nil)
	h.Policy.Login, h.Policy.Sudo, h.Policy.Shared = []string{"everyone"}, []string{"group-001"}, nil
	h.refresh()
	h.sweep()
	return h
}

// reportCPU has the benchmark tell the processor time of an operation as well,
// which other work on the machine changes less.
func reportCPU(b *testing.B) (end func()) {
	used := func() time.Duration {
		var r syscall.Rusage
		if err := syscall.Getrusage(syscall.RUSAGE_SELF, &r); err != nil {
			b.Fatal(err)
		}
		return time.Duration(r.Utime.Nano() + r.Stime.Nano())
	}
	before := used()
	return func() { b.ReportMetric((used()-before).Seconds()*1000/float64(b.N), "cpu-ms/op") }
}

// What a changed user costs, from the answer in hand to both files on disk.
func BenchmarkPublishAChange(b *testing.B) {
	h := newFleetHost(b)
	n := 0
	defer reportCPU(b)()
	for b.Loop() {
		// Another user is local as well, and no longer served.
		n++
		h.local.Users = []accounts.HostUser{{Name: fmt.Sprintf("user-%05d", 1+n%2), UID: 1000, GID: 1000}}
		if o, err := h.Rebuild(); err != nil || !o.Published {
			b.Fatal(o.Published, err)
		}
	}
}

// What it costs to write both files again, all checks included, once it is known
// what they are to hold.
func BenchmarkPublishBothFiles(b *testing.B) {
	h := newFleetHost(b)
	tables, _, err := cache.ReadNSS(h.Dir)
	known, _, err2 := cache.ReadKeys(h.Dir)
	if err := errors.Join(err, err2); err != nil {
		b.Fatal(err)
	}
	defer reportCPU(b)()
	for b.Loop() {
		tables.Users[0].Gecos += "."
		known.Policy.Timeout += time.Second
		nss, err := cache.PublishNSS(h.Dir, tables, time.Now())
		keys, err2 := cache.PublishKeys(h.Dir, known, -1, time.Now())
		if err := errors.Join(err, err2); err != nil || !nss || !keys {
			b.Fatal(nss, keys, err)
		}
	}
}

// What a refresh costs that finds nothing new, without IAM's own work.
func BenchmarkARefreshWithoutChange(b *testing.B) {
	h := newFleetHost(b)
	h.refresh()
	defer reportCPU(b)()
	for b.Loop() {
		h.refresh()
	}
}
