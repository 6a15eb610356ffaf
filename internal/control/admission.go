package control

import (
	"context"
	"net/http"
	"time"
)

// admission answers whether somebody may come in. It asks IAM for memberships,
// unless a login asked for the same person's keys within the time that answers
// are reused.
func (s *Server) admission(w http.ResponseWriter, r *http.Request) {
	name, ok := loginName(w, r)
	if !ok {
		return
	}
	if s.options.Recent != nil && r.URL.Query().Get("recent") == "1" {
		if u, ok := s.options.Recent(name); ok {
			replyAnswer(w, Answer{User: u}, nil)
			return
		}
	}
	answer, ok := s.lookups.fresh(name)
	var err error
	if !ok {
		answer, err = s.admissions.keys(r.Context(), name)
	}
	answer.User.Keys, answer.Shared = nil, nil
	replyAnswer(w, answer, err)
}

// admit gives Options.Admit the form of Options.Lookup.
func (o Options) admit(ctx context.Context, name string) (Answer, error) {
	u, err := o.Admit(ctx, name)
	return Answer{User: u}, err
}

// fresh returns the answer for name that would be reused. It starts no lookup.
func (l *lookups) fresh(name string) (Answer, bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	it := l.asked[name]
	if it == nil || it.err != nil || !time.Now().Before(it.until) {
		return Answer{}, false
	}
	return it.answer, true
}
