package main

import (
	"bytes"
	"errors"
	"reflect"
	"testing"
)

var aliceRecord = []byte("\x00\x00\x00\x77\x00\x00\x00\x77" + "\x05\x00\x05\x00\x0b\x00\x07\x00" + "\x00" +
	"alice\x00Alice\x00/home/alice\x00/bin/sh\x00")

var opsRecord = []byte("\x00\x00\x00\x77" + "\x02\x00\x00\x00" + "\x0a\x00\x00\x00" + "\x03\x00" + "ops\x00" +
	"\x05\x03" + "alice\x00bob\x00")

const gid = 0x77000000

func change(record []byte, at int, b byte) []byte {
	out := bytes.Clone(record)
	out[at] = b
	return out
}

func TestAUserIsPackedWholeOrNotAtAll(t *testing.T) {
	want := passwd{name: "alice", password: "*", uid: gid, gid: gid, gecos: "Alice", directory: "/home/alice",
		shell: "/bin/sh"}
	asked := asking(gid)
	const need = 6 + 6 + 12 + 8 + 2
	for size := range need + 4 {
		for skew := range 8 {
			got, err := packPasswd(aliceRecord, asked, size, skew)
			if size < need && !errors.Is(err, errShort) || size >= need && (err != nil || got != want) {
				t.Fatalf("%d bytes, skew %d: %+v, %v", size, skew, got, err)
			}
		}
	}
}

func asking(id uint32) want { return want{low: 65536, high: 2147352575, id: id} }

func TestAGroupIsPackedWholeOrNotAtAll(t *testing.T) {
	want := group{name: "ops", password: "*", gid: gid, members: []string{"alice", "bob"}}
	for size := range 70 {
		for skew := range 8 {
			need := (8-skew)%8 + 3*8 + 10 + 4 + 2
			got, err := packGroup(opsRecord, asking(gid), size, skew)
			if size < need && !errors.Is(err, errShort) || size >= need && (err != nil || !reflect.DeepEqual(got, want)) {
				t.Fatalf("%d bytes, skew %d: %+v, %v", size, skew, got, err)
			}
		}
	}
}

func TestRecordsThatAreNotWhatWasAskedForAreRefused(t *testing.T) {
	byName := func(name string) want { return want{low: 65536, high: 2147352575, name: name} }
	for _, c := range []struct {
		name   string
		record []byte
		asked  want
		want   error
	}{
		{"the user", aliceRecord, byName("alice"), nil},
		{"a former user", change(aliceRecord, 16, 1), byName("alice"), nil},
		{"another name", aliceRecord, byName("alic"), errDamaged},
		{"a longer name", aliceRecord, byName("alice1"), errDamaged},
		{"another uid", aliceRecord, asking(gid + 1), errDamaged},
		{"a uid below the range", change(aliceRecord, 3, 0), asking(0), errRefused},
		{"a uid above the range", change(aliceRecord, 3, 0x80), asking(0x80000000), errRefused},
		{"a gid below the range", change(aliceRecord, 7, 0), byName("alice"), errRefused},
		{"a longer record", append(bytes.Clone(aliceRecord), 0), byName("alice"), errDamaged},
		{"a cut record", aliceRecord[:len(aliceRecord)-1], byName("alice"), errDamaged},
		{"a header only", aliceRecord[:17], byName("alice"), errDamaged},
		{"half a header", aliceRecord[:9], byName("alice"), errDamaged},
		{"nothing", nil, byName("alice"), errDamaged},
		{"no NUL after the name", change(aliceRecord, 22, 'x'), byName("alice"), errDamaged},
		{"a NUL in the home", change(aliceRecord, 30, 0), byName("alice"), errDamaged},
		{"no NUL at the end", change(aliceRecord, len(aliceRecord)-1, 'x'), byName("alice"), errDamaged},
		{"a name of 33 bytes", change(aliceRecord, 8, 33), byName("alice"), errDamaged},
		{"lengths that overflow", change(aliceRecord, 9, 0xff), byName("alice"), errDamaged},
	} {
		t.Run(c.name, func(t *testing.T) {
			got, err := packPasswd(c.record, c.asked, 500, 0)
			if !errors.Is(err, c.want) {
				t.Errorf("got %+v, %v; want %v", got, err, c.want)
			}
			if err == nil && (got.password == "x") != (c.record[16] == 1) {
				t.Errorf("password field %q", got.password)
			}
		})
	}
}

func TestDamagedGroupsAreRefused(t *testing.T) {
	for _, c := range []struct {
		name   string
		record []byte
	}{
		{"more members than lengths", change(opsRecord, 4, 3)},
		{"fewer members than lengths", change(opsRecord, 4, 1)},
		{"four billion members", change(change(opsRecord, 7, 0xff), 6, 0xff)},
		{"four billion bytes", change(opsRecord, 11, 0xff)},
		{"a member's length too long", change(opsRecord, 18, 6)},
		{"a member's length too short", change(opsRecord, 18, 4)},
		{"a member without a name", change(opsRecord, 18, 0)},
		{"a NUL in a member", change(opsRecord, 22, 0)},
		{"a long name", change(opsRecord, 12, 33)},
		{"a name without NUL", change(opsRecord, 17, 'x')},
		{"nothing", nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			if got, err := packGroup(c.record, asking(gid), 500, 0); !errors.Is(err, errDamaged) {
				t.Errorf("got %+v, %v", got, err)
			}
		})
	}
}

func TestGroupsOfAUserAreAppendedUpToTheLimit(t *testing.T) {
	const own = 7
	record := []byte("\x07\x00\x00\x00" + "\x00\x00\x00\x00" + "\x08\x00\x00\x00" + "\xff\xff\xff\xff" +
		"\x09\x00\x00\x00")
	for _, c := range []struct {
		name        string
		record      []byte
		size, limit int
		want        []uint32
		err         error
	}{
		{"room for all: neither the user's own gid, nor root's, nor none", record, 9, 0, []uint32{own, 8, 9}, nil},
		{"an array that must grow", record, 1, 0, []uint32{own, 8, 9}, nil},
		{"a limit of two", record, 1, 2, []uint32{own, 8}, nil},
		{"nothing but the user's own gid", record[:4], 1, 0, []uint32{own}, errRefused},
		{"an empty record", nil, 1, 0, []uint32{own}, errRefused},
		{"half a gid", record[:6], 9, 0, []uint32{own}, errDamaged},
		{"more groups than Linux allows", make([]byte, 4*65537), 9, 0, []uint32{own}, errDamaged},
	} {
		t.Run(c.name, func(t *testing.T) {
			got, err := packGIDs(c.record, own, c.size, c.limit)
			if !errors.Is(err, c.err) || !reflect.DeepEqual(got, c.want) {
				t.Errorf("got %d, %v; want %d, %v", got, err, c.want, c.err)
			}
		})
	}
}
