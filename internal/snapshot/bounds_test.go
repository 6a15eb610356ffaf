package snapshot

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/iotest"
	"time"

	"golang.org/x/sys/unix"

	"github.com/nss-iam/nss-iam/internal/directory"
	"github.com/nss-iam/nss-iam/tests/unmet"
)

func TestAManifestIsCheckedAtEveryBound(t *testing.T) {
	good := Manifest{Version: Version, Generation: 1, Written: start, Expires: start.Add(time.Second)}
	for _, c := range []struct {
		name   string
		change func(*Manifest)
		sound  bool
	}{
		{"the least", func(*Manifest) {}, true},
		{"the greatest generation", func(m *Manifest) { m.Generation = maxGeneration }, true},
		{"one generation more", func(m *Manifest) { m.Generation = maxGeneration + 1 }, false},
		{"no generation", func(m *Manifest) { m.Generation = 0 }, false},
		{"an end at the moment of writing", func(m *Manifest) { m.Expires = m.Written }, false},
		{"the greatest size", func(m *Manifest) { m.Size = MaxSize }, true},
		{"one byte more", func(m *Manifest) { m.Size = MaxSize + 1 }, false},
		{"a negative size", func(m *Manifest) { m.Size = -1 }, false},
		{"the greatest body", func(m *Manifest) { m.Decoded = MaxDecoded }, true},
		{"a body of one byte more", func(m *Manifest) { m.Decoded = MaxDecoded + 1 }, false},
		{"a body of less than nothing", func(m *Manifest) { m.Decoded = -1 }, false},
	} {
		m := good
		c.change(&m)
		if err := m.check(); (err == nil) != c.sound {
			t.Errorf("%s: %v, want sound: %v", c.name, err, c.sound)
		}
	}
}

func TestAManifestFitsToTheSecondAndToTheGeneration(t *testing.T) {
	trust := Trust{Account: account, Generation: 7, Now: start}
	for _, c := range []struct {
		name string
		m    Manifest
		want error
	}{
		{"the same generation", Manifest{Account: account, Generation: 7, Written: start}, nil},
		{"the one before", Manifest{Account: account, Generation: 6, Written: start}, ErrOlder},
		{"ahead by the tolerance", Manifest{Account: account, Generation: 7, Written: start.Add(ClockTolerance)}, nil},
		{"ahead by a second more", Manifest{Account: account, Generation: 7,
			Written: start.Add(ClockTolerance + time.Second)}, ErrFuture},
		{"of no account", Manifest{Generation: 7, Written: start}, ErrAccount},
	} {
		if err := c.m.fits(trust); !errors.Is(err, c.want) || err != nil && c.want == nil {
			t.Errorf("%s: %v, want %v", c.name, err, c.want)
		}
	}
}

func TestAnExpiryCountsFromItsSecondOn(t *testing.T) {
	s := Snapshot{Manifest: Manifest{Expires: start}}
	if err := s.CheckExpiry(start.Add(-1)); err != nil {
		t.Errorf("a moment before: %v", err)
	}
	if err := s.CheckExpiry(start); !errors.Is(err, ErrExpired) {
		t.Errorf("at the second: %v, want %v", err, ErrExpired)
	}
}

func TestTheFirstLineIsTakenUpToItsGreatestLength(t *testing.T) {
	line := func(length int, first byte) []byte {
		return append([]byte{first}, bytes.Repeat([]byte{'x'}, length-1)...)
	}
	for _, c := range []struct {
		name   string
		data   []byte
		header int // its length; -1: refused
		want   error
	}{
		{"the longest line", append(line(maxHeader-1, '{'), '\n', 'b'), maxHeader - 1, nil},
		{"a line longer by one", append(line(maxHeader, '{'), '\n', 'b'), -1, ErrDamaged},
		{"a beginning shorter than the longest line", line(maxHeader-1, '{'), -1, ErrTruncated},
		{"a beginning as long as the longest line", line(maxHeader, '{'), -1, ErrDamaged},
		{"nothing", nil, -1, ErrTruncated},
		{"a short beginning of something else", line(10, '<'), -1, ErrDamaged},
	} {
		header, rest, err := split(c.data)
		if c.header < 0 {
			if !errors.Is(err, c.want) {
				t.Errorf("%s: %v, want %v", c.name, err, c.want)
			}
			continue
		}
		if err != nil || len(header) != c.header || string(rest) != "b" {
			t.Errorf("%s: a header of %d bytes, %q, %v", c.name, len(header), rest, err)
		}
	}
}

func TestAnEnvelopeWithoutASignatureIsRefused(t *testing.T) {
	trusted := []PublicKey{newSignerFor(t).PublicKey("")}
	header := fmt.Appendf(nil, `{"payloadType":%q,"payload":"e30=","signatures":[]}`, payloadType)
	if _, _, err := openEnvelope(header, trusted); !errors.Is(err, ErrDamaged) {
		t.Errorf("got %v, want %v", err, ErrDamaged)
	}
}

