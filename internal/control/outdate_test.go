package control

import (
	"testing"
	"time"

	"github.com/nss-iam/nss-iam/internal/keys"
)

// A refresh that takes somebody's rights must not be undone by an answer from
// the moment before it: who is put out would come in again within the reuse.
func TestAnAnswerFromBeforeARefreshIsNotReusedAfterIt(t *testing.T) {
	for _, c := range []struct {
		name   string
		before func(t *testing.T, s *Server)
	}{
		{"the answer was there", func(t *testing.T, s *Server) {
			if opens, _, err := ask(t, s, person(0), aKey(person(0))); !opens {
				t.Fatal(err)
			}
		}},
		{"the question was under way", func(t *testing.T, s *Server) {
			go func() { _, _, _ = ask(t, s, person(0), aKey(person(0))) }()
			time.Sleep(50 * time.Millisecond)
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			d := newDirectory(1)
			bubble(t, d, func(t *testing.T, s *Server) {
				c.before(t, s)
				d.mu.Lock()
				d.keys[person(0)], d.takes = []keys.Key{}, 200*time.Millisecond
				d.mu.Unlock()
				s.Outdate()
				for _, when := range []string{"at once", "a moment later"} {
					if opens, _, err := ask(t, s, person(0), aKey(person(0))); opens || err != nil {
						t.Errorf("%s: the key opens %v, %v; it was taken before the question", when, opens, err)
					}
					time.Sleep(500 * time.Millisecond)
				}
				if _, ok := s.lookups.enough(person(0)); !ok {
					t.Error("the new answer is not reused")
				}
			})
		})
	}
}
