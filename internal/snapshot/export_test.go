package snapshot

import (
	"time"

	"github.com/nss-iam/nss-iam/internal/directory"
)

// Sign writes content as a file of the given generation that is valid from
// written until expires, as a publisher with that clock would.
func Sign(content directory.Answer, generation uint64, written, expires time.Time, signer *Signer) ([]byte, error) {
	b, err := encodeBody(content)
	if err != nil {
		return nil, err
	}
	return sign(b, content, generation, written, expires, signer)
}
