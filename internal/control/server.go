package control

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"io"
	"log"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"time"

	"golang.org/x/time/rate"

	"github.com/nss-iam/nss-iam/internal/cache"
	"github.com/nss-iam/nss-iam/internal/keys"
)

// Options are what a Server answers with and its limits. Zero limits are
// replaced by the defaults named here.
type Options struct {
	// Lookup asks the directory about one login name now and applies the policy. An
	// error means that the answer is not known (the directory is down, or keys.online
	// is "off"). A user who may not log in is an Answer with Login false.
	Lookup func(ctx context.Context, name string) (Answer, error)
	// Admit asks the directory now whether the person of a login name may come in. It
	// is not called if Lookup answered within Reuse. nil: the directory is not asked.
	Admit func(ctx context.Context, name string) (cache.UserKeys, error)
	// Recent is the same from what is known already, if that is recent enough for
	// programs that run often and without a person. nil: nothing is known.
	Recent func(name string) (cache.UserKeys, bool)
	// Listed says what is known of a login name from the last answers, without
	// asking the directory. nil: nothing is known of anybody.
	Listed func(name string) (Answer, Standing)
	// Status describes the daemon; the result becomes JSON.
	Status func(ctx context.Context) (any, error)
	// Explain says why somebody can or cannot log in; the result becomes JSON.
	Explain func(ctx context.Context, name string) (any, error)
	// Try asks the directory once for all that the configuration needs; the result
	// becomes JSON.
	Try func(ctx context.Context) (any, error)
	// Refresh refreshes now; the result becomes JSON. It has as long as it needs, and
	// ends with ctx when the connection does.
	Refresh func(ctx context.Context, r RefreshRequest) (any, error)

	Peers []uint32      // who may ask for keys and status, besides root
	Reuse time.Duration // how long an answer is reused: 3 s; negative: not at all
	// how long an answer is reused while there is no room for lookups: 1 min; five times as long while all turns are taken
	Older         time.Duration
	Retry         time.Duration // how long a failure is reused: 1 s, and no longer than Reuse
	LookupTimeout time.Duration // of one lookup: 10 s
	QueueTimeout  time.Duration // how long a lookup waits for its turn: 1 min
	// Patience is how long after a lookup's begin anybody still waits for it. sshd
	// asks two to four times a login; so a slow IAM costs the person one wait. nil
	// or 0: as long as each has time.
	Patience   func() time.Duration
	Concurrent int     // lookups at a time: 4
	Rate       float64 // lookups a second: 20
	Burst      int     // lookups at once after a pause: 50
	// Spare reports whether there is room for a lookup that an older answer could
	// spare. nil: there is while a turn is free.
	Spare func() bool
	// Strangers is how many lookups a second are made for keys that no listing
	// has. nil: one in four seconds.
	Strangers   func() float64
	Connections int          // open connections of peers: 1024
	Reserved    int          // of root, besides: 64
	Log         *slog.Logger // nil: slog.Default()
}

// A Server answers on the daemon's socket. It holds no lock while it calls one of its
// Options' functions, so that they may call its methods.
type Server struct {
	options    Options
	lookups    *lookups
	admissions *lookups           // asks Options.Admit; shares its rate with lookups
	end        context.CancelFunc // of lookups that wait
}

