// Package emulator is an AWS account for tests and for the demo: IAM's users,
// groups, memberships, tags and SSH keys, STS, EC2's DescribeTags, an instance
// metadata service and the Identity Store of IAM Identity Center, over real HTTP
// in the protocols that the real SDK speaks. It does what AWS does and a friendly fake does not (short pages,
// names unique without regard to case, quotas, access denied) and, on request,
// what AWS does on a bad day (see Fault).
//
// It must never be linked into an installed program, and it checks access keys
// and session tokens but no signatures.
package emulator

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"net"
	"net/http"
	"sync"
	"time"

	"golang.org/x/time/rate"
)

// The access key that every emulator accepts.
const (
	AccessKey = "AKIAEMULATOREXAMPLE1"
	SecretKey = "emulator/secret/EXAMPLEKEY"
)

// DefaultAccount is the account number where none is given.
const DefaultAccount = "111122223333"

// Options are what an emulator starts with. The zero value is an empty account.
type Options struct {
	Listen   string        // address to listen on; 127.0.0.1:0 when empty
	Company  Company       // what is in the account at the start and after a reset
	Store    IdentityStore // what Identity Center's store holds at the start and after a reset
	Settings Settings
	Instance Instance
	Roles    []Role
	Seed     uint64           // of everything that looks random
	Now      func() time.Time // the clock; time.Now when nil
	Log      *slog.Logger     // one line a call; nil for none
}

// Settings are how the account behaves toward all calls.
type Settings struct {
	PageSize   int      `json:"page_size,omitempty"`   // pages hold at most so many items, whatever MaxItems says
	RaggedPage bool     `json:"ragged_page,omitempty"` // pages hold fewer items than they could, by the seed
	Latency    Duration `json:"latency,omitempty"`     // every answer takes at least so long
	Visible    Duration `json:"visible,omitempty"`     // a change is seen by readers after this time
	Flap       bool     `json:"flap,omitempty"`        // until then every second read sees it
	Rate       float64  `json:"rate,omitempty"`        // calls a second that the account allows; 0 for no limit
	Burst      int      `json:"burst,omitempty"`
}

// A Role can be assumed through STS.
type Role struct {
	ARN        string  `json:"arn" toml:"arn"`
	ExternalID string  `json:"external_id,omitempty" toml:"external_id"`
	Policy     *Policy `json:"policy,omitempty" toml:"-"` // nil allows everything
}

// An Emulator is one account with its HTTP server. Its methods may be called
// from several goroutines, and take effect at once but for Settings.Visible.
type Emulator struct {
	URL string // of IAM, STS, EC2 and the metadata service alike

	options  Options
	now      func() time.Time
	server   *http.Server
	listener net.Listener
	stopped  chan struct{}
	stop     sync.Once

	mu         sync.Mutex
	state      *state
	store      *IdentityStore
	members    map[string][]string // of the store's groups, by id
	past       []version           // older states that readers may still see, oldest first
	reads      int
	random     *rand.Rand
	settings   Settings
	limiter    *rate.Limiter
	instance   Instance
	principals map[string]*principal // by access key id
	roles      map[string]Role
	faults     []*armedFault
	calls      []string
	byAction   map[string]int
	throttled  int
	issued     int
	founding   bool // the seed is being put in: quotas of the account do not count
}

// A version is a state that is superseded, yet seen until a time.
type version struct {
	state *state
	until time.Time
}

// Start opens an account and serves it until Close.
func Start(options Options) (*Emulator, error) {
	if options.Listen == "" {
		options.Listen = "127.0.0.1:0"
	}
	if options.Now == nil {
		options.Now = time.Now
	}
	if options.Log == nil {
		options.Log = slog.New(slog.DiscardHandler)
	}
	if options.Company.Account == "" {
		options.Company.Account = DefaultAccount
	}
	e := &Emulator{options: options, now: options.Now, stopped: make(chan struct{})}
	if err := e.Reset(); err != nil {
		return nil, err
	}
	listener, err := net.Listen("tcp", options.Listen)
	if err != nil {
		return nil, fmt.Errorf("listen on %q: %w", options.Listen, err)
	}
	e.listener = listener
	e.URL = "http://" + listener.Addr().String()
	e.server = &http.Server{Handler: e.handler(), ReadHeaderTimeout: 10 * time.Second}
	go func() {
		if err := e.server.Serve(listener); err != nil && !errors.Is(err, http.ErrServerClosed) {
			e.options.Log.Error("serve", "error", err)
		}
	}()
	return e, nil
}

