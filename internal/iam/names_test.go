package iam_test

import (
	"context"
	"errors"
	"net"
	"sync/atomic"
	"testing"
	"time"

	"github.com/nss-iam/nss-iam/internal/awsapi"
	"github.com/nss-iam/nss-iam/tests/emulator"
)

// nameServer has the process ask a name server that answers every question with
// a response code of DNS, or not at all (-1).
func nameServer(t *testing.T, code int) {
	t.Helper()
	conn, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	go func() {
		question := make([]byte, 1500)
		for {
			n, from, err := conn.ReadFrom(question)
			if err != nil {
				return
			}
			if code < 0 || n < 12 {
				continue
			}
			answer := append([]byte(nil), question[:n]...)
			answer[2] |= 0x80 // it is a response
			answer[3] = 0x80 | byte(code)
			answer[10], answer[11] = 0, 0 // without the question's additional record
			for end := 12; end < n; end += int(answer[end]) + 1 {
				if answer[end] == 0 {
					answer = answer[:end+5]
					break
				}
			}
			_, _ = conn.WriteTo(answer, from)
		}
	}()
	address := conn.LocalAddr().String()
	nameServerOf.Store(&address)
	t.Cleanup(func() { nameServerOf.Store(nil); _ = conn.Close() })
}

// nameServerOf is the address of the name server that tests ask; nil: the machine's.
var nameServerOf atomic.Pointer[string]

// Set once: questions go on after the test whose call asked them.
func init() {
	net.DefaultResolver = &net.Resolver{PreferGo: true, Dial: func(ctx context.Context, network,
		address string) (net.Conn, error) {
		if own := nameServerOf.Load(); own != nil {
			network, address = "udp", *own
		}
		return new(net.Dialer).DialContext(ctx, network, address)
	}}
}

func TestAnSTSNameThatDoesNotResolveIsSaidToBeThat(t *testing.T) {
	for _, c := range []struct {
		name string
		code int
		want string
	}{
		{"no such name", 3, `look up "sts.nowhere.example": no such host`},
		{"the name servers fail", 2, `look up "sts.nowhere.example": server misbehaving`},
		{"the name servers do not answer", -1, `look up "sts.nowhere.example": `},
	} {
		t.Run(c.name, func(t *testing.T) {
			isolate(t)
			e := start(t, emulator.Options{Company: company})
			nameServer(t, c.code)
			t.Setenv("AWS_ENDPOINT_URL_IAM", e.URL)
			t.Setenv("AWS_ENDPOINT_URL_STS", "http://sts.nowhere.example")
			o := quick(e)
			o.Endpoint, o.AssumeRole = "", "arn:aws:iam::123456789012:role/reader"
			o.AttemptTimeout, o.CallTimeout, o.PageTimeout = 300*time.Millisecond, time.Second, 300*time.Millisecond
			_, err := open(t, o).Keys(t.Context(), "alice", nil)
			if !errors.Is(err, awsapi.ErrUnreachable) {
				t.Errorf("got %v, want ErrUnreachable", err)
			}
			wantText(t, err, c.want, "check this host's name servers")
		})
	}
}