// NewServer returns a Server. Options.Lookup, Status, Explain and Refresh may be nil;
// what needs them is then answered with an error.
func NewServer(o Options) *Server {
	o.Reuse = max(cmp.Or(o.Reuse, 3*time.Second), 0)
	o.Retry = cmp.Or(o.Retry, time.Second)
	o.Older = cmp.Or(o.Older, time.Minute)
	o.QueueTimeout = cmp.Or(o.QueueTimeout, time.Minute)
	o.LookupTimeout = cmp.Or(o.LookupTimeout, 10*time.Second)
	o.Concurrent = cmp.Or(o.Concurrent, 4)
	o.Rate = cmp.Or(o.Rate, 20)
	o.Burst = cmp.Or(o.Burst, 50)
	o.Connections = cmp.Or(o.Connections, 1024)
	o.Reserved = cmp.Or(o.Reserved, 64)
	o.Log = cmp.Or(o.Log, slog.Default())
	if o.Lookup == nil {
		o.Lookup = func(context.Context, string) (Answer, error) {
			return Answer{}, errors.New("this daemon looks up no keys")
		}
	}
	if o.Admit == nil {
		o.Admit = func(context.Context, string) (cache.UserKeys, error) {
			return cache.UserKeys{}, errors.New("this daemon does not know who may log in")
		}
	}
	if o.Listed == nil {
		o.Listed = func(string) (Answer, Standing) { return Answer{}, Unlisted }
	}
	if o.Strangers == nil {
		o.Strangers = func() float64 { return 0.25 }
	}
	if o.Spare == nil {
		o.Spare = func() bool { return true }
	}
	s := &Server{options: o}
	var life context.Context
	life, s.end = context.WithCancel(context.Background())
	pace := rate.NewLimiter(rate.Limit(o.Rate), o.Burst)
	newLookups := func(ask func(context.Context, string) (Answer, error)) *lookups {
		strange := rate.NewLimiter(rate.Limit(o.Strangers()), strangerBurst)
		return &lookups{
			ask: ask, listed: o.Listed, spare: o.Spare, reuse: o.Reuse, older: o.Older, retry: o.Retry,
			timeout: o.LookupTimeout, queueing: o.QueueTimeout, patience: o.Patience,
			turn: make(chan struct{}, o.Concurrent), rate: pace, life: life, names: map[string]*nameState{},
			renewals: newLine(nil),
			strangers: strangers{
				perSecond: o.Strangers, rate: strange, turn: make(chan struct{}, strangerTurns), line: newLine(strange),
			},
		}
	}
	// Keys and admissions have turns of their own: admission is asked about people who
	// have shown a key or a password already.
	s.lookups, s.admissions = newLookups(o.Lookup), newLookups(o.admit)
	return s
}

// Counts returns the counts as they are now.
func (s *Server) Counts() Counts {
	keys, admissions := s.lookups.counted(), s.admissions.counted()
	return Counts{keys.Limited, keys.Older + admissions.Older, keys.Busy + admissions.Busy}
}

// Outdate ends the reuse of answers. It is called when a refresh has learned more:
// an answer from before must not give back what the refresh took away.
func (s *Server) Outdate() {
	s.lookups.outdate()
	s.admissions.outdate()
}

// Serve answers on l, which must be a Unix socket, until ctx ends; it then
// closes l, waits briefly for answers under way, and returns nil.
func (s *Server) Serve(ctx context.Context, l net.Listener) error {
	defer s.end()
	mux := http.NewServeMux()
	mux.HandleFunc("GET /v1/keys", s.keys)
	mux.HandleFunc("GET /v1/admission", s.admission)
	mux.HandleFunc("GET /v1/status", s.status)
	mux.HandleFunc("GET /v1/explain", s.explain)
	mux.HandleFunc("POST /v1/trial", s.trial)
	mux.HandleFunc("POST /v1/refresh", s.refresh)
	server := &http.Server{
		Handler:           bounded(mux),
		ReadHeaderTimeout: 2 * time.Second,
		MaxHeaderBytes:    maxHeader,
		ErrorLog:          log.New(io.Discard, "", 0), // what hostile peers send is no news
		BaseContext:       func(net.Listener) context.Context { return ctx },
		ConnContext:       withGuest,
	}
	server.SetKeepAlivesEnabled(false)
	stopped := make(chan struct{})
	stop := context.AfterFunc(ctx, func() {
		defer close(stopped)
		late, cancel := context.WithTimeout(context.Background(), 2*time.Second)
		defer cancel()
		if server.Shutdown(late) != nil {
			_ = server.Close()
		}
	})
	err := server.Serve(newDoor(l, s.options))
	if stop() {
		return err
	}
	<-stopped
	return nil
}

type guestKey struct{}

func withGuest(ctx context.Context, conn net.Conn) context.Context {
	g, _ := conn.(*guest)
	return context.WithValue(ctx, guestKey{}, g)
}

// bounded refuses questions with a body: no question needs one, and reading it
// could take for ever.
func bounded(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.ContentLength != 0 {
			_ = http.NewResponseController(w).SetReadDeadline(time.Now())
			reply(w, http.StatusRequestEntityTooLarge, wireError{Error: "the request must not have a body"})
			return
		}
		next.ServeHTTP(w, r)
	})
}

