package main

import (
	"encoding/json"
	"maps"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/nss-iam/nss-iam/internal/accounts"
	"github.com/nss-iam/nss-iam/internal/cache"
	"github.com/nss-iam/nss-iam/internal/health"
	"github.com/nss-iam/nss-iam/internal/snapshot"
)

// everyFigure is the text of metrics in which no family is left out, and the
// names in it.
func everyFigure(t *testing.T) (path string, names []string) {
	t.Helper()
	at := time.Now().Add(-time.Hour)
	path = filepath.Join(t.TempDir(), "nss-iam.prom")
	r := report{
		Version: "1", Attempt: at, Success: at, Snapshot: &snapshot.Status{Written: at, Expires: at},
		Skipped: map[accounts.Reason]int{"unix-name": 1},
		Calls:   map[string]int64{"GetGroup": 3}, Throttles: map[string]int64{"GetGroup": 1},
	}
	s := served{NSS: &cache.Meta{Written: at, Generation: 1}, Keys: &cache.KeysMeta{Written: at, Generation: 1}}
	f := health.Facts{
		Now: time.Now(), Keys: health.Ages{Oldest: at, Median: at},
		Policy: cache.LoginPolicy{Online: "prefer", MaxStale: 24 * time.Hour},
	}
	if err := writeMetrics(path, r, s, f); err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	for _, m := range regexp.MustCompile(`(?m)^# TYPE (\S+)`).FindAllStringSubmatch(string(text), -1) {
		names = append(names, m[1])
	}
	return path, names
}

var figureName = regexp.MustCompile(`nss_iam_[a-z_]+`)

// A misspelled name in a dashboard is a panel that is empty for ever.
func TestDashboardsAndAlarmsNameFiguresThatThereAre(t *testing.T) {
	_, names := everyFigure(t)
	var ages []string
	for _, name := range names {
		if base, ok := strings.CutSuffix(name, "_timestamp_seconds"); ok {
			ages = append(ages, base+"_age_seconds") // nss-iam-cloudwatch's name for it
		}
	}
	for file, known := range map[string][]string{
		"../docs/grafana.json":         names,
		"../packaging/aws/alarms.yaml": append(ages, names...),
	} {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		used := map[string]bool{}
		for _, name := range figureName.FindAllString(string(text), -1) {
			used[name] = true
			if !slices.Contains(known, name) {
				t.Errorf("%s: no figure is named %q", file, name)
			}
		}
		if len(used) < 3 {
			t.Errorf("%s names %d figures: %v", file, len(used), slices.Sorted(maps.Keys(used)))
		}
	}
}

func TestPanelsStandBesideEachOtherAndAskTheChosenSource(t *testing.T) {
	text, err := os.ReadFile("../docs/grafana.json")
	if err != nil {
		t.Fatal(err)
	}
	var d struct {
		Panels []struct {
			ID         int
			Title      string
			Datasource struct{ UID string }
			GridPos    struct{ X, Y, W, H int }
			Targets    []struct{ Expr string }
		}
	}
	if err := json.Unmarshal(text, &d); err != nil {
		t.Fatal(err)
	}
	taken, ids := map[[2]int]string{}, map[int]bool{}
	for _, p := range d.Panels {
		wide := p.GridPos.X+p.GridPos.W > 24
		if ids[p.ID] || p.Title == "" || len(p.Targets) == 0 || p.Datasource.UID != "${source}" || wide {
			t.Errorf("panel %d %q is not sound: %+v", p.ID, p.Title, p)
		}
		ids[p.ID] = true
		for x := p.GridPos.X; x < p.GridPos.X+p.GridPos.W; x++ {
			for y := p.GridPos.Y; y < p.GridPos.Y+p.GridPos.H; y++ {
				if other := taken[[2]int{x, y}]; other != "" {
					t.Fatalf("panels %q and %q overlap", other, p.Title)
				}
				taken[[2]int{x, y}] = p.Title
			}
		}
		for _, target := range p.Targets {
			figures := len(figureName.FindAllString(target.Expr, -1))
			open, closed := strings.Count(target.Expr, "("), strings.Count(target.Expr, ")")
			if open != closed || strings.Count(target.Expr, `instance=~"$host"`) != figures {
				t.Errorf("panel %q: %q asks other hosts than the chosen ones", p.Title, target.Expr)
			}
		}
	}
}

// The script speaks StatsD to the CloudWatch agent; here the test listens.
func TestTheCloudWatchScriptSendsEachFigure(t *testing.T) {
	script := "../packaging/aws/cloudwatch/nss-iam-cloudwatch"
	path, names := everyFigure(t)
	listener, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	_, port, _ := net.SplitHostPort(listener.LocalAddr().String())
	if out, err := exec.Command(script, path, "127.0.0.1", port).CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	got := map[string]string{}
	buffer := make([]byte, 1500)
	for {
		_ = listener.SetReadDeadline(time.Now().Add(300 * time.Millisecond))
		n, _, err := listener.ReadFrom(buffer)
		if err != nil {
			break
		}
		name, rest, _ := strings.Cut(strings.TrimSpace(string(buffer[:n])), ":")
		got[name] = rest
	}
	for _, name := range names {
		if base, ok := strings.CutSuffix(name, "_timestamp_seconds"); ok {
			name = base + "_age_seconds"
			value, _, _ := strings.Cut(got[name], "|")
			if age, err := strconv.Atoi(value); err != nil || age < 3590 || age > 3700 {
				t.Errorf("%s is %q, want about an hour", name, got[name])
			}
		}
		if got[name] == "" {
			t.Errorf("%s was not sent", name)
		}
	}
	t.Logf("%d figures", len(got))
	if want := "1|g|#version:1"; got["nss_iam_info"] != want {
		t.Errorf("nss_iam_info is %q, want %q", got["nss_iam_info"], want)
	}
	out, err := exec.Command(script, filepath.Join(t.TempDir(), "none"), "127.0.0.1", port).CombinedOutput()
	if err == nil || !strings.Contains(string(out), "metrics.textfile") {
		t.Errorf("without figures: %v, %s", err, out)
	}
}
