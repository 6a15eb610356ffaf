package awsapi

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"net"
	"net/http"
	"net/http/httptrace"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	awsmiddleware "github.com/aws/aws-sdk-go-v2/aws/middleware"
	"github.com/aws/smithy-go"
	"github.com/aws/smithy-go/middleware"
	smithyhttp "github.com/aws/smithy-go/transport/http"

	"github.com/nss-iam/nss-iam/internal/directory"
)

// Stats returns the counts since Open, of the service, STS and EC2.
func (c *Caller) Stats() directory.Stats {
	c.counter.Lock()
	defer c.counter.Unlock()
	return directory.Stats{Calls: maps.Clone(c.counter.calls), Throttles: maps.Clone(c.counter.throttles),
		Rate: c.limiter.inForce(), Spare: c.limiter.spare()}
}

type counter struct {
	sync.Mutex
	calls, throttles map[string]int64
}

func (c *counter) add(action string, err error) (throttled bool) {
	c.Lock()
	defer c.Unlock()
	if c.calls == nil {
		c.calls, c.throttles = make(map[string]int64), make(map[string]int64)
	}
	c.calls[action]++
	var api smithy.APIError
	if errors.As(err, &api) && errors.Is(kindOf(api.ErrorCode(), err), ErrThrottled) {
		c.throttles[action]++
		return true
	}
	return false
}

// counting counts every request of every client.
func (c *Caller) counting(stack *middleware.Stack) error {
	return stack.Deserialize.Insert(middleware.DeserializeMiddlewareFunc("CountRequests",
		func(ctx context.Context, in middleware.DeserializeInput,
			next middleware.DeserializeHandler) (middleware.DeserializeOutput, middleware.Metadata, error) {
			out, metadata, err := next.HandleDeserialize(ctx, in)
			throttled := c.counter.add(awsmiddleware.GetOperationName(ctx), err)
			if throttled && awsmiddleware.GetServiceID(ctx) == c.options.Service {
				c.limiter.throttled(time.Now())
			}
			return out, metadata, err
		}), "OperationDeserializer", middleware.Before)
}

// tries is what a call knows about its attempts.
type tries struct {
	paid      bool        // the next attempt's wait for the rate is done
	last      error       // of the attempt before
	connected atomic.Bool // an attempt came as far as a connection
}

// unresolved are the hosts for which there is no address now, and why: nil where
// the name servers have not answered yet. Of the whole client: a call may wait
// for credentials that another one fetches.
type unresolved struct {
	mu    sync.Mutex
	hosts map[string]error
}

func (u *unresolved) note(host string, err error) {
	u.mu.Lock()
	defer u.mu.Unlock()
	if u.hosts == nil {
		u.hosts = map[string]error{}
	}
	u.hosts[host] = err
}

func (u *unresolved) found(host string) {
	u.mu.Lock()
	defer u.mu.Unlock()
	delete(u.hosts, host)
}

// explain is the error of a call whose time ended while a host had no address,
// or nil. It may be the host of STS, where a role is assumed first.
func (u *unresolved) explain(op string, cause error) *Error {
	u.mu.Lock()
	defer u.mu.Unlock()
	if len(u.hosts) == 0 {
		return nil
	}
	host := slices.Min(slices.Collect(maps.Keys(u.hosts))) // one of them is enough to say
	detail := "the name servers do not answer"
	if dns, ok := errors.AsType[*net.DNSError](u.hosts[host]); ok && !dns.IsTimeout {
		detail = dns.Err
	}
	return &Error{Op: op, Kind: ErrUnreachable, Cause: cause, Detail: fmt.Sprintf("look up %q: %s", host, detail),
		Remedy: namesRemedy}
}

// traced notes how far the attempts of a call come.
func (u *unresolved) traced(ctx context.Context, t *tries) context.Context {
	var host string
	return httptrace.WithClientTrace(ctx, &httptrace.ClientTrace{
		GotConn:  func(httptrace.GotConnInfo) { t.connected.Store(true) },
		DNSStart: func(i httptrace.DNSStartInfo) { host = i.Host; u.note(host, nil) },
		DNSDone: func(i httptrace.DNSDoneInfo) {
			if i.Err != nil {
				u.note(host, i.Err)
			} else {
				u.found(host)
			}
		},
	})
}