func (s *Server) keys(w http.ResponseWriter, r *http.Request) {
	name, ok := loginName(w, r)
	if !ok {
		return
	}
	key := r.URL.Query().Get("key")
	if key != "" && !keys.IsFingerprint(key) {
		reply(w, http.StatusBadRequest, wireError{Error: "not a key fingerprint"})
		return
	}
	answer, err := s.lookups.keys(r.Context(), Question{Name: name, Key: key})
	replyAnswer(w, answer, err)
}

// loginName returns the name that is asked about, and refuses what is none.
func loginName(w http.ResponseWriter, r *http.Request) (name string, ok bool) {
	name = r.URL.Query().Get("name")
	if name == "" || len(name) > 255 || strings.ContainsFunc(name, func(c rune) bool {
		return c <= ' ' || c >= 0x7f ||
			c == '/' || c == ':'
	}) {
		reply(w, http.StatusBadRequest, wireError{Error: "not a login name"})
		return "", false
	}
	return name, true
}

func replyAnswer(w http.ResponseWriter, answer Answer, err error) {
	var body []byte
	if err == nil {
		body, err = answer.encode()
	}
	if err != nil {
		reply(w, http.StatusServiceUnavailable, wireError{Error: err.Error()})
		return
	}
	reply(w, http.StatusOK, json.RawMessage(body))
}

func (s *Server) status(w http.ResponseWriter, r *http.Request) {
	if s.options.Status == nil {
		reply(w, http.StatusNotImplemented, wireError{Error: "this daemon reports no status"})
		return
	}
	ctx, cancel := context.WithTimeout(r.Context(), s.options.LookupTimeout)
	defer cancel()
	result, err := s.options.Status(ctx)
	s.report(w, result, err)
}

func (s *Server) explain(w http.ResponseWriter, r *http.Request) {
	if !fromRoot(w, r) {
		return
	}
	if s.options.Explain == nil {
		reply(w, http.StatusNotImplemented, wireError{Error: "this daemon does not explain"})
		return
	}
	ctx, cancel := context.WithTimeout(r.Context(), s.options.LookupTimeout)
	defer cancel()
	result, err := s.options.Explain(ctx, r.URL.Query().Get("name"))
	s.report(w, result, err)
}

// fromRoot reports whether root asks, and refuses others.
func fromRoot(w http.ResponseWriter, r *http.Request) bool {
	if g, _ := r.Context().Value(guestKey{}).(*guest); g != nil && g.uid == 0 {
		return true
	}
	reply(w, http.StatusForbidden, wireError{Error: "only root may ask for this"})
	return false
}

// trialTimeout bounds a trial, for which doctor waits a minute.
const trialTimeout = 2 * time.Minute

func (s *Server) trial(w http.ResponseWriter, r *http.Request) {
	if !fromRoot(w, r) {
		return
	}
	if s.options.Try == nil {
		reply(w, http.StatusNotImplemented, wireError{Error: "this daemon does not try permissions"})
		return
	}
	ctx, cancel := context.WithTimeout(r.Context(), trialTimeout)
	defer cancel()
	result, err := s.options.Try(ctx)
	s.report(w, result, err)
}

func (s *Server) refresh(w http.ResponseWriter, r *http.Request) {
	if !fromRoot(w, r) {
		return
	}
	if s.options.Refresh == nil {
		reply(w, http.StatusNotImplemented, wireError{Error: "this daemon does not refresh"})
		return
	}
	query := r.URL.Query()
	result, err := s.options.Refresh(r.Context(), RefreshRequest{DryRun: query.Get("dry_run") == "1",
		Confirm:      query.Get("confirm") == "1",
		AcceptGroups: query.Get("accept_groups") == "1"})
	s.report(w, result, err)
}

func (s *Server) report(w http.ResponseWriter, result any, err error) {
	if err != nil {
		reply(w, http.StatusServiceUnavailable, wireError{err.Error(), errors.Is(err, ErrNotConfigured)})
		return
	}
	reply(w, http.StatusOK, result)
}

// reply writes one JSON body, to a peer that has some seconds to read it.
func reply(w http.ResponseWriter, status int, body any) {
	text, err := json.Marshal(body)
	if err != nil {
		status, text = http.StatusInternalServerError, []byte(`{"error":"the answer cannot be written as JSON"}`)
	}
	_ = http.NewResponseController(w).SetWriteDeadline(time.Now().Add(10 * time.Second))
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_, _ = w.Write(append(text, '\n'))
}
