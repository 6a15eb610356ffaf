package snapshot

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/klauspost/compress/zstd"

	"github.com/nss-iam/nss-iam/internal/directory"
)

// The content line. Members are positions in Users, so that a member who does
// not exist cannot be written down. Times are Unix seconds, 0 for none.
type contentLine struct {
	Users  []userLine        `json:"users"`
	Groups []groupLine       `json:"groups"`
	Pins   map[string]uint32 `json:"pins,omitempty"`
	Former []formerLine      `json:"former,omitempty"`
}

type userLine struct {
	ID       string            `json:"id"`
	Name     string            `json:"name"`
	Path     string            `json:"path,omitempty"`
	Created  int64             `json:"created,omitempty"`
	Disabled bool              `json:"disabled,omitempty"`
	Tags     map[string]string `json:"tags,omitzero"` // {} and absent differ: read and empty, or not read
	Keys     []keyLine         `json:"keys,omitempty"`
}

type keyLine struct {
	ID       string `json:"id"`
	Active   bool   `json:"active"`
	Uploaded int64  `json:"uploaded,omitempty"`
	Body     string `json:"body,omitempty"`
}

type groupLine struct {
	ID      string `json:"id"`
	Name    string `json:"name"`
	Path    string `json:"path,omitempty"`
	Created int64  `json:"created,omitempty"`
	Members []int  `json:"members,omitempty"`
}

type formerLine struct {
	ID    string `json:"id"`
	Name  string `json:"name"`
	Since int64  `json:"left,omitempty"`
}

// The times line: per user of the content line, 0 where the keys were not read.
type timesLine struct {
	KeysRead []int64 `json:"keys_read"`
}

func seconds(t time.Time) int64 {
	if t.IsZero() {
		return 0
	}
	return t.Unix()
}

func moment(s int64) time.Time {
	if s == 0 {
		return time.Time{}
	}
	return time.Unix(s, 0).UTC()
}

// A body is a content encoded, and not yet compressed.
type body struct {
	digest string // SHA-256 of the content line, hex
	lines  []byte
}

// encodeBody writes c down. Equal contents give equal digests, whatever the
// times of their keys and their AsOf are.
func encodeBody(c directory.Answer) (body, error) {
	content, times, err := toLines(c)
	if err != nil {
		return body{}, err
	}
	var lines bytes.Buffer
	lines.Grow(1200 * len(content.Users)) // about what two RSA keys take
	encoder := json.NewEncoder(&lines)
	encoder.SetEscapeHTML(false)
	if err := encoder.Encode(content); err != nil {
		return body{}, err
	}
	digest := sha256.Sum256(lines.Bytes())
	if err := encoder.Encode(times); err != nil {
		return body{}, err
	}
	if lines.Len() > MaxDecoded {
		return body{}, fmt.Errorf("%w: %d bytes uncompressed, %d allowed", ErrTooLarge, lines.Len(), MaxDecoded)
	}
	return body{hex.EncodeToString(digest[:]), lines.Bytes()}, nil
}

// compress returns the body as it stands in the file. Slower levels of zstd
// gain under 1% on random keys.
func (b body) compress() ([]byte, error) {
	writer, err := zstd.NewWriter(nil, zstd.WithEncoderConcurrency(1), zstd.WithLowerEncoderMem(true),
		zstd.WithWindowSize(window), zstd.WithEncoderLevel(zstd.SpeedFastest))
	if err != nil {
		return nil, err
	}
	return writer.EncodeAll(b.lines, make([]byte, 0, len(b.lines)/2+1<<10)), writer.Close()
}

// window bounds what a decoder keeps of the past. Nothing in a directory
// repeats at a distance: IDs and keys are random.
const window = 1 << 20

// decodeBody reads what encodeBody wrote. size is the length that was signed.
func decodeBody(compressed []byte, size int) (directory.Answer, error) {
	if size < 0 || size > MaxDecoded {
		return directory.Answer{}, fmt.Errorf("%w: %d bytes uncompressed, %d allowed", ErrTooLarge, size, MaxDecoded)
	}
	reader, err := zstd.NewReader(nil, zstd.WithDecoderConcurrency(1), zstd.WithDecoderLowmem(true),
		zstd.WithDecoderMaxMemory(uint64(max(size, window))), zstd.WithDecoderMaxWindow(window))
	if err != nil {
		return directory.Answer{}, err
	}
	defer reader.Close()
	lines, err := reader.DecodeAll(compressed, make([]byte, 0, min(size, 16*len(compressed))))
	switch {
	case errors.Is(err, zstd.ErrDecoderSizeExceeded), errors.Is(err, zstd.ErrWindowSizeExceeded), err == nil &&
		len(lines) > size:
		return directory.Answer{}, fmt.Errorf("%w: it decompresses to more than the %d bytes it declares", ErrTooLarge, size)
	case err != nil:
		return directory.Answer{}, fmt.Errorf("%w: %w", ErrMalformed, err)
	case len(lines) != size:
		return directory.Answer{}, fmt.Errorf("%w: it decompresses to %d bytes and declares %d", ErrMalformed, len(lines),
			size)
	}
	first, second, _ := bytes.Cut(lines, []byte{'\n'})
	var content contentLine
	var times timesLine
	if err := strict(first, &content); err != nil {
		return directory.Answer{}, fmt.Errorf("%w: content: %w", ErrMalformed, err)
	}
	if err := strict(second, &times); err != nil {
		return directory.Answer{}, fmt.Errorf("%w: times: %w", ErrMalformed, err)
	}
	return fromLines(content, times)
}

