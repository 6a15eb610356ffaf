package hostfiles

import (
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"github.com/nss-iam/nss-iam/internal/accounts"
)

func host(t *testing.T, passwd, group, subuid, subgid string) Paths {
	t.Helper()
	dir := t.TempDir()
	p := Paths{filepath.Join(dir, "passwd"), filepath.Join(dir, "group"), filepath.Join(dir, "subuid"),
		filepath.Join(dir, "subgid"), filepath.Join(dir, "login.defs")}
	for path, text := range map[string]string{p.Passwd: passwd, p.Group: group, p.SubUID: subuid, p.SubGID: subgid} {
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	return p
}

func TestFilesAreReadAsTheyStand(t *testing.T) {
	got, problems, err := Read(host(t,
		"root:x:0:0:root:/root:/bin/bash\n\n# a comment\nalice:x:1000:1001:Alice,,,:/home/alice:/bin/sh",
		"root:x:0:\ndocker:x:999:alice, bob,\n",
		"alice:100000:65536\nroot:4294967290:4294967295\nnobody:5:0\n",
		"1000:200000:1\n"))
	if err != nil || len(problems) != 0 {
		t.Fatalf("got %v, %v", problems, err)
	}
	want := accounts.Host{
		Users:  []accounts.HostUser{{Name: "root"}, {Name: "alice", UID: 1000, GID: 1001}},
		Groups: []accounts.HostGroup{{Name: "root"}, {Name: "docker", GID: 999, Members: []string{"alice", "bob"}}},
		SubIDs: []accounts.HostRange{
			{Range: accounts.Range{Low: 100000, High: 165535}, Owner: "alice", File: "subuid"},
			{Range: accounts.Range{Low: 4294967290, High: 4294967295}, Owner: "root", File: "subuid"},
			{Range: accounts.Range{Low: 200000, High: 200000}, Owner: "1000", File: "subgid"},
		},
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("\ngot  %+v\nwant %+v", got, want)
	}
}

func TestALineThatCannotBeUnderstoodIsLeftOutAlone(t *testing.T) {
	got, problems, err := Read(host(t,
		"broken\nalice:x:-1:0::/:/bin/sh\nbob:x:4294967296:0::/:/bin/sh\n:x:1:1::/:\n+::::::\n+@netgroup\ncarol:x:1000:1000",
		"g:x\nh:x:ten:\nk:x:7\r\n",
		"alice:1\nalice:x:1\nalice:1:x\n", strings.Repeat("z", 100000)))
	if err != nil {
		t.Fatal(err)
	}
	want := accounts.Host{Users: []accounts.HostUser{{Name: "carol", UID: 1000, GID: 1000}},
		Groups: []accounts.HostGroup{{Name: "k", GID: 7}}}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("\ngot  %+v\nwant %+v", got, want)
	}
	if len(problems) != 10 {
		t.Errorf("got %d problems, want 10: %v", len(problems), problems)
	}
	for _, p := range problems {
		if len(p.Error()) > 300 || !strings.Contains(p.Error(), ", leaving the line out") {
			t.Errorf("problem is told badly: %.400s", p)
		}
	}
}

func TestAHostWithoutSubIDFilesIsWholeAndOneWithoutPasswdIsNot(t *testing.T) {
	p := host(t, "root:x:0:0::/:\n", "root:x:0:\n", "", "")
	p.SubUID, p.SubGID = p.SubUID+".none", p.SubGID+".none"
	if _, problems, err := Read(p); err != nil || len(problems) != 0 {
		t.Errorf("without sub-id files: got %v, %v", problems, err)
	}
	p.Passwd += ".none"
	if _, _, err := Read(p); err == nil || !strings.Contains(err.Error(), "passwd.none") {
		t.Errorf("without passwd: got %v, want an error that names it", err)
	}
}

// Whatever the files hold, reading them ends, and every range is upright.
func FuzzLines(f *testing.F) {
	f.Add("root:x:0:0:root:/root:/bin/bash\n", "g:x:1:a,b\n", "a:1:2\n")
	f.Add("\x00:::::", ":::", "a:4294967295:18446744073709551615")
	f.Fuzz(func(t *testing.T, passwd, groups, sub string) {
		var got accounts.Host
		for text, line := range map[string]func([]string) error{
			passwd + "\n": func(f []string) error { return user(&got, f) },
			groups:        func(f []string) error { return group(&got, f) },
			sub + "\n\n":  func(f []string) error { return subIDs(&got, "subuid", f) },
		} {
			if _, err := eachLine("file", strings.NewReader(text), line); err != nil {
				t.Fatal(err)
			}
		}
		for _, r := range got.SubIDs {
			if r.Low > r.High {
				t.Errorf("range %+v is upside down", r)
			}
		}
		for _, u := range got.Users {
			if u.Name == "" || strings.ContainsAny(u.Name, ":\n") {
				t.Errorf("user %q", u.Name)
			}
		}
	})
}

func TestAStampChangesWithAnyOfTheFiles(t *testing.T) {
	paths := host(t, "root:x:0:0::/:/bin/sh\n", "root:x:0:\n", "", "")
	seen := map[string]bool{Stamp(paths): true}
	for _, path := range []string{paths.Passwd, paths.Group, paths.SubUID, paths.SubGID} {
		if err := os.WriteFile(path+".new", []byte("# another\n"), 0o644); err != nil {
			t.Fatal(err)
		}
		if err := os.Rename(path+".new", path); err != nil {
			t.Fatal(err)
		}
		if s := Stamp(paths); seen[s] {
			t.Errorf("%s was replaced and the stamp is an earlier one", path)
		} else {
			seen[s] = true
		}
	}
}

func TestTheLimitOfSystemGroupsIsReadAsGroupaddReadsIt(t *testing.T) {
	for text, want := range map[string]uint32{
		"":                                      0,
		"SYS_GID_MAX 499\nGID_MIN 1000\n":       499,
		"# SYS_GID_MAX 5\n\tGID_MIN\t\t500\n":   499,
		"GID_MIN 0x3e8":                         999,
		"SYS_GID_MAX x\nSYS_GID_MAX -1\n":       0,
		"GID_MIN\n\x00\nSYS_GID_MAX 4294967296": 0,
	} {
		p := host(t, "", "", "", "")
		if err := os.WriteFile(p.LoginDefs, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
		got, _, err := Read(p)
		if err != nil || got.SysGIDMax != want {
			t.Errorf("%q: got %d, %v, want %d", text, got.SysGIDMax, err, want)
		}
	}
	if got, _, err := Read(host(t, "", "", "", "")); err != nil || got.SysGIDMax != 0 {
		t.Errorf("without the file: got %d, %v", got.SysGIDMax, err)
	}
}
