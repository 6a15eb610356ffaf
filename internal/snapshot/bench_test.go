package snapshot

import (
	"context"
	"path/filepath"
	"testing"
	"time"

	"github.com/nss-iam/nss-iam/internal/directory"
)

// 5,000 users, IAM's quota, with two RSA-2048 keys each.
func company() directory.Answer { return sample(5000, 4) }

func BenchmarkSign(b *testing.B) {
	c, signer := company(), newSignerFor(b)
	b.ReportAllocs()
	for b.Loop() {
		data, err := Sign(c, 1, start, start.Add(Lifetime), signer)
		if err != nil {
			b.Fatal(err)
		}
		b.ReportMetric(float64(len(data)), "file-bytes")
	}
}

func BenchmarkOpen(b *testing.B) {
	signer := newSignerFor(b)
	data := signed(b, company(), 1, signer)
	b.ReportAllocs()
	for b.Loop() {
		if _, err := Open(data, trusting(signer)); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkPublishChanged(b *testing.B) {
	c := company()
	now := start
	p := publisherOf(NewFileStore(filepath.Join(b.TempDir(), "snapshot")), newSignerFor(b), &now)
	b.ReportAllocs()
	for n := 0; b.Loop(); n++ {
		c.AsOf = c.AsOf.Add(time.Second)
		c.Directory.Users[n%5000].Path += "x"
		if r, err := p.Publish(context.Background(), c); err != nil || !r.Published {
			b.Fatal(r, err)
		}
	}
}

func BenchmarkPublishUnchanged(b *testing.B) {
	c := company()
	now := start
	p := publisherOf(NewFileStore(filepath.Join(b.TempDir(), "snapshot")), newSignerFor(b), &now)
	if _, err := p.Publish(context.Background(), c); err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	for b.Loop() {
		if r, err := p.Publish(context.Background(), c); err != nil || r.Published {
			b.Fatal(r, err)
		}
	}
}
