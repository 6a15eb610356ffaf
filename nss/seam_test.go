package main

import (
	"encoding/binary"
	"go/constant"
	"go/token"
	"go/types"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/nss-iam/nss-iam/internal/accounts"
	"github.com/nss-iam/nss-iam/internal/cache"
)

// contract is each constant of format.h with what internal/cache has for it.
var contract = map[string]any{
	"FORMAT_OLDEST_VERSION": cache.OldestVersion, "FORMAT_NEWEST_VERSION": cache.NewestVersion,
	"FORMAT_PAGE_SIZE": cache.PageSize,
	"FORMAT_MAX_NAME":  cache.MaxNameLen, "FORMAT_MAX_FIELD": cache.MaxFieldLen,
	"FORMAT_MAX_GROUPS": cache.MaxGroups, "FORMAT_MAX_FILE": cache.MaxFileSize,
	"FORMAT_MIN_ID": cache.MinID, "FORMAT_MAX_ID": cache.MaxID,
	"FORMAT_FILE": cache.NSSFile, "FORMAT_META": cache.BucketMeta, "FORMAT_META_VERSION": cache.MetaVersion,
	"FORMAT_META_RANGE": cache.MetaRange, "FORMAT_INDEX": cache.BucketIndex,

	"PASSWD_UID": cache.PasswdUID, "PASSWD_GID": cache.PasswdGID, "PASSWD_NAME_LEN": cache.PasswdNameLen,
	"PASSWD_GECOS_LEN": cache.PasswdGecosLen, "PASSWD_HOME_LEN": cache.PasswdHomeLen,
	"PASSWD_SHELL_LEN": cache.PasswdShellLen, "PASSWD_FLAGS": cache.PasswdFlags,
	"PASSWD_HEADER": cache.PasswdHeader, "PASSWD_FORMER": cache.PasswdFormer,

	"GROUP_GID": cache.GroupGID, "GROUP_MEMBERS": cache.GroupMembers, "GROUP_MEMBERS_LEN": cache.GroupMembersLen,
	"GROUP_NAME_LEN": cache.GroupNameLen, "GROUP_HEADER": cache.GroupHeader,

	"INDEX_CELLS": cache.IndexCells, "INDEX_CELL_COUNT": cache.IndexCellCount, "INDEX_CELL_SIZE": cache.IndexCellSize,
	"INDEX_PILOTS": cache.IndexPilots, "INDEX_PILOT_COUNT": cache.IndexPilotCount, "INDEX_SEED": cache.IndexSeed,
	"INDEX_HEAD": cache.IndexHead, "INDEX_FACTOR": uint64(cache.IndexFactor),

	"CELL_HEADER": cache.CellHeader, "CELL_ELSEWHERE": cache.CellElsewhere, "CELL_WHERE": cache.CellWhere,
	"CELL_LENGTH": cache.CellLength, "CELL_STEP": cache.CellStep, "CELL_MAX": cache.CellMax,
}

// headerConstants reads the enumerators and macros of a C header that have a value.
func headerConstants(t *testing.T, path string) map[string]constant.Value {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	code := regexp.MustCompile(`(?s)/\*.*?\*/`).ReplaceAllString(string(text), "")
	found := map[string]constant.Value{}
	for _, m := range regexp.MustCompile(`(?m)^(?:\t(\w+) = |#define (\w+) +)([^,\n]+)`).FindAllStringSubmatch(code, -1) {
		v, err := types.Eval(token.NewFileSet(), nil, token.NoPos, strings.TrimSuffix(strings.TrimSpace(m[3]), "u"))
		if err != nil {
			t.Fatalf("%s: %s = %s: %v", path, m[1]+m[2], m[3], err)
		}
		found[m[1]+m[2]] = v.Value
	}
	return found
}

func TestEveryConstantOfTheHeaderIsTheContracts(t *testing.T) {
	header := headerConstants(t, "format.h")
	for name, got := range header {
		want, ok := contract[name]
		if !ok {
			t.Errorf("%s is in nss/format.h, and no constant of internal/cache is compared with it", name)
		} else if w := constantOf(want); !constant.Compare(got, token.EQL, w) {
			t.Errorf("%s: %v in nss/format.h, %v in internal/cache", name, got, w)
		}
	}
	for name := range contract {
		if _, ok := header[name]; !ok {
			t.Errorf("%s is not in nss/format.h", name)
		}
	}
	if !slices.Equal(indexed, cache.Indexed) {
		t.Errorf("buckets %q in nss/file.c, %q in internal/cache", indexed, cache.Indexed)
	}
}

func constantOf(v any) constant.Value {
	switch v := v.(type) {
	case string:
		return constant.MakeString(v)
	case uint64:
		return constant.MakeUint64(v)
	default:
		return constant.MakeInt64(reflect.ValueOf(v).Int())
	}
}

