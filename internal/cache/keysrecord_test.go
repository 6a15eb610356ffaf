package cache

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/nss-iam/nss-iam/internal/keys"
	"github.com/nss-iam/nss-iam/tests/unmet"
)

// userRecord is a user record as keys.go describes it, field by field.
func userRecord(uid uint32, flags, count byte, rest ...byte) []byte {
	b := binary.LittleEndian.AppendUint32(nil, uid)
	b = binary.LittleEndian.AppendUint64(b, 1_790_000_000)
	return append(append(b, flags, count), rest...)
}

// keyPart is one key of a user record.
func keyPart(id, blob string) []byte {
	b := binary.LittleEndian.AppendUint64(nil, 0)
	b = append(b, byte(len(id)))
	b = binary.LittleEndian.AppendUint16(b, uint16(len(blob)))
	return append(append(b, id...), blob...)
}

// What a helper reads of a person is refused wherever it could not have been
// written: then the login is closed, and nothing is guessed.
func TestAUserRecordIsReadWholeOrRefused(t *testing.T) {
	const blob = "\x00\x00\x00\x01t"
	one := keyPart("APKA", blob)
	repeated := func(n int) []byte { return userRecord(MinID, 1, byte(n), bytes.Repeat(one, n)...) }
	for _, c := range []struct {
		name   string
		record []byte
		keys   int // -1: refused
	}{
		{"the least uid", userRecord(MinID, 1, 0), 0},
		{"the greatest uid", userRecord(MaxID, 1, 0), 0},
		{"a uid below", userRecord(MinID-1, 1, 0), -1},
		{"a uid above", userRecord(MaxID+1, 1, 0), -1},
		{"uid 0 with a login", userRecord(0, 1, 0), -1},
		{"uid 0 without a login", userRecord(0, 0, 0), 0},
		{"a uid without a login", userRecord(MinID, 0, 0), -1},
		{"the greatest number without a login", userRecord(math.MaxUint32, 0, 0), -1},
		{"an unknown flag", userRecord(MinID, 3, 0), -1},
		{"an unknown flag alone", userRecord(0, 2, 0), -1},
		{"a record short of one byte", userRecord(MinID, 1, 0)[:13], -1},
		{"a byte too many", userRecord(MinID, 1, 0, 0), -1},
		{"a key", repeated(1), 1},
		{"the most keys", repeated(keys.MaxKeys), keys.MaxKeys},
		{"one key more", repeated(keys.MaxKeys + 1), -1},
		{"a key announced and not there", userRecord(MinID, 1, 1), -1},
		{"a key without its last byte", userRecord(MinID, 1, 1, one[:len(one)-1]...), -1},
		{"a key of a head alone", userRecord(MinID, 1, 1, one[:11]...), -1},
		{"a key of less than a head", userRecord(MinID, 1, 1, one[:10]...), -1},
		{"a key and a byte", userRecord(MinID, 1, 1, append(bytes.Clone(one), 0)...), -1},
		{"a key without bytes", userRecord(MinID, 1, 1, keyPart("APKA", "")...), -1},
		{"a key without a type", userRecord(MinID, 1, 1, keyPart("APKA", "\x00\x00\x00\x00")...), -1},
	} {
		got, err := decodeUserKeys(c.record, "alice")
		if c.keys < 0 {
			if !errors.Is(err, ErrDamaged) || !reflect.DeepEqual(got, UserKeys{}) {
				t.Errorf("%s: %+v, %v; want %v and nothing", c.name, got, err, ErrDamaged)
			}
			continue
		}
		if err != nil || len(got.Keys) != c.keys || !got.Checked.Equal(time.Unix(1_790_000_000, 0)) {
			t.Errorf("%s: %+v, %v; want %d keys", c.name, got, err, c.keys)
		}
		for _, k := range got.Keys {
			if k.ID != "APKA" || string(k.Blob) != blob || k.Type != "t" || !k.Expires.IsZero() {
				t.Errorf("%s: key %+v", c.name, k)
			}
		}
	}
}

