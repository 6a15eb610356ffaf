package main

import (
	"os"
	"path/filepath"
	"testing"
	"time"
)

func TestMetricsAreInPrometheusTextFormat(t *testing.T) {
	m := metrics{}
	m.set("users", "Users served.", 12, nil)
	m.at("last_success_timestamp_seconds", "When.", time.Unix(1764000000, 0), nil)
	m.at("never", "What never was is left out.", time.Time{}, nil)
	m.count("calls_total", "Calls.\nAll of \\ them.", 7, labels{"action": "B"})
	m.set("aws_rate", "Rate.", 0.3125, nil)
	m.count("calls_total", "Calls.\nAll of \\ them.", 1, labels{"action": "a\"b\\c\nd", "aa": "x"})
	path := filepath.Join(t.TempDir(), "iam.prom")
	if err := m.write(path); err != nil {
		t.Fatal(err)
	}
	got, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	want := `# HELP nss_iam_aws_rate Rate.
# TYPE nss_iam_aws_rate gauge
nss_iam_aws_rate 0.3125
# HELP nss_iam_calls_total Calls.\nAll of \\ them.
# TYPE nss_iam_calls_total counter
nss_iam_calls_total{aa="x",action="a\"b\\c\nd"} 1
nss_iam_calls_total{action="B"} 7
# HELP nss_iam_last_success_timestamp_seconds When.
# TYPE nss_iam_last_success_timestamp_seconds gauge
nss_iam_last_success_timestamp_seconds 1764000000
# HELP nss_iam_users Users served.
# TYPE nss_iam_users gauge
nss_iam_users 12
`
	if string(got) != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
	info, err := os.Stat(path)
	if err != nil || info.Mode().Perm() != 0o644 {
		t.Errorf("mode %v, %v, want one that every reader may read", info.Mode(), err)
	}
	if left, _ := filepath.Glob(path + ".*"); len(left) > 0 {
		t.Errorf("temporary files are left: %q", left)
	}
}

func TestMetricsThatCannotBeWrittenLeaveTheOldFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "none", "iam.prom")
	if err := (metrics{}).write(path); err == nil {
		t.Error("no error for a folder that is not there")
	}
}