type triesKey struct{}

// gaveUp is an error after which the SDK must not try again.
type gaveUp struct{ error }

func (g gaveUp) Unwrap() error        { return g.error }
func (g gaveUp) RetryableError() bool { return false }

// limiting makes every attempt but a call's first wait for the rate; the first
// waits in Call, outside the call's own time limit.
func (c *Caller) limiting(stack *middleware.Stack) error {
	return stack.Finalize.Insert(middleware.FinalizeMiddlewareFunc("LimitRate",
		func(ctx context.Context, in middleware.FinalizeInput, next middleware.FinalizeHandler) (middleware.FinalizeOutput,
			middleware.Metadata, error) {
			tries, ok := ctx.Value(triesKey{}).(*tries)
			if ok && tries.paid {
				tries.paid = false
			} else if err := c.limiter.wait(ctx); err != nil {
				// Why another attempt was wanted says more than that there is no time for it.
				if ok && tries.last != nil {
					err = tries.last
				}
				return middleware.FinalizeOutput{}, middleware.Metadata{}, gaveUp{err}
			}
			out, metadata, err := next.HandleFinalize(ctx, in)
			if ok {
				tries.last = err
			}
			return out, metadata, err
		}), "Retry", middleware.After)
}

// byLane bounds attempts of calls for which a person waits by a shorter time
// than others. It notes in a call's tries how far they came.
type byLane struct {
	urgent, other aws.HTTPClient
	names         *unresolved
}

// Do sends a request by the client of its lane.
func (b byLane) Do(r *http.Request) (*http.Response, error) {
	if t, ok := r.Context().Value(triesKey{}).(*tries); ok {
		r = r.WithContext(b.names.traced(r.Context(), t))
	}
	if directory.LaneOf(r.Context()) == directory.LoginLane {
		return b.urgent.Do(r)
	}
	return b.other.Do(r)
}

// plainBodies hides WriteTo of request bodies from net/http. smithy-go's WriteTo
// fails on a body that is closed, and smithy-go closes a body as soon as the
// answer's head is there: where the answer is quicker than net/http's look for
// the end of the body, net/http cuts the connection while the answer is read.
type plainBodies struct{ aws.HTTPClient }

// Do sends a request as the client beneath does.
func (p plainBodies) Do(r *http.Request) (*http.Response, error) {
	if r.Body != nil && r.Body != http.NoBody {
		r.Body = struct{ io.ReadCloser }{r.Body}
	}
	return p.HTTPClient.Do(r)
}

// Call runs one operation: it waits for the rate, bounds the time, and asks
// for new credentials once if AWS calls them expired. op names the operation
// in errors.
func (c *Caller) Call(ctx context.Context, op string, f func(context.Context) error) error {
	limit := c.options.CallTimeout
	if directory.LaneOf(ctx) != directory.LoginLane {
		limit += c.options.PageTimeout
	}
	return c.within(ctx, op, limit, f)
}

// within is Call with a time limit of its own.
func (c *Caller) within(ctx context.Context, op string, limit time.Duration, f func(context.Context) error) error {
	err := c.try(ctx, op, limit, f)
	if errors.Is(err, ErrExpired) {
		c.expire()
		err = c.try(ctx, op, limit, f)
	}
	return err
}