func TestASharedRecordIsReadWholeOrRefused(t *testing.T) {
	record := func(flags byte, count uint16, rest string) []byte {
		return append(binary.LittleEndian.AppendUint16([]byte{flags}, count), rest...)
	}
	for _, c := range []struct {
		name, account string
		record        []byte
		want          *SharedAccount // nil: refused
	}{
		{"nobody's", "app", record(0, 0, ""), &SharedAccount{Name: "app"}},
		{"two people's", "app", record(0, 2, "\x01a\x02bc"), &SharedAccount{Name: "app", Members: []string{"a", "bc"}}},
		{"root's", "root", record(1, 1, "\x01a"), &SharedAccount{Name: "root", AllowRoot: true, Members: []string{"a"}}},
		{"root, and not as root", "root", record(0, 1, "\x01a"), &SharedAccount{Name: "root", Members: []string{"a"}}},
		{"another account as root", "app", record(1, 1, "\x01a"), nil},
		{"an unknown flag", "app", record(2, 0, ""), nil},
		{"an unknown flag beside root's", "root", record(3, 0, ""), nil},
		{"a record short of one byte", "app", record(0, 0, "")[:2], nil},
		{"a byte too many", "app", record(0, 0, "\x00"), nil},
		{"a member announced and not there", "app", record(0, 1, ""), nil},
		{"a member longer than the record by one", "app", record(0, 1, "\x02a"), nil},
		{"a byte after the member", "app", record(0, 1, "\x01ab"), nil},
	} {
		got, err := decodeShared(c.record, c.account)
		if c.want == nil {
			if !errors.Is(err, ErrDamaged) || !reflect.DeepEqual(got, SharedAccount{}) {
				t.Errorf("%s: %+v, %v; want %v and nothing", c.name, got, err, ErrDamaged)
			}
		} else if err != nil || !reflect.DeepEqual(got, *c.want) {
			t.Errorf("%s: %+v, %v; want %+v", c.name, got, err, *c.want)
		}
	}
}

func TestALoginPolicyIsWrittenWithinItsBoundsAndReadBackEqual(t *testing.T) {
	many := func(n int) []string {
		list := make([]string, n)
		for i := range list {
			list[i] = "pty"
		}
		return list
	}
	good := LoginPolicy{Online: "require", Timeout: 1500 * time.Millisecond, MaxStale: time.Hour, Range: testRange,
		Options: []string{"restrict"}, Chain: []string{"/bin/x", ""}}
	for _, c := range []struct {
		name   string
		change func(*LoginPolicy)
		sound  bool
	}{
		{"one as any", func(*LoginPolicy) {}, true},
		{"off", func(p *LoginPolicy) { p.Online = "off" }, true},
		{"an unknown mode", func(p *LoginPolicy) { p.Online = "always" }, false},
		{"no time-out", func(p *LoginPolicy) { p.Timeout = 0 }, true},
		{"a negative time-out", func(p *LoginPolicy) { p.Timeout = -time.Millisecond }, false},
		{"keys that never grow old", func(p *LoginPolicy) { p.MaxStale = 0 }, true},
		{"a second until they are old", func(p *LoginPolicy) { p.MaxStale = time.Second }, true},
		{"less than a second, which would become never", func(p *LoginPolicy) { p.MaxStale = time.Second - 1 }, false},
		{"the least duration", func(p *LoginPolicy) { p.MaxStale = 1 }, false},
		{"a negative age", func(p *LoginPolicy) { p.MaxStale = -time.Hour }, false},
		{"neither options nor chain", func(p *LoginPolicy) { p.Options, p.Chain = nil, nil }, true},
		{"the most options", func(p *LoginPolicy) { p.Options = many(maxArguments) }, true},
		{"one option more", func(p *LoginPolicy) { p.Options = many(maxArguments + 1) }, false},
		{"an option that is none", func(p *LoginPolicy) { p.Options = []string{"pty", "command"} }, false},
		{"the longest argument", func(p *LoginPolicy) { p.Chain = []string{strings.Repeat("x", 4096)} }, true},
		{"an argument longer by one", func(p *LoginPolicy) { p.Chain = []string{strings.Repeat("x", 4097)} }, false},
		{"an argument with a NUL in front", func(p *LoginPolicy) { p.Chain = []string{"\x00x"} }, false},
	} {
		want := good
		c.change(&want)
		b, err := encodePolicy(want)
		if (err == nil) != c.sound {
			t.Errorf("%s: %v, want sound: %v", c.name, err, c.sound)
			continue
		}
		if err != nil {
			continue
		}
		if got, err := decodePolicy(b); err != nil || !reflect.DeepEqual(got, want) {
			t.Errorf("%s: read back %+v, %v; want %+v", c.name, got, err, want)
		}
	}
}

