// Package main is libnss_iam.so.2, the NSS module, which is written in C: cgo
// compiles it, and the link takes only the C objects out of the archive, so
// that no Go runtime gets into the processes that load it (nss/build.mk). It
// imports nothing of ours; its contract with the writer of nss.db is the
// documentation of internal/cache.
//
// This file binds the same C for Go tests and is not in the module.
package main

/*
#cgo CFLAGS: -std=c11 -D_GNU_SOURCE -O2 -fvisibility=hidden -Wall -Wextra -Wconversion
#include <stdlib.h>

#include "bolt.h"
#include "file.h"
#include "format.h"
#include "index.h"
#include "record.h"

static enum record_status pack_gids(const struct bolt_bytes *record, gid_t own, long *start, long *size,
				    gid_t **groups, long limit)
{
	struct record_gids list = { start, size, groups, limit };

	return record_gids(record, own, &list);
}
*/
import "C"

import (
	"errors"
	"unsafe"
)

func main() {}

// Errors of the reader.
var (
	errAbsent  = errors.New("no such key")
	errDamaged = errors.New("file is damaged")
	errShort   = errors.New("buffer is too small")
	errRefused = errors.New("record has an id outside the range")
)

// A reader is a cache file in memory that C owns, laid against the memory's
// end where a read past it would be noticed by a sanitizer.
type reader struct {
	bytes unsafe.Pointer
	file  C.struct_file
}

// open copies data and parses it.
func open(data []byte) (*reader, error) {
	r := &reader{bytes: C.CBytes(data)}
	if C.file_parse((*C.uchar)(r.bytes), C.uint64_t(len(data)), &r.file) != 0 {
		r.close()
		return nil, errDamaged
	}
	return r, nil
}

// idRange is the range that every id in the file must be in.
func (r *reader) idRange() (low, high uint32) { return uint32(r.file.low), uint32(r.file.high) }

func (r *reader) close() { C.free(r.bytes) }

func boltError(status C.enum_bolt_status) error {
	switch status {
	case C.BOLT_FOUND:
		return nil
	case C.BOLT_ABSENT:
		return errAbsent
	default:
		return errDamaged
	}
}

func goBytes(b C.struct_bolt_bytes) []byte {
	return C.GoBytes(unsafe.Pointer(b.data), C.int(b.len))
}

// bucket finds a bucket by name.
func (r *reader) bucket(name string) (*bucket, error) {
	cname := C.CString(name)
	defer C.free(unsafe.Pointer(cname))
	b := &bucket{reader: r}
	err := boltError(C.bolt_find(&r.file.db, cname, &b.at))
	return b, err
}

type bucket struct {
	reader *reader
	at     C.struct_bolt_bucket
}

func (b *bucket) get(key []byte) ([]byte, error) {
	ckey := C.CBytes(key)
	defer C.free(ckey)
	var value C.struct_bolt_bytes
	err := boltError(C.bolt_get(&b.reader.file.db, &b.at, ckey, C.size_t(len(key)), &value))
	if err != nil {
		return nil, err
	}
	return goBytes(value), nil
}

func (b *bucket) seek(key []byte) (found, value []byte, err error) {
	ckey := C.CBytes(key)
	defer C.free(ckey)
	var k, v C.struct_bolt_bytes
	err = boltError(C.bolt_seek(&b.reader.file.db, &b.at, ckey, C.size_t(len(key)), &k, &v))
	if err != nil {
		return nil, nil, err
	}
	return goBytes(k), goBytes(v), nil
}

// indexed are the buckets that have an index, in the order of enum format_bucket.
var indexed = func() (names []string) {
	for i := range C.FORMAT_BUCKETS {
		names = append(names, C.GoString(C.format_buckets[i]))
	}
	return names
}()

// errUseless is the answer of an index that is not there or leads astray.
var errUseless = errors.New("the tree must be walked")

// index finds the value of a key by the index of a bucket alone.
func (r *reader) index(bucket int, key []byte) ([]byte, error) {
	ckey := C.CBytes(key)
	defer C.free(ckey)
	var value C.struct_bolt_bytes
	switch C.index_get(&r.file.index[bucket], r.file.db.base, r.file.size, ckey, C.size_t(len(key)), &value) {
	case C.BOLT_FOUND:
		return goBytes(value), nil
	case C.BOLT_ABSENT:
		return nil, errAbsent
	default:
		return nil, errUseless
	}
}