func (c *Caller) try(ctx context.Context, op string, limit time.Duration, f func(context.Context) error) error {
	if err := c.limiter.wait(ctx); err != nil {
		return ended(ctx, op, err)
	}
	tries := &tries{paid: true}
	bounded, cancel := context.WithTimeout(context.WithValue(ctx, triesKey{}, tries), limit)
	defer cancel()
	err := f(bounded)
	if err == nil {
		return nil
	}
	if ctx.Err() != nil {
		return ended(ctx, op, err)
	}
	// The call's time may end while the SDK waits for another attempt. What the
	// last one met says more.
	if bounded.Err() != nil && tries.last != nil && !errors.Is(tries.last, context.DeadlineExceeded) {
		err = tries.last
	}
	failed := explain(op, err)
	failed.unconnected = !tries.connected.Load()
	if errors.Is(failed.Kind, ErrTimeout) && failed.unconnected {
		if unresolved := c.names.explain(op, err); unresolved != nil {
			return unresolved
		}
	}
	if errors.Is(failed.Kind, ErrTimeout) && !failed.unconnected {
		failed.Detail = "the connection is there, and the answer took too long: " + c.endpoint + " or the way to it is slow"
		failed.Remedy = "look at the proxy and at lost packets on the way"
		if directory.LaneOf(ctx) != directory.LoginLane {
			failed.Remedy = "smaller pages are asked for next; if that does not help, " + failed.Remedy
		}
	}
	if errors.Is(failed.Kind, ErrThrottled) && c.options.ThrottledRemedy != "" {
		failed.Remedy = c.options.ThrottledRemedy
	}
	if errors.Is(failed.Kind, ErrUnreachable) && failed.Remedy == "" {
		failed.Remedy = fmt.Sprintf("check that this host can connect to %s", c.endpoint)
	}
	return failed
}

// ended is the error of a call whose caller's time is over. The rate limiter
// refuses ahead of the deadline where the wait would outlast it.
func ended(ctx context.Context, op string, err error) error {
	switch {
	case ctx.Err() != nil && !errors.Is(ctx.Err(), context.DeadlineExceeded):
		return fmt.Errorf("%s: %w", op, context.Cause(ctx))
	case ctx.Err() != nil:
		return &Error{Op: op, Kind: ErrTimeout, Cause: ctx.Err(), Detail: "the time allowed is over"}
	}
	return &Error{Op: op, Kind: ErrTimeout, Cause: err, Detail: "the time allowed ends before the rate allows the next " +
		"call",
		Remedy: "raise source.rate, or ask for less"}
}

// maxAnswer bounds one answer. A page of 1,000 users has 350 KB; bulk answers
// carry the users' policies as well.
const maxAnswer = 64 << 20

// A cutError is a body that is not whole. The SDK tries again.
type cutError struct{ size int }

func (e *cutError) Error() string {
	return fmt.Sprintf("the body has no proper end after %d bytes", e.size)
}
func (e *cutError) RetryableError() bool { return true }

// wholeAnswers refuses a good status with a body that is empty, cut or too
// long. The SDK takes an empty body for an answer without members, and stops
// reading at the end of the result.
func (c *Caller) wholeAnswers(stack *middleware.Stack) error {
	return stack.Deserialize.Add(middleware.DeserializeMiddlewareFunc("WholeAnswer",
		func(ctx context.Context, in middleware.DeserializeInput,
			next middleware.DeserializeHandler) (middleware.DeserializeOutput, middleware.Metadata, error) {
			out, metadata, err := next.HandleDeserialize(ctx, in)
			response, ok := out.RawResponse.(*smithyhttp.Response)
			if err != nil || !ok || response.StatusCode < 200 || response.StatusCode >= 300 {
				return out, metadata, err
			}
			body, err := io.ReadAll(io.LimitReader(response.Body, maxAnswer+1))
			response.Body.Close()
			response.Body = io.NopCloser(bytes.NewReader(body))
			switch {
			case err != nil && ctx.Err() != nil:
				return out, metadata, err
			case err != nil:
				var timeout interface{ Timeout() bool }
				if errors.As(err, &timeout) && timeout.Timeout() {
					return out, metadata, err
				}
				return out, metadata, &cutError{len(body)}
			case len(body) > maxAnswer, !c.whole(ctx, body):
				return out, metadata, &cutError{len(body)}
			}
			return out, metadata, nil
		}), middleware.After)
}

// whole reports whether the body of a good answer has its proper end.
func (c *Caller) whole(ctx context.Context, body []byte) bool {
	if c.options.JSON && awsmiddleware.GetServiceID(ctx) == c.options.Service {
		return json.Valid(body)
	}
	return bytes.HasSuffix(bytes.TrimSpace(body), []byte("</"+awsmiddleware.GetOperationName(ctx)+"Response>"))
}
