package snapshot

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"regexp"
	"slices"
	"time"

	"github.com/secure-systems-lab/go-securesystemslib/dsse"

	"github.com/nss-iam/nss-iam/internal/directory"
)

// payloadType names the manifest in the envelope, so that a signature made
// for something else never fits.
const payloadType = "application/vnd.nss-iam.snapshot.manifest+json"

// maxGeneration keeps generations exact in every JSON reader, and far from
// overflow.
const maxGeneration = 1 << 53

// A Trust is what Open measures a file by.
type Trust struct {
	Keys       []PublicKey // any one of them must have signed
	Account    string      // the account it must be of; "": any
	Generation uint64      // the generation held; an older one is refused, the same one is not
	Digest     string      // Manifest.Digest of the generation held; the same generation with another is refused; "": any
	Now        time.Time
}

// sign writes content, which b holds encoded, as a file of the given generation
// that is valid from written until expires.
func sign(b body, content directory.Answer, generation uint64, written, expires time.Time, signer *Signer) ([]byte,
	error) {
	compressed, err := b.compress()
	if err != nil {
		return nil, fmt.Errorf("compress snapshot: %w", err)
	}
	sum := sha256.Sum256(compressed)
	m := Manifest{
		Version: Version, Account: content.Directory.Account, Store: content.Directory.Store, Generation: generation,
		Written: written.UTC().Truncate(time.Second), Expires: expires.UTC().Truncate(time.Second),
		AsOf:    content.AsOf.UTC().Truncate(time.Second),
		Content: b.digest, Decoded: len(b.lines),
		Size: len(compressed), SHA256: hex.EncodeToString(sum[:]),
	}
	if err := m.check(); err != nil {
		return nil, fmt.Errorf("sign snapshot: %w", err)
	}
	payload, err := json.Marshal(m)
	if err != nil {
		return nil, fmt.Errorf("sign snapshot: %w", err)
	}
	envelopes, err := dsse.NewEnvelopeSigner(signer)
	if err != nil {
		return nil, fmt.Errorf("sign snapshot: %w", err)
	}
	envelope, err := envelopes.SignPayload(context.Background(), payloadType, payload)
	if err != nil {
		return nil, fmt.Errorf("sign snapshot: %w", err)
	}
	header, err := json.Marshal(envelope)
	if err != nil {
		return nil, fmt.Errorf("sign snapshot: %w", err)
	}
	data := make([]byte, 0, len(header)+1+len(compressed))
	data = append(append(data, header...), '\n')
	return append(data, compressed...), nil
}

// Open reads a file that must satisfy trust, and returns one of the errors
// above for one that does not. Nothing of the file is believed, and nothing
// decompressed, before a trusted key's signature over its manifest fits and
// the manifest fits the body. Whether the snapshot has expired is for the
// caller to ask with CheckExpiry.
func Open(data []byte, trust Trust) (*Snapshot, error) {
	m, signedBy, compressed, err := verify(data, trust)
	if err != nil {
		return nil, err
	}
	content, err := decodeBody(compressed, m.Decoded)
	if err != nil {
		return nil, err
	}
	content.Directory.Account, content.Directory.Store, content.AsOf = m.Account, m.Store, m.AsOf
	return &Snapshot{m, signedBy, content}, nil
}

// verify does all of Open but decoding the body.
func verify(data []byte, trust Trust) (m Manifest, signedBy string, compressed []byte, err error) {
	if len(data) > MaxSize {
		return m, "", nil, fmt.Errorf("%w: %d bytes, %d allowed", ErrTooLarge, len(data), MaxSize)
	}
	header, compressed, err := split(data)
	if err != nil {
		return m, "", nil, err
	}
	payload, signedBy, err := openEnvelope(header, trust.Keys)
	if err != nil {
		return m, "", nil, err
	}
	m, err = parseManifest(payload)
	if err != nil {
		return m, "", nil, err
	}
	if err := m.fits(trust); err != nil {
		return m, "", nil, err
	}
	if len(compressed) < m.Size {
		return m, "", nil, fmt.Errorf("%w: %d of %d bytes are there", ErrTruncated, len(compressed), m.Size)
	}
	if sum := sha256.Sum256(compressed); hex.EncodeToString(sum[:]) != m.SHA256 {
		return m, "", nil, fmt.Errorf("%w: its body is not the one that was signed", ErrDamaged)
	}
	return m, signedBy, compressed, nil
}

// split takes the header line off.
func split(data []byte) (header, rest []byte, err error) {
	end := bytes.IndexByte(data[:min(len(data), maxHeader)], '\n')
	if end >= 0 {
		return data[:end], data[end+1:], nil
	}
	if len(data) < maxHeader && (len(data) == 0 || data[0] == '{') {
		return nil, nil, fmt.Errorf("%w: %d bytes, the first line is not complete", ErrTruncated, len(data))
	}
	return nil, nil, fmt.Errorf("%w: it does not begin as a snapshot does: %.40q", ErrDamaged, data[:min(len(data), 40)])
}