// Close stops serving at once; calls that stall are cut.
func (e *Emulator) Close() error {
	e.stop.Do(func() { close(e.stopped) })
	return e.server.Close()
}

// Shutdown waits for running calls, but for those that stall.
func (e *Emulator) Shutdown(ctx context.Context) error {
	e.stop.Do(func() { close(e.stopped) })
	return e.server.Shutdown(ctx)
}

// Reset goes back to the company, the settings and the policies of the start;
// faults and counters are cleared.
func (e *Emulator) Reset() error {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.random = rand.New(rand.NewPCG(e.options.Seed, 0x6e73732d69616d))
	e.issued = 0
	e.past = nil
	e.settings = e.options.Settings
	e.instance = e.options.Instance.withDefaults(e.options.Company.Account)
	e.roles = make(map[string]Role)
	for _, role := range e.options.Roles {
		e.roles[role.ARN] = role
	}
	e.principals = map[string]*principal{
		AccessKey: {arn: fmt.Sprintf("arn:aws:iam::%s:user/emulator", e.options.Company.Account),
			account: e.options.Company.Account},
	}
	e.faults, e.calls, e.throttled = nil, nil, 0
	e.byAction = make(map[string]int)
	e.limit()
	e.state = newState()
	if err := e.replaceStore(e.options.Store); err != nil {
		return err
	}
	e.founding = true
	defer func() { e.founding = false }()
	return e.found(e.options.Company)
}

// Set changes how the account behaves from the next call on.
func (e *Emulator) Set(s Settings) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.settings = s
	if s.Visible == 0 {
		e.past = nil
	}
	e.limit()
}

// Settle makes every change visible at once.
func (e *Emulator) Settle() {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.past = nil
}

func (e *Emulator) limit() {
	e.limiter = nil
	if e.settings.Rate > 0 {
		e.limiter = rate.NewLimiter(rate.Limit(e.settings.Rate), max(1, e.settings.Burst))
	}
}

// change runs f on the state that writers see, keeping the state before for
// readers as long as Settings.Visible says. The caller holds e.mu.
func (e *Emulator) change(f func(*state) error) error {
	if e.settings.Visible <= 0 {
		return f(e.state)
	}
	before := e.state.clone()
	if err := f(e.state); err != nil {
		return err
	}
	e.past = append(e.past, version{before, e.now().Add(time.Duration(e.settings.Visible))})
	return nil
}

// visible is the state that a reader sees now. The caller holds e.mu.
func (e *Emulator) visible() *state {
	now := e.now()
	for len(e.past) > 0 && !e.past[0].until.After(now) {
		e.past = e.past[1:]
	}
	e.reads++
	if len(e.past) == 0 || e.settings.Flap && e.reads%2 == 0 {
		return e.state
	}
	return e.past[0].state
}

// Calls counts the calls by action since the start or the last reset;
// the metadata service's count as "imds".
func (e *Emulator) Calls() map[string]int {
	e.mu.Lock()
	defer e.mu.Unlock()
	calls := make(map[string]int, len(e.byAction))
	for action, n := range e.byAction {
		calls[action] = n
	}
	return calls
}

// Walk is the actions called so far, in order.
func (e *Emulator) Walk() []string {
	e.mu.Lock()
	defer e.mu.Unlock()
	return append([]string(nil), e.calls...)
}

// Throttled counts the calls that were refused for their rate, by Settings.Rate or by a fault.
func (e *Emulator) Throttled() int {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.throttled
}

// ResetCalls sets all counters to zero, and starts the positions of faults again.
func (e *Emulator) ResetCalls() {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.calls, e.throttled = nil, 0
	e.byAction = make(map[string]int)
	for _, f := range e.faults {
		f.seen = 0
	}
}
