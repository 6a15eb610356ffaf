package control

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"

	"github.com/nss-iam/nss-iam/internal/cache"
)

// A Client asks the daemon behind a socket. It distrusts the peer: what listens
// must run as root or as the running user, an answer's size is bounded, and no
// call outlasts its context.
type Client struct{ Path string }

// Ask asks what the directory says now about a login name. An error means that the
// answer is not known; an Answer without keys means that there are none.
func (c Client) Ask(ctx context.Context, q Question) (Answer, error) {
	query := url.Values{"name": {q.Name}}
	if q.Key != "" {
		query.Set("key", q.Key)
	}
	body, err := c.do(ctx, http.MethodGet, "/v1/keys?"+query.Encode(), maxAnswer)
	if err != nil {
		return Answer{}, err
	}
	a, err := decodeAnswer(body, q.Name)
	if err != nil {
		return Answer{}, c.fault(fmt.Errorf("unusable answer: %w", err))
	}
	return a, nil
}

// Admission asks whether the person of a login name may come in now, by a key or
// by anything else. With recent, the answer of the last refresh is good enough. An
// error means that the answer is not known.
func (c Client) Admission(ctx context.Context, name string, recent bool) (cache.UserKeys, error) {
	target := "/v1/admission?name=" + url.QueryEscape(name)
	if recent {
		target += "&recent=1"
	}
	body, err := c.do(ctx, http.MethodGet, target, maxAnswer)
	if err != nil {
		return cache.UserKeys{}, err
	}
	a, err := decodeAnswer(body, name)
	if err != nil {
		return cache.UserKeys{}, c.fault(fmt.Errorf("unusable answer: %w", err))
	}
	return a.User, nil
}

// Status returns the JSON that the daemon's Status function gave.
func (c Client) Status(ctx context.Context) (json.RawMessage, error) {
	return c.report(ctx, http.MethodGet, "/v1/status")
}

// Explain returns the JSON that the daemon's Explain function gave.
func (c Client) Explain(ctx context.Context, name string) (json.RawMessage, error) {
	return c.report(ctx, http.MethodGet, "/v1/explain?name="+url.QueryEscape(name))
}

// Try has the daemon ask the directory what its configuration needs, and returns
// the JSON that its Try function gave.
func (c Client) Try(ctx context.Context) (json.RawMessage, error) {
	return c.report(ctx, http.MethodPost, "/v1/trial")
}

// Refresh has the daemon refresh now and returns the JSON that its Refresh
// function gave.
func (c Client) Refresh(ctx context.Context, r RefreshRequest) (json.RawMessage, error) {
	query := url.Values{}
	if r.DryRun {
		query.Set("dry_run", "1")
	}
	if r.Confirm {
		query.Set("confirm", "1")
	}
	if r.AcceptGroups {
		query.Set("accept_groups", "1")
	}
	return c.report(ctx, http.MethodPost, "/v1/refresh?"+query.Encode())
}

func (c Client) report(ctx context.Context, method, target string) (json.RawMessage, error) {
	body, err := c.do(ctx, method, target, maxReport)
	if err == nil && !json.Valid(body) {
		err = c.fault(errors.New("unusable answer: not JSON"))
	}
	if err != nil {
		return nil, err
	}
	return body, nil
}

func (c Client) fault(err error) error { return fmt.Errorf("ask daemon at %q: %w", c.Path, err) }

// do sends one question and reads one answer of at most limit bytes, on a
// connection of its own.
func (c Client) do(ctx context.Context, method, target string, limit int64) ([]byte, error) {
	body, err := c.exchange(ctx, method, target, limit)
	if ctx.Err() != nil && err != nil {
		err = fmt.Errorf("no answer in time: %w", ctx.Err())
	}
	if err != nil {
		return nil, c.fault(err)
	}
	return body, nil
}

func (c Client) exchange(ctx context.Context, method, target string, limit int64) ([]byte, error) {
	conn, err := new(net.Dialer).DialContext(ctx, "unix", c.Path)
	if err != nil {
		var op *net.OpError // its text repeats the path, which fault gives
		if errors.As(err, &op) {
			err = op.Err
		}
		return nil, err
	}
	defer context.AfterFunc(ctx, func() { _ = conn.Close() })()
	defer func() { _ = conn.Close() }()
	uid, err := peer(conn.(*net.UnixConn))
	if err != nil {
		return nil, err
	}
	if uid != 0 && uid != uint32(os.Geteuid()) {
		return nil, fmt.Errorf("the socket belongs to uid %d, not to root", uid)
	}
	request, err := http.NewRequestWithContext(ctx, method, "http://daemon"+target, nil)
	if err != nil {
		return nil, err
	}
	if err := request.Write(conn); err != nil {
		return nil, err
	}
	response, err := http.ReadResponse(bufio.NewReader(io.LimitReader(conn, limit)), request)
	if err != nil {
		return nil, fmt.Errorf("unusable answer: %w", err)
	}
	body, err := io.ReadAll(response.Body)
	if err != nil {
		return nil, fmt.Errorf("unusable answer: %w", err)
	}
	if response.StatusCode != http.StatusOK {
		var w wireError
		if json.Unmarshal(body, &w) != nil || w.Error == "" {
			return nil, fmt.Errorf("unusable answer: status %d", response.StatusCode)
		}
		if w.NotConfigured {
			return nil, ErrNotConfigured
		}
		return nil, Refusal{w.Error}
	}
	return body, nil
}