func openEnvelope(header []byte, trusted []PublicKey) (payload []byte, signedBy string, err error) {
	var envelope dsse.Envelope
	if err := strict(header, &envelope); err != nil {
		return nil, "", fmt.Errorf("%w: it does not begin as a snapshot does: %.40q", ErrDamaged, header)
	}
	if envelope.PayloadType != payloadType || len(envelope.Signatures) == 0 {
		return nil, "", fmt.Errorf("%w: its envelope is of something else, %.100q", ErrDamaged, envelope.PayloadType)
	}
	named := ""
	for _, s := range envelope.Signatures {
		if slices.ContainsFunc(trusted, func(k PublicKey) bool { return k.Fingerprint() == s.KeyID }) {
			named = s.KeyID
		}
	}
	if named == "" {
		return nil, "", fmt.Errorf("%w: it names the key %.100q; see who may write here, and take a new publisher's key "+
			"from its own .pub file, never from a snapshot", ErrUntrusted, envelope.Signatures[0].KeyID)
	}
	verifiers := make([]dsse.Verifier, len(trusted))
	for i, k := range trusted {
		verifiers[i] = k
	}
	verifier, err := dsse.NewEnvelopeVerifier(verifiers...)
	if err != nil {
		return nil, "", err
	}
	accepted, payload, err := verifier.VerifyAndDecode(context.Background(), &envelope)
	if err != nil || len(accepted) == 0 {
		return nil, "", fmt.Errorf("%w: the signature of %s does not fit", ErrDamaged, named)
	}
	return payload, accepted[0].KeyID, nil
}

func parseManifest(payload []byte) (Manifest, error) {
	var v struct{ Version int }
	if err := json.Unmarshal(payload, &v); err != nil {
		return Manifest{}, fmt.Errorf("%w: %w", ErrMalformed, err)
	}
	if v.Version < OldestVersion || v.Version > NewestVersion {
		return Manifest{}, fmt.Errorf("%w: %d, and this program reads %d to %d; update the older of host and publisher",
			ErrVersion, v.Version, OldestVersion, NewestVersion)
	}
	var m Manifest
	if err := strict(payload, &m); err != nil {
		return Manifest{}, fmt.Errorf("%w: %w", ErrMalformed, err)
	}
	if err := m.check(); err != nil {
		return Manifest{}, fmt.Errorf("%w: %w", ErrMalformed, err)
	}
	return m, nil
}

// storeForm is an identity store's id, its region, and what names are made from: one
// of a later release's is let through.
var storeForm = regexp.MustCompile(`^d-[0-9a-z]{10} [a-z0-9-]{1,64} [a-z-]{0,32}$`)

func (m Manifest) check() error {
	switch {
	case m.Generation == 0 || m.Generation > maxGeneration:
		return fmt.Errorf("generation %d is not in 1 to %d", m.Generation, uint64(maxGeneration))
	case m.Store != (directory.Store{}) && !storeForm.MatchString(m.Store.ID+" "+m.Store.Region+" "+m.Store.NameFrom):
		return fmt.Errorf("%.80q in region %.80q, with names from %.80q, is no identity store", m.Store.ID, m.Store.Region,
			m.Store.NameFrom)
	case !m.Expires.After(m.Written):
		return fmt.Errorf("it expires at %s and was written at %s", m.Expires.Format(time.RFC3339),
			m.Written.Format(time.RFC3339))
	case m.Size < 0 || m.Size > MaxSize || m.Decoded < 0 || m.Decoded > MaxDecoded:
		return fmt.Errorf("%w: %d bytes compressed and %d not", ErrTooLarge, m.Size, m.Decoded)
	}
	return nil
}

func (m Manifest) fits(trust Trust) error {
	switch {
	case trust.Account != "" && m.Account != trust.Account:
		return fmt.Errorf("%w: %q, and this host is of %q", ErrAccount, m.Account, trust.Account)
	case m.Written.After(trust.Now.Add(ClockTolerance)):
		return fmt.Errorf("%w: written at %s, and it is %s here; see whose clock is wrong", ErrFuture,
			m.Written.Format(time.RFC3339), trust.Now.UTC().Format(time.RFC3339))
	case m.Generation < trust.Generation:
		return fmt.Errorf("%w: generation %d, and %d is held; somebody put an old file back, see who may write here",
			ErrOlder, m.Generation, trust.Generation)
	case m.Generation == trust.Generation && trust.Digest != "" && m.Digest() != trust.Digest:
		return fmt.Errorf("%w: generation %d; see who may write here, and who has the signing key", ErrTwice, m.Generation)
	}
	return nil
}

// Digest returns a hash over everything that was signed, in hex: two files with
// one digest have the same contents.
func (m Manifest) Digest() string {
	b, err := json.Marshal(m)
	if err != nil {
		panic(err) // not for times that JSON could be read into
	}
	sum := sha256.Sum256(b)
	return hex.EncodeToString(sum[:])
}

func (m Manifest) mark() Mark { return Mark{m.Generation, m.Digest()} }