func TestALoginPolicyIsReadWholeOrRefused(t *testing.T) {
	policy := func(mode byte, timeout, stale uint64, rest ...byte) []byte {
		b := binary.LittleEndian.AppendUint64([]byte{mode}, timeout)
		b = binary.LittleEndian.AppendUint64(b, stale)
		b = binary.LittleEndian.AppendUint32(b, MinID)
		b = binary.LittleEndian.AppendUint32(b, MaxID)
		return append(b, rest...)
	}
	none := []byte{0, 0, 0, 0}
	mostMillis, mostSeconds := uint64(math.MaxInt64/time.Millisecond), uint64(math.MaxInt64/time.Second)
	for _, c := range []struct {
		name   string
		record []byte
		sound  bool
	}{
		{"no lists", policy(0, 1, 1, none...), true},
		{"the last mode", policy(2, 1, 1, none...), true},
		{"a mode after the last", policy(3, 1, 1, none...), false},
		{"the longest time-out", policy(0, mostMillis, 1, none...), true},
		{"a time-out longer by one", policy(0, mostMillis+1, 1, none...), false},
		{"the greatest age", policy(0, 1, mostSeconds, none...), true},
		{"an age greater by one", policy(0, 1, mostSeconds+1, none...), false},
		{"a record short of one byte", policy(0, 1, 1)[:24], false},
		{"a record without lists", policy(0, 1, 1), false},
		{"one list alone", policy(0, 1, 1, 0, 0), false},
		{"half a count", policy(0, 1, 1, 0, 0, 0), false},
		{"an argument in each", policy(0, 1, 1, 1, 0, 1, 0, 'a', 1, 0, 0, 0), true},
		{"an argument announced and not there", policy(0, 1, 1, 0, 0, 1, 0), false},
		{"an argument with half a length", policy(0, 1, 1, 0, 0, 1, 0, 1), false},
		{"an argument longer than the record by one", policy(0, 1, 1, 0, 0, 1, 0, 2, 0, 'a'), false},
		{"a byte too many", policy(0, 1, 1, 0, 0, 0, 0, 0), false},
	} {
		if _, err := decodePolicy(c.record); (err == nil) != c.sound || err != nil && !errors.Is(err, ErrDamaged) {
			t.Errorf("%s: %v, want sound: %v", c.name, err, c.sound)
		}
	}
}

func TestASealTiesARecordToItsPlace(t *testing.T) {
	for _, record := range [][]byte{{}, []byte("r"), []byte("record")} {
		value := seal(bytes.Clone(record), "b", "k")
		if got, err := unseal(value, "b", "k"); err != nil || !bytes.Equal(got, record) {
			t.Errorf("%q is unsealed as %q, %v", record, got, err)
		}
		for _, place := range [][2]string{{"b", "l"}, {"c", "k"}, {"", "b\x00k"}, {"bk", ""}} {
			if _, err := unseal(value, place[0], place[1]); !errors.Is(err, ErrDamaged) {
				t.Errorf("%q of b/k passes in %q/%q: %v", record, place[0], place[1], err)
			}
		}
	}
	for n := range sealSize {
		if _, err := unseal(make([]byte, n), "b", "k"); !errors.Is(err, ErrDamaged) {
			t.Errorf("%d bytes: %v, want %v", n, err, ErrDamaged)
		}
	}
}

// The zero time is "no end" and "never": no other moment may become it.
func TestNoMomentBecomesNoEnd(t *testing.T) {
	for _, c := range []struct {
		t    time.Time
		want int64
	}{{time.Time{}, 0}, {time.Unix(0, 0), 1}, {time.Unix(0, 1), 1}, {time.Unix(1, 0), 1}, {time.Unix(-1, 0), -1},
		{testTime, testTime.Unix()}} {
		if got := unixOrZero(c.t); got != c.want {
			t.Errorf("%v is written as %d, want %d", c.t, got, c.want)
		}
	}
	if !timeOrZero(0).IsZero() || timeOrZero(1).Unix() != 1 || timeOrZero(1<<64-1).Unix() != -1 {
		t.Errorf("0, 1 and -1 are read as %v, %v, %v", timeOrZero(0), timeOrZero(1), timeOrZero(1<<64-1))
	}
}

