package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
)

// A refresh on schedule and one that somebody asks for may end at the same time.
func TestReportsWrittenAtOnceAreEachWhole(t *testing.T) {
	before := socketPath
	socketPath = filepath.Join(t.TempDir(), "sock")
	t.Cleanup(func() { socketPath = before })
	var writers sync.WaitGroup
	for i := range 8 {
		writers.Go(func() {
			for range 50 {
				if err := writeReport(cacheDir, report{Error: strings.Repeat("x", i*1000)}); err != nil {
					t.Error(err)
				}
				if _, err := readReport(cacheDir); err != nil {
					t.Error(err)
				}
			}
		})
	}
	writers.Wait()
	if entries, err := os.ReadDir(filepath.Dir(socketPath)); err != nil || len(entries) != 1 {
		t.Errorf("left: %v, %v", entries, err)
	}
}

// What is tried with another configuration says nothing of the host.
func TestAReportIsOfOneCacheFolder(t *testing.T) {
	x := newTerminal(t)
	if err := os.Remove(filepath.Dir(socketPath)); err != nil { // no daemon ever ran
		t.Fatal(err)
	}
	host := x.host("host", fmt.Sprintf("[source]\nendpoint = %q\nrate = 100\n%s", x.e.URL, logins))
	x.run(exitOK, "--config", host, "refresh")
	want, err := os.ReadFile(filepath.Join(filepath.Dir(socketPath), "status.json"))
	if err != nil {
		t.Fatal(err)
	}
	other := x.config("other", fmt.Sprintf("[source]\nendpoint = %q\nrate = 100\n[login]\ngroups = [\"no-such-group\"]\n",
		x.e.URL))
	x.run(exitFailed, "--config", other, "refresh")
	publisher := x.config("publisher", fmt.Sprintf("[source]\nendpoint = %q\nrate = 100\nbulk = true\n", x.e.URL))
	x.run(exitOK, "--config", publisher, "publish", "file://"+filepath.Join(x.dir, "snapshot"), "--new-key",
		filepath.Join(x.dir, "key"))
	if got, err := os.ReadFile(filepath.Join(filepath.Dir(socketPath), "status.json")); err != nil ||
		string(got) != string(want) {
		t.Errorf("the host's report changed, %v:\n%s", err, got)
	}
	if r, err := readReport(x.cache("other")); err != nil || !strings.Contains(r.Error, "no-such-group") {
		t.Errorf("the other's own report: %+v, %v", r, err)
	}
	if r, err := readReport(x.cache("publisher")); err != nil || r.Published == nil {
		t.Errorf("the publisher's own report: %+v, %v", r, err)
	}
}
