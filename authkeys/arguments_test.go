package main

import (
	"encoding/base64"
	"reflect"
	"strings"
	"testing"
)

func TestALoginNameHasItsCharactersAndItsLength(t *testing.T) {
	for c := rune(1); c < 0x180; c++ {
		want := c > ' ' && c < 0x7f && c != '/' && c != ':'
		if err := checkName("a" + string(c)); (err == nil) != want {
			t.Errorf("a name with %q: %v, want accepted: %v", c, err, want)
		}
	}
	for name, want := range map[string]bool{
		"": false, "a": true, "-a": false, "a-": true,
		strings.Repeat("a", maxName): true, strings.Repeat("a", maxName+1): false,
	} {
		if err := checkName(name); (err == nil) != want {
			t.Errorf("name %.20q of %d bytes: %v, want accepted: %v", name, len(name), err, want)
		}
	}
}

func TestSshdsArgumentsAreReadInAnyOrderAndEachOnce(t *testing.T) {
	alice := key("APKAALICE", "alice1")
	text, md5 := base64.StdEncoding.EncodeToString(alice.Blob), "MD5:16:27:ac:a5:76:28:2d:36:63:1b:56:4d:eb:df:a6:48"
	for _, c := range []struct {
		name string
		args []string
		want question // zero: refused
	}{
		{"the name alone", []string{"alice"}, question{name: "alice"}},
		{"a name of digits is a name", []string{"1000"}, question{name: "1000"}},
		{"all of them", []string{"alice", "7", alice.SHA256(), text, "ssh-ed25519"},
			question{name: "alice", uid: 7, hasUID: true, fingerprint: alice.SHA256(), keyText: text, blob: alice.Blob,
				keyType: "ssh-ed25519"}},
		{"all in another order", []string{"alice", "sk-ssh-ed25519@openssh.com", text, md5, "7"},
			question{name: "alice", uid: 7, hasUID: true, fingerprint: md5, keyText: text, blob: alice.Blob,
				keyType: "sk-ssh-ed25519@openssh.com"}},
		{"uid 0 is a uid", []string{"alice", "0"}, question{name: "alice", hasUID: true}},
		{"the greatest uid", []string{"alice", "4294967295"}, question{name: "alice", uid: 1<<32 - 1, hasUID: true}},
		{"no arguments", nil, question{}},
		{"a uid greater by one", []string{"alice", "4294967296"}, question{}},
		{"a negative uid", []string{"alice", "-1"}, question{}},
		{"an empty argument", []string{"alice", ""}, question{}},
		{"base64 that is none", []string{"alice", "AAAA!"}, question{}},
		{"a fingerprint cut short", []string{"alice", md5[:49]}, question{}},
		{"a fingerprint of another hash", []string{"alice", "SHA1:" + alice.SHA256()[7:]}, question{}},
		{"two uids", []string{"alice", "0", "0"}, question{}},
		{"two fingerprints", []string{"alice", md5, alice.SHA256()}, question{}},
		{"two keys", []string{"alice", text, text}, question{}},
		{"two types", []string{"alice", "ssh-rsa", "ssh-ed25519"}, question{}},
		{"a name that looks like an option", []string{"-o"}, question{}},
		{"something else", []string{"alice", "hello"}, question{}},
	} {
		got, err := parseArguments(c.args)
		if !reflect.DeepEqual(got, c.want) || (err == nil) != (c.want.name != "") {
			t.Errorf("%s: %+v, %v\nwant %+v", c.name, got, err, c.want)
		}
	}
}

func TestAKeyTypeHasTheFormOfOne(t *testing.T) {
	for a, want := range map[string]bool{
		"ssh-rsa": true, "sk-ecdsa-sha2-nistp256@openssh.com": true, "a-1": true, "z-9": true, "rsa": false, "Ssh-rsa": false,
		"1ssh-rsa": false, "-ssh": false, "`-a": false, "{-a": false, "ssh-rsa,": false, "ssh-rsA": false, "ssh-rsa/": false,
		"a-" + strings.Repeat("z", 62): true, "a-" + strings.Repeat("z", 63): false,
		"a-`": false, "a-{": false, "a-:": false, "a-/": false, "a-a": true, "a-z": true, "a-0": true,
	} {
		if got := isKeyType(a); got != want {
			t.Errorf("%q is a key type: %v, want %v", a, got, want)
		}
	}
}

func TestOnlyTheOfferedKeyIsTheOfferedKey(t *testing.T) {
	alice, bob := key("APKAALICE", "alice1"), key("APKABOB", "bob")
	for _, c := range []struct {
		name    string
		q       question
		has     bool
		alice   bool
		bobsToo bool
	}{
		{"nothing is known", question{}, false, true, true},
		{"the type alone says no key", question{keyType: "ssh-ed25519"}, false, true, true},
		{"another type", question{keyType: "ssh-rsa"}, false, false, false},
		{"the fingerprint", question{fingerprint: alice.SHA256()}, true, true, false},
		{"the bytes", question{blob: alice.Blob}, true, true, false},
		{"both", question{blob: alice.Blob, fingerprint: alice.SHA256()}, true, true, false},
		{"bytes and a fingerprint of another key", question{blob: alice.Blob, fingerprint: bob.SHA256()}, true, false, false},
		{"bytes and another type", question{blob: alice.Blob, keyType: "ssh-rsa"}, true, false, false},
	} {
		if c.q.hasKey() != c.has || c.q.offersKey(alice) != c.alice || c.q.offersKey(bob) != c.bobsToo {
			t.Errorf("%s: known %v, alice's %v, bob's %v; want %v, %v, %v", c.name,
				c.q.hasKey(), c.q.offersKey(alice), c.q.offersKey(bob), c.has, c.alice, c.bobsToo)
		}
	}
}