func TestTheMostKeysAndMembersAreWritten(t *testing.T) {
	k := edKey(t, 1)
	u := UserKeys{Name: "alice", UID: 2001000001, Login: true, Checked: testTime}
	for range keys.MaxKeys {
		u.Keys = append(u.Keys, k)
	}
	if _, err := appendUserKeys(nil, u, testRange); err != nil {
		t.Errorf("%d keys: %v", len(u.Keys), err)
	}
	u.Keys = append(u.Keys, k)
	if _, err := appendUserKeys(nil, u, testRange); err == nil {
		t.Errorf("%d keys are written", len(u.Keys))
	}
	s := SharedAccount{Name: "app", Members: make([]string, math.MaxUint16)}
	for i := range s.Members {
		s.Members[i] = "m"
	}
	b, err := encodeShared(s)
	if err != nil {
		t.Fatalf("%d members: %v", len(s.Members), err)
	}
	if got, err := decodeShared(b, "app"); err != nil || len(got.Members) != len(s.Members) {
		t.Errorf("%d members are read back as %d, %v", len(s.Members), len(got.Members), err)
	}
	s.Members = append(s.Members, "m")
	if _, err := encodeShared(s); err == nil {
		t.Errorf("%d members are written", len(s.Members))
	}
	for _, bad := range []SharedAccount{{}, {Name: "app", Members: []string{""}},
		{Name: "app", Members: []string{"a:b"}}} {
		if _, err := encodeShared(bad); err == nil {
			t.Errorf("%+v is written", bad)
		}
	}
}

func TestTheFileIsWrittenAgainForItsGroupAndMode(t *testing.T) {
	unmet.Root(t, "giving a file to another group needs root")
	for _, c := range []struct {
		name  string
		spoil func(path string) error
		gid   int
		want  bool
	}{
		{"nothing changed", func(string) error { return nil }, 0, false},
		{"another group, where root's is wanted", func(p string) error { return os.Chown(p, -1, 65534) }, 0, true},
		{"root's group, where another is wanted", func(string) error { return nil }, 65534, true},
		{"another group, where any will do", func(p string) error { return os.Chown(p, -1, 65534) }, -1, false},
		{"a mode that shuts the helper out", func(p string) error { return os.Chmod(p, 0o600) }, 0, true},
	} {
		dir := t.TempDir()
		if _, err := PublishKeys(dir, keyCompany(t), 0, testTime); err != nil {
			t.Fatal(err)
		}
		if err := c.spoil(filepath.Join(dir, KeysFile)); err != nil {
			t.Fatal(err)
		}
		if changed, err := PublishKeys(dir, keyCompany(t), c.gid, testTime); err != nil || changed != c.want {
			t.Errorf("%s: written %v, %v; want %v", c.name, changed, err, c.want)
		}
	}
}

func TestCheckedTimesWaitAnEighthOfMaxStaleWithinBounds(t *testing.T) {
	for stale, want := range map[time.Duration]time.Duration{
		0: time.Hour, time.Second: 15 * time.Second, 2 * time.Minute: 15 * time.Second, 4 * time.Minute: 30 * time.Second,
		time.Hour: 450 * time.Second, 8 * time.Hour: time.Hour, 24 * time.Hour: time.Hour,
	} {
		if got := CheckedLag(stale); got != want {
			t.Errorf("max_stale %s: %s, want %s", stale, got, want)
		}
	}
}

func TestAMemberIsOneOfTheUsersWritten(t *testing.T) {
	tables := keyCompany(t)
	tables.Shared[0].Members = append(tables.Shared[0].Members, "carol")
	if _, err := encodeKeys(tables); err == nil || !strings.Contains(err.Error(), fmt.Sprintf("%q", "carol")) {
		t.Errorf("got %v, want carol named", err)
	}
}
