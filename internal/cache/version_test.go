package cache

import (
	"encoding/hex"
	"testing"
)

// The digests of what each version of a file holds of company(40) and keyCompany. A version gets a line of its own;
// a line changes only if these people do.
var (
	nssContents = map[uint32]string{
		1: "330ebbceaefbaa2bb902c2c29c58f60d0e2fd680fcafa2339aae09196bc382dd",
	}
	keysContents = map[uint32]string{
		1: "05be44b3534edb3a7d4a0ebb137a70e551345e6881abfc42183ef677805483b3",
	}
)

// TestAVersionAlwaysMeansTheSameBytes guards hosts where the reader and the writer are of two releases: what is
// written differently has another version, which the reader before refuses.
func TestAVersionAlwaysMeansTheSameBytes(t *testing.T) {
	dir := t.TempDir()
	if _, err := PublishNSS(dir, company(40), testTime); err != nil {
		t.Fatal(err)
	}
	if _, err := PublishKeys(dir, keyCompany(t), -1, testTime); err != nil {
		t.Fatal(err)
	}
	_, nss, err := ReadNSS(dir)
	if err != nil {
		t.Fatal(err)
	}
	_, keys, err := ReadKeys(dir)
	if err != nil {
		t.Fatal(err)
	}
	if got := hex.EncodeToString(nss.Digest[:]); got != nssContents[nss.Version] {
		t.Errorf("nss.db of version %d has the digest %s; raise Version and add a line", nss.Version, got)
	}
	if got := hex.EncodeToString(keys.Digest[:]); got != keysContents[keys.Version] {
		t.Errorf("keys.db of version %d has the digest %s; raise KeysVersion and add a line", keys.Version, got)
	}
}
