package control

import (
	"context"
	"net/http"
)

// admission answers whether somebody may come in. It asks the directory for
// memberships, unless an answer to a login of the same person can still be reused.
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
	answer, ok := s.lookups.enough(name)
	var err error
	if !ok {
		answer, err = s.admissions.keys(r.Context(), Question{Name: name})
	}
	answer.User.Keys, answer.Shared = nil, nil
	replyAnswer(w, answer, err)
}

// admit gives Options.Admit the form of Options.Lookup.
func (o Options) admit(ctx context.Context, name string) (Answer, error) {
	u, err := o.Admit(ctx, name)
	return Answer{User: u}, err
}