// strict reads exactly one JSON value without keys that v does not have.
func strict(line []byte, v any) error {
	decoder := json.NewDecoder(bytes.NewReader(line))
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(v); err != nil {
		return err
	}
	if decoder.More() {
		return errors.New("more than one value in a line")
	}
	return nil
}

func toLines(c directory.Answer) (contentLine, timesLine, error) {
	if err := check(c); err != nil {
		return contentLine{}, timesLine{}, err
	}
	content := contentLine{
		Users:  make([]userLine, len(c.Directory.Users)),
		Groups: make([]groupLine, len(c.Directory.Groups)),
		Pins:   c.Pins,
	}
	times := timesLine{make([]int64, len(c.Directory.Users))}
	position := make(map[string]int, len(c.Directory.Users))
	for i, u := range c.Directory.Users {
		position[u.ID] = i
		line := userLine{ID: u.ID, Name: u.Name, Path: u.Path, Created: seconds(u.Created), Disabled: u.Disabled,
			Tags: u.Tags}
		if read, ok := c.Listings[u.ID]; ok {
			times.KeysRead[i] = seconds(read.Checked)
			for _, k := range read.Keys {
				line.Keys = append(line.Keys, keyLine{k.ID, k.Active, seconds(k.Uploaded), k.Body})
			}
		}
		content.Users[i] = line
	}
	for i, g := range c.Directory.Groups {
		line := groupLine{ID: g.ID, Name: g.Name, Path: g.Path, Created: seconds(g.Created),
			Members: make([]int, len(g.Members))}
		for j, id := range g.Members {
			line.Members[j] = position[id]
		}
		content.Groups[i] = line
	}
	for _, f := range c.Former {
		content.Former = append(content.Former, formerLine{f.ID, f.Name, seconds(f.Since)})
	}
	return content, times, nil
}

func fromLines(content contentLine, times timesLine) (directory.Answer, error) {
	malformed := func(format string, args ...any) (directory.Answer, error) {
		return directory.Answer{}, fmt.Errorf("%w: %s", ErrMalformed, fmt.Sprintf(format, args...))
	}
	if len(times.KeysRead) != len(content.Users) {
		return malformed("%d times for %d users", len(times.KeysRead), len(content.Users))
	}
	c := directory.Answer{Pins: content.Pins, Listings: make(map[string]directory.KeyListing, len(content.Users))}
	c.Directory.Users = make([]directory.User, len(content.Users))
	c.Directory.Groups = make([]directory.Group, len(content.Groups))
	for i, line := range content.Users {
		c.Directory.Users[i] = directory.User{ID: line.ID, Name: line.Name, Path: line.Path, Created: moment(line.Created),
			Disabled: line.Disabled, Tags: line.Tags}
		if times.KeysRead[i] == 0 {
			if len(line.Keys) > 0 {
				return malformed("user %.200q has keys that were never read", line.ID)
			}
			continue
		}
		read := directory.KeyListing{Checked: moment(times.KeysRead[i])}
		for _, k := range line.Keys {
			read.Keys = append(read.Keys, directory.Key{ID: k.ID, Active: k.Active, Uploaded: moment(k.Uploaded), Body: k.Body})
		}
		c.Listings[line.ID] = read
	}
	for i, line := range content.Groups {
		g := directory.Group{ID: line.ID, Name: line.Name, Path: line.Path, Created: moment(line.Created)}
		for _, position := range line.Members {
			if position < 0 || position >= len(content.Users) {
				return malformed("group %.200q has a member who is not there", line.ID)
			}
			g.Members = append(g.Members, content.Users[position].ID)
		}
		c.Directory.Groups[i] = g
	}
	for _, f := range content.Former {
		c.Former = append(c.Former, directory.Former{ID: f.ID, Name: f.Name, Since: moment(f.Since)})
	}
	if err := check(c); err != nil {
		return malformed("%s", err)
	}
	return c, nil
}
