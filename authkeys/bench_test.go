package main

import (
	"bytes"
	"context"
	"debug/elf"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/nss-iam/nss-iam/internal/cache"
	"github.com/nss-iam/nss-iam/internal/control"
	"github.com/nss-iam/nss-iam/internal/keys"
	"github.com/nss-iam/nss-iam/tests/unmet"
)

// build makes the real binary, with its places in dir.
func build(tb testing.TB, dir string) string {
	tb.Helper()
	binary := filepath.Join(dir, "authkeys")
	cmd := exec.Command("go", "build", "-trimpath", "-o", binary, "-ldflags",
		fmt.Sprintf("-s -w -X main.cacheDir=%s -X main.socketPath=%s", dir, filepath.Join(dir, "sock")), ".")
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := cmd.CombinedOutput(); err != nil {
		tb.Fatalf("%v\n%s", err, out)
	}
	return binary
}

func TestTheBinaryIsStaticAndHonoursNoEnvironment(t *testing.T) {
	unmet.Long(t, "the program is built and linked")
	dir := t.TempDir()
	binary := build(t, dir)
	in := company()
	in.Policy.Online = "off"
	ending := &in.Users[0].Keys[1]
	ending.Expires = time.Now().Add(time.Hour)
	if _, err := cache.PublishKeys(dir, in, -1, time.Now()); err != nil {
		t.Fatal(err)
	}
	headers, err := elf.Open(binary)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = headers.Close() }()
	for _, p := range headers.Progs {
		if p.Type == elf.PT_INTERP || p.Type == elf.PT_DYNAMIC {
			t.Errorf("the binary has a segment %s: it is not static", p.Type)
		}
	}
	plain := exec.Command(binary, "alice", "2001000001")
	plain.Env = []string{}
	want, err := plain.Output()
	if err != nil || bytes.Count(want, []byte("\n")) != 2 {
		t.Fatalf("%v\n%s", err, want)
	}
	loaded := exec.Command(binary, "alice", "2001000001")
	loaded.Env = []string{"TZ=Asia/Kolkata", "HOME=/nonexistent", "AWS_REGION=nowhere", "LD_PRELOAD=/x",
		"GODEBUG=netdns=cgo", "SSH_ORIGINAL_COMMAND=x"}
	if got, err := loaded.Output(); err != nil || !bytes.Equal(got, want) {
		t.Errorf("with an environment: %v\n%s\nwant\n%s", err, got, want)
	}
}

// BenchmarkHelper measures the real binary from start to exit among 5,000
// users. The median is what issue and README speak of.
func BenchmarkHelper(b *testing.B) {
	dir := b.TempDir()
	binary := build(b, dir)
	many := company()
	for i := range 5000 {
		many.Users = append(many.Users, cache.UserKeys{
			Name: fmt.Sprintf("user%04d", i), UID: 2002000000 + uint32(i), Login: true, Checked: time.Now(),
			Keys: []keys.Key{key("APKAA", fmt.Sprint("a", i)), key("APKAB", fmt.Sprint("b", i))},
		})
	}
	l, err := control.Listen(filepath.Join(dir, "sock"), 0o600, -1)
	if err != nil {
		b.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	server := control.NewServer(control.Options{Lookup: lookups["truth"], Reuse: time.Hour,
		Peers: []uint32{uint32(os.Getuid())}})
	go func() { _ = server.Serve(ctx, net.Listener(l)) }()
	for _, mode := range []string{"off", "require"} {
		many.Policy.Online = mode
		if _, err := cache.PublishKeys(dir, many, -1, time.Now()); err != nil {
			b.Fatal(err)
		}
		name := map[string]string{"off": "cached", "require": "daemon"}[mode]
		b.Run(name, func(b *testing.B) {
			var took []time.Duration
			for b.Loop() {
				begin := time.Now()
				out, err := exec.Command(binary, "alice", "2001000001").Output()
				took = append(took, time.Since(begin))
				if err != nil || bytes.Count(out, []byte("\n")) != 2 {
					b.Fatalf("%v %s", err, out)
				}
			}
			slices.Sort(took)
			b.ReportMetric(float64(took[len(took)/2].Microseconds())/1000, "ms/median")
		})
	}
}