// seamTables has every kind of user and group that a record can hold: empty and
// full fields, former users, values too long for a cell, no member and many.
func seamTables() accounts.Tables {
	t := accounts.Tables{Range: accounts.Range{Low: 2001000000, High: 2146999999}}
	all := accounts.Group{Name: "iam-users", GID: t.Range.Low}
	for i, u := range []accounts.User{
		{Name: "alice", Gecos: "Alice Smith", Home: "/home/alice", Shell: "/bin/bash"},
		{Name: "b"},
		{Name: strings.Repeat("n", cache.MaxNameLen), Gecos: strings.Repeat("g", cache.MaxFieldLen),
			Home: "/" + strings.Repeat("h", cache.MaxFieldLen-1), Shell: "/" + strings.Repeat("s", cache.MaxFieldLen-1)},
		{Name: "gone", Gecos: "A former user", Home: "/nonexistent", Shell: "/usr/sbin/nologin", Former: true},
		{Name: "many", Gecos: "Zoë, in many groups", Home: "/home/many", Shell: "/bin/sh"},
		{Name: "lonely", Home: "/home/lonely", Shell: "/bin/sh"},
	} {
		u.UID = t.Range.Low + 1000 + uint32(i)*7919
		switch {
		case u.Name == "many":
			for n := range uint32(100) {
				u.Groups = append(u.Groups, 998+n) // local gids, as map_groups gives
			}
			fallthrough
		case !u.Former && u.Name != "lonely":
			u.Groups = append(u.Groups, all.GID)
			all.Members = append(all.Members, u.Name)
		}
		t.Users = append(t.Users, u)
		t.Groups = append(t.Groups, accounts.Group{Name: u.Name, GID: u.UID})
	}
	t.Groups = append([]accounts.Group{all}, t.Groups...)
	return t
}

// TestTheReaderReadsWhatTheWriterWrites holds the two ends of nss.db together:
// internal/cache publishes, and the C that the module is made of reads.
func TestTheReaderReadsWhatTheWriterWrites(t *testing.T) {
	dir, tables := t.TempDir(), seamTables()
	if _, err := cache.PublishNSS(dir, tables, time.Unix(1700000000, 0)); err != nil {
		t.Fatal(err)
	}
	data, err := os.ReadFile(filepath.Join(dir, cache.NSSFile))
	if err != nil {
		t.Fatal(err)
	}
	r, err := open(data)
	if err != nil {
		t.Fatal(err)
	}
	defer r.close()

	var users []passwd
	for _, u := range tables.Users {
		want := passwd{name: u.Name, password: "*", uid: u.UID, gid: u.UID, gecos: u.Gecos, directory: u.Home, shell: u.Shell}
		if u.Former {
			want.password = "x"
		}
		users = append(users, want)
		for how, record := range r.records(t, cache.BucketPasswdName, cache.BucketPasswdUID, u.Name, u.UID) {
			if got, err := packPasswd(record, r.want(u.Name, 0), 2000, 0); err != nil || got != want {
				t.Errorf("user %q %s: got %+v, %v; want %+v", u.Name, how, got, err, want)
			}
		}
		record, err := r.get(bucketNumber(cache.BucketInitgroups), []byte(u.Name))
		if (err == nil) != (len(u.Groups) > 0) {
			t.Errorf("groups of %q: %v; want %d", u.Name, err, u.Groups)
		}
		if err == nil {
			got, err := packGIDs(record, u.UID, 1, 0)
			if want := append([]uint32{u.UID}, u.Groups...); err != nil || !slices.Equal(got, want) {
				t.Errorf("groups of %q: got %d, %v; want %d", u.Name, got, err, want)
			}
		}
	}
	var groups []group
	for _, g := range tables.Groups {
		want := group{name: g.Name, password: "*", gid: g.GID, members: g.Members}
		groups = append(groups, want)
		for how, record := range r.records(t, cache.BucketGroupName, cache.BucketGroupGID, g.Name, g.GID) {
			if got, err := packGroup(record, r.want(g.Name, 0), 2000, 0); err != nil || !reflect.DeepEqual(got, want) {
				t.Errorf("group %q %s: got %+v, %v; want %+v", g.Name, how, got, err, want)
			}
		}
	}
	if got := enumerated(t, r, cache.BucketPasswdUID, packPasswd); !slices.Equal(got, users) {
		t.Errorf("all users: got %+v, want %+v", got, users)
	}
	if got := enumerated(t, r, cache.BucketGroupGID, packGroup); !reflect.DeepEqual(got, groups) {
		t.Errorf("all groups: got %+v, want %+v", got, groups)
	}
}

func bucketNumber(name string) int { return slices.Index(indexed, name) }

// want is what a record of the open file must say of itself.
func (r *reader) want(name string, id uint32) want {
	low, high := r.idRange()
	return want{low: low, high: high, name: name, id: id}
}

// records finds one record in each of the ways that a lookup has: by name and by
// id, through the index's cell and down the tree.
func (r *reader) records(t *testing.T, byName, byID, name string, id uint32) map[string][]byte {
	t.Helper()
	all := map[string][]byte{}
	for how, k := range map[string]struct {
		bucket string
		key    []byte
	}{"by name": {byName, []byte(name)}, "by id": {byID, binary.BigEndian.AppendUint32(nil, id)}} {
		b, err := r.bucket(k.bucket)
		if err != nil {
			t.Fatal(err)
		}
		tree, err := b.get(k.key)
		if err != nil {
			t.Errorf("%q %s, down the tree: %v", name, how, err)
		}
		cell, err := r.index(bucketNumber(k.bucket), k.key)
		if err != nil {
			t.Errorf("%q %s, through the index: %v", name, how, err)
		}
		all[how+", down the tree"], all[how+", through the index"] = tree, cell
	}
	return all
}

// enumerated walks a bucket as getpwent does: each time from the next id on.
func enumerated[T any](t *testing.T, r *reader, bucket string, pack func([]byte, want, int, int) (T, error)) (all []T) {
	t.Helper()
	b, err := r.bucket(bucket)
	if err != nil {
		t.Fatal(err)
	}
	for id := uint32(cache.MinID); ; id++ {
		key, record, err := b.seek(binary.BigEndian.AppendUint32(nil, id))
		if err != nil {
			return all
		}
		id = binary.BigEndian.Uint32(key)
		entry, err := pack(record, r.want("", id), 2000, 0)
		if err != nil {
			t.Errorf("id %d of all: %v", id, err)
		}
		all = append(all, entry)
	}
}