func TestAFileOfTheGreatestSizeIsReadAndNoLarger(t *testing.T) {
	data := make([]byte, MaxSize)
	if _, err := Open(data, Trust{}); !errors.Is(err, ErrDamaged) {
		t.Errorf("the greatest size: %v, want it to be looked at", err)
	}
	if got, err := readAll(bytes.NewReader(data), 0); err != nil || len(got) != MaxSize {
		t.Errorf("read %d bytes, %v; want all %d", len(got), err, MaxSize)
	}
	longer := io.MultiReader(bytes.NewReader(data), strings.NewReader("x"))
	if got, err := readAll(longer, MaxSize); !errors.Is(err, ErrTooLarge) || got != nil {
		t.Errorf("one byte more: read %d bytes, %v; want %v", len(got), err, ErrTooLarge)
	}
	path := filepath.Join(t.TempDir(), "snapshot")
	if err := os.WriteFile(path, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Truncate(path, MaxSize); err != nil {
		t.Fatal(err)
	}
	if got, _, err := NewFileStore(path).Read(context.Background(), ""); err != nil || len(got) != MaxSize {
		t.Errorf("a file of the greatest size: %d bytes, %v", len(got), err)
	}
}

func TestAReaderThatFailsIsAnErrorWithItsCause(t *testing.T) {
	broken := errors.New("the disk is gone")
	for name, r := range map[string]io.Reader{
		"at once":            iotest.ErrReader(broken),
		"after some bytes":   io.MultiReader(strings.NewReader("some"), iotest.ErrReader(broken)),
		"one byte at a time": io.MultiReader(iotest.OneByteReader(strings.NewReader("some")), iotest.ErrReader(broken)),
	} {
		if data, err := readAll(r, 2); !errors.Is(err, broken) || data != nil {
			t.Errorf("%s: %q, %v", name, data, err)
		}
	}
}

func TestABodyOfNoPossibleLengthIsNotUnpacked(t *testing.T) {
	empty := compress(t, "")
	for size, want := range map[int]error{-1: ErrTooLarge, MaxDecoded + 1: ErrTooLarge, 0: ErrMalformed,
		MaxDecoded: ErrMalformed} {
		if _, err := decodeBody(empty, size); !errors.Is(err, want) {
			t.Errorf("%d bytes: %v, want %v", size, err, want)
		}
	}
}

func TestAContentKeepsToWhatIAMGives(t *testing.T) {
	long := func(n int) string { return strings.Repeat("A", n) }
	one := func(id, name string) directory.Answer {
		return directory.Answer{Directory: directory.Directory{Users: []directory.User{{ID: id, Name: name}}}}
	}
	group := func(id, name string) directory.Answer {
		return directory.Answer{Directory: directory.Directory{Groups: []directory.Group{{ID: id, Name: name}}}}
	}
	for _, c := range []struct {
		name  string
		c     directory.Answer
		sound bool
	}{
		{"no account", directory.Answer{}, true},
		{"an account of twelve digits", directory.Answer{Directory: directory.Directory{Account: "012345678901"}}, true},
		{"an account of thirteen digits", directory.Answer{Directory: directory.Directory{Account: "0123456789012"}}, false},
		{"an account with a letter", directory.Answer{Directory: directory.Directory{Account: "01234567890x"}}, false},
		{"the longest id", one(long(128), "a"), true},
		{"an id longer by one", one(long(129), "a"), false},
		{"no id", one("", "a"), false},
		{"an id of the first and last character", one("!~", "a"), true},
		{"an id with a blank", one("AIDA 1", "a"), false},
		{"an id with a DEL", one("AIDA\x7f1", "a"), false},
		{"the longest name", one("AIDA1", long(128)), true},
		{"a name longer by one", one("AIDA1", long(129)), false},
		{"no name", one("AIDA1", ""), false},
		{"a group without a name", group("AGPA1", ""), false},
		{"a group", group("AGPA1", "dev"), true},
		{"former users out of order",
			directory.Answer{Former: []directory.Former{{ID: "AIDA2", Name: "b"}, {ID: "AIDA1", Name: "a"}}}, false},
		{"a former user twice",
			directory.Answer{Former: []directory.Former{{ID: "AIDA1", Name: "a"}, {ID: "AIDA1", Name: "a"}}}, false},
		{"former users in order",
			directory.Answer{Former: []directory.Former{{ID: "AIDA1", Name: "a"}, {ID: "AIDA2", Name: "a"}}}, true},
		{"groups out of order",
			directory.Answer{Directory: directory.Directory{Groups: []directory.Group{{ID: "AGPA2", Name: "b"},
				{ID: "AGPA1", Name: "a"}}}}, false},
		{"groups in order", directory.Answer{Directory: directory.Directory{Groups: []directory.Group{{ID: "AGPA1",
			Name: "b"}, {ID: "AGPA2", Name: "a"}}}}, true},
	} {
		if err := check(c.c); (err == nil) != c.sound {
			t.Errorf("%s: %v, want sound: %v", c.name, err, c.sound)
		}
	}
}

func TestOneGoodKeyDoesNotExcuseABadOne(t *testing.T) {
	good := newSignerFor(t).PublicKey("x").String()
	for name, lines := range map[string][]string{
		"none": nil, "a good and a bad one": {good, "ssh-ed25519 nonsense"}, "a bad one": {"nonsense"},
		"a blank line after a key and more": {good + "\n\nmore"},
	} {
		if keys, err := ParsePublicKeys(lines); err == nil || keys != nil {
			t.Errorf("%s: %v, %v; want an error", name, keys, err)
		}
	}
	if keys, err := ParsePublicKeys([]string{"\n" + good + "\n\n"}); err != nil || len(keys) != 1 {
		t.Errorf("blank lines around a key: %v, %v", keys, err)
	}
	without := newSignerFor(t).PublicKey("")
	if text := without.String(); strings.TrimRight(text, " \n") != text || strings.Count(text, " ") != 1 {
		t.Errorf("a key without a comment is written %q", text)
	}
}

func TestASigningKeyOfSomebodyElseIsRefused(t *testing.T) {
	unmet.Root(t, "giving a file to another user needs root")
	path := filepath.Join(t.TempDir(), "signing")
	if _, err := WriteNewKey(path, ""); err != nil {
		t.Fatal(err)
	}
	if err := os.Chown(path, 65534, -1); err != nil {
		t.Fatal(err)
	}
	if _, err := ReadPrivateKey(path); err == nil || !strings.Contains(err.Error(), "belongs to uid 65534") {
		t.Errorf("got %v", err)
	}
}

func TestAKeyFileOfTheGreatestSizeIsParsed(t *testing.T) {
	path := filepath.Join(t.TempDir(), "signing")
	_, text, err := NewKey("")
	if err != nil {
		t.Fatal(err)
	}
	for size, says := range map[int]string{maxPrivateKey: "", maxPrivateKey + 1: "no Ed25519 key"} {
		padded := append(bytes.Clone(text), bytes.Repeat([]byte{'\n'}, size-len(text))...)
		if err := os.WriteFile(path, padded, 0o600); err != nil {
			t.Fatal(err)
		}
		_, err := ReadPrivateKey(path)
		if says == "" && err != nil || says != "" && (err == nil || !strings.Contains(err.Error(), says)) {
			t.Errorf("%d bytes: %v, want %q", size, err, says)
		}
	}
}

func TestANewKeyLeavesNothingBehindWhereItCannotBeWritten(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "signing")
	if err := os.WriteFile(path, []byte("something"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := WriteNewKey(path, ""); err == nil || !strings.Contains(err.Error(), "write signing key") {
		t.Errorf("over a file: %v", err)
	}
	if _, err := os.Lstat(path + ".pub"); !os.IsNotExist(err) {
		t.Errorf("the public half of no key is left: %v", err)
	}
	if text, err := os.ReadFile(path); err != nil || string(text) != "something" {
		t.Errorf("the file there holds %q, %v", text, err)
	}
}

func TestAWriterWaitsForTheLockAndNoLongerThanItMay(t *testing.T) {
	path := filepath.Join(t.TempDir(), "snapshot")
	lock, err := os.OpenFile(path+".lock", os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		t.Fatal(err)
	}
	defer lock.Close()
	fd := int(lock.Fd())
	if err := unix.Flock(fd, unix.LOCK_EX); err != nil {
		t.Fatal(err)
	}
	store := NewFileStore(path)
	short, cancel := context.WithTimeout(context.Background(), 50*time.Millisecond)
	defer cancel()
	if _, err := store.Write(short, []byte("x"), ""); !errors.Is(err, context.DeadlineExceeded) ||
		!strings.Contains(err.Error(), "another publisher holds it") {
		t.Errorf("while it is held: %v", err)
	}
	time.AfterFunc(50*time.Millisecond, func() { _ = unix.Flock(fd, unix.LOCK_UN) })
	if _, err := store.Write(context.Background(), []byte("x"), ""); err != nil {
		t.Errorf("after it was freed: %v", err)
	}
	if _, err := store.Write(context.Background(), []byte("y"), ""); !errors.Is(err, ErrConflict) {
		t.Errorf("the writer before did not free it, or the file is not there: %v", err)
	}
	if info, err := os.Stat(path); err != nil || info.Mode() != 0o644 {
		t.Errorf("got mode %v, %v; want 0644", info.Mode(), err)
	}
}

func TestALockThatIsALinkIsNotFollowed(t *testing.T) {
	dir := t.TempDir()
	if err := os.Symlink(filepath.Join(dir, "elsewhere"), filepath.Join(dir, "snapshot.lock")); err != nil {
		t.Fatal(err)
	}
	if _, err := NewFileStore(filepath.Join(dir, "snapshot")).Write(context.Background(), []byte("x"), ""); err == nil {
		t.Error("written under a lock that is a link")
	}
	if _, err := os.Lstat(filepath.Join(dir, "elsewhere")); !os.IsNotExist(err) {
		t.Errorf("the link was followed: %v", err)
	}
}