// get finds the value of a key as the entry points do.
func (r *reader) get(bucket int, key []byte) ([]byte, error) {
	ckey := C.CBytes(key)
	defer C.free(ckey)
	var value C.struct_bolt_bytes
	err := boltError(C.file_get(&r.file, C.enum_format_bucket(bucket), ckey, C.size_t(len(key)), &value))
	if err != nil {
		return nil, err
	}
	return goBytes(value), nil
}

func recordError(status C.enum_record_status) error {
	switch status {
	case C.RECORD_PACKED:
		return nil
	case C.RECORD_SHORT:
		return errShort
	case C.RECORD_REFUSED:
		return errRefused
	default:
		return errDamaged
	}
}

// A want is what a record must say of itself; name "" stands for "by id".
type want struct {
	low, high uint32
	name      string
	id        uint32
}

func (w want) c() (C.struct_record_want, func()) {
	c := C.struct_record_want{low: C.uint32_t(w.low), high: C.uint32_t(w.high), id: C.uint32_t(w.id)}
	if w.name == "" {
		return c, func() {}
	}
	c.name, c.name_len = C.CString(w.name), C.size_t(len(w.name))
	return c, func() { C.free(unsafe.Pointer(c.name)) }
}

// A passwd is struct passwd.
type passwd struct {
	name, password          string
	uid, gid                uint32
	gecos, directory, shell string
}

// packPasswd packs a record into a buffer of size bytes, skew bytes after an aligned address.
func packPasswd(record []byte, w want, size, skew int) (passwd, error) {
	cw, free := w.c()
	defer free()
	data, buffer := C.CBytes(record), C.malloc(C.size_t(size+skew+1))
	defer C.free(data)
	defer C.free(buffer)
	bytes := C.struct_bolt_bytes{data: (*C.uchar)(data), len: C.size_t(len(record))}
	var p C.struct_passwd
	err := recordError(C.record_passwd(&bytes, &cw, &p, (*C.char)(unsafe.Add(buffer, skew)), C.size_t(size)))
	if err != nil {
		return passwd{}, err
	}
	return passwd{
		name: C.GoString(p.pw_name), password: C.GoString(p.pw_passwd),
		uid: uint32(p.pw_uid), gid: uint32(p.pw_gid),
		gecos: C.GoString(p.pw_gecos), directory: C.GoString(p.pw_dir), shell: C.GoString(p.pw_shell),
	}, nil
}

// A group is struct group.
type group struct {
	name, password string
	gid            uint32
	members        []string
}

// packGroup packs a record into a buffer of size bytes, skew bytes after an aligned address.
func packGroup(record []byte, w want, size, skew int) (group, error) {
	cw, free := w.c()
	defer free()
	data, buffer := C.CBytes(record), C.malloc(C.size_t(size+skew+1))
	defer C.free(data)
	defer C.free(buffer)
	bytes := C.struct_bolt_bytes{data: (*C.uchar)(data), len: C.size_t(len(record))}
	var g C.struct_group
	err := recordError(C.record_group(&bytes, &cw, &g, (*C.char)(unsafe.Add(buffer, skew)), C.size_t(size)))
	if err != nil {
		return group{}, err
	}
	out := group{name: C.GoString(g.gr_name), password: C.GoString(g.gr_passwd), gid: uint32(g.gr_gid)}
	for m := g.gr_mem; *m != nil; m = (**C.char)(unsafe.Add(unsafe.Pointer(m), unsafe.Sizeof(*m))) {
		out.members = append(out.members, C.GoString(*m))
	}
	return out, nil
}

// packGIDs appends the gids of an initgroups record to a list that has one
// already, in an array of size; a limit of 0 is none.
func packGIDs(record []byte, own uint32, size, limit int) ([]uint32, error) {
	data := C.CBytes(record)
	defer C.free(data)
	bytes := C.struct_bolt_bytes{data: (*C.uchar)(data), len: C.size_t(len(record))}
	start, room := C.long(1), C.long(size)
	array := (*C.gid_t)(C.calloc(C.size_t(size), C.sizeof_gid_t))
	*array = C.gid_t(own)
	err := recordError(C.pack_gids(&bytes, C.gid_t(own), &start, &room, &array, C.long(limit)))
	defer C.free(unsafe.Pointer(array))
	var gids []uint32
	for _, gid := range unsafe.Slice(array, start) {
		gids = append(gids, uint32(gid))
	}
	return gids, err
}
