package state

import (
	"errors"
	"os"
	"path/filepath"
	"reflect"
	"testing"
	"time"

	"github.com/nss-iam/nss-iam/internal/directory"
)

func open(t *testing.T, dir string) *Store {
	t.Helper()
	s, err := Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	return s
}

func TestWhatWasSavedIsThereAfterReopening(t *testing.T) {
	dir := t.TempDir()
	s := open(t, dir)
	at := time.Unix(1700000000, 0).UTC()
	want := directory.KeyListing{Checked: at,
		Keys: []directory.Key{{ID: "APKA1", Active: true, Uploaded: at, Body: "ssh-rsa AAAA"}, {ID: "APKA2"}}}
	if err := errors.Join(
		s.Save(map[string]any{"past": map[string]int{"AIDA1": 2}}),
		s.SaveListings(map[string]directory.KeyListing{"AIDA1": want}),
		s.Close(),
	); err != nil {
		t.Fatal(err)
	}
	s = open(t, dir)
	past := map[string]int{}
	if err := s.Load("past", &past); err != nil || past["AIDA1"] != 2 {
		t.Errorf("Load: %v, %v", past, err)
	}
	listings, err := s.Listings()
	if err != nil || !reflect.DeepEqual(listings["AIDA1"], want) {
		t.Errorf("Listings: %+v, %v, want %+v", listings, err, want)
	}
	if info, _ := os.Stat(filepath.Join(dir, File)); info.Mode().Perm() != 0o600 {
		t.Errorf("mode %v, want 0600", info.Mode())
	}
}

func TestAKeyBodyOutlivesItsUser(t *testing.T) {
	s := open(t, t.TempDir())
	if err := errors.Join(
		s.SaveListings(map[string]directory.KeyListing{"AIDA1": {Keys: []directory.Key{{ID: "APKA1", Active: true,
			Body: "body"}}}}),
		s.Forget([]string{"AIDA1"}),
	); err != nil {
		t.Fatal(err)
	}
	if all, err := s.Checked(); err != nil || len(all) != 0 {
		t.Errorf("Checked after Forget: %v, %v", all, err)
	}
	if body, ok := s.Body("APKA1"); !ok || body != "body" {
		t.Errorf("Body = %q, %v", body, ok)
	}
}

func TestASecondProcessIsToldThatTheStateIsBusy(t *testing.T) {
	dir := t.TempDir()
	open(t, dir)
	if _, err := Open(dir); !errors.Is(err, ErrBusy) {
		t.Errorf("second Open: %v, want ErrBusy", err)
	}
}

func TestADamagedStateIsReportedAndCanBeSetAside(t *testing.T) {
	for name, damage := range map[string]func([]byte) []byte{
		"text in place of a database": func([]byte) []byte { return make([]byte, 100000) },
		"a few bytes":                 func([]byte) []byte { return []byte("x") },
		"cut off":                     func(b []byte) []byte { return b[:3*4096] },
		"a data page overwritten": func(b []byte) []byte {
			for i := 2 * 4096; i < len(b); i++ {
				b[i] = 0xff
			}
			return b
		},
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			s := open(t, dir)
			if err := errors.Join(s.Save(map[string]any{"x": 1}), s.Close()); err != nil {
				t.Fatal(err)
			}
			path := filepath.Join(dir, File)
			b, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(path, damage(b), 0o600); err != nil {
				t.Fatal(err)
			}
			if _, err := Open(dir); !errors.Is(err, ErrDamaged) {
				t.Fatalf("Open: %v, want ErrDamaged", err)
			}
			if err := SetAside(dir); err != nil {
				t.Fatal(err)
			}
			open(t, dir)
		})
	}
}

func TestSavingWhatIsThereAlreadyWritesNothing(t *testing.T) {
	dir := t.TempDir()
	s := open(t, dir)
	values := map[string]any{"a": 1, "b": []string{"x"}}
	if err := errors.Join(s.Save(values), s.Close()); err != nil {
		t.Fatal(err)
	}
	before, err := os.ReadFile(filepath.Join(dir, File))
	if err != nil {
		t.Fatal(err)
	}
	s = open(t, dir)
	if err := errors.Join(s.Save(values), s.Close()); err != nil {
		t.Fatal(err)
	}
	after, err := os.ReadFile(filepath.Join(dir, File))
	if err != nil || !reflect.DeepEqual(before, after) {
		t.Errorf("the file changed (%v)", err)
	}
}

func TestAReleasedStateIsReadAsBefore(t *testing.T) {
	s := open(t, t.TempDir())
	for _, id := range []string{"APKA1", "APKA2"} {
		if err := s.SaveListings(map[string]directory.KeyListing{"AIDA" +
			id: {Keys: []directory.Key{{ID: id, Active: true, Body: "body of " + id}}}}); err != nil {
			t.Fatal(err)
		}
		s.Release()
		if body, ok := s.Body(id); !ok || body != "body of "+id {
			t.Errorf("Body after Release = %q, %v", body, ok)
		}
	}
}
