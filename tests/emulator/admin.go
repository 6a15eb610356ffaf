package emulator

import (
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"strings"
)

// CreateUser adds a user with groups, tags and keys, whose bodies are taken as
// they are, and returns the user's id.
func (e *Emulator) CreateUser(u User) (id string, err error) {
	err = e.write(func(s *state) error {
		if err := e.addWholeUser(s, u); err != nil {
			return err
		}
		id = s.userByName[strings.ToLower(u.Name)].id
		return nil
	})
	return id, err
}

// UpdateUser renames a user, and moves it to another path; empty is as before.
func (e *Emulator) UpdateUser(name, newName, newPath string) error {
	return e.ofUser(name, func(s *state, u *user) error { return s.renameUser(u, newName, newPath) })
}

// DeleteUser removes a user with all that it has.
func (e *Emulator) DeleteUser(name string) error {
	return e.ofUser(name, func(s *state, u *user) error { s.dropUser(u); return nil })
}

// CreateGroup adds a group and returns its id.
func (e *Emulator) CreateGroup(g Group) (id string, err error) {
	err = e.write(func(s *state) error {
		added, err := e.addGroup(s, g)
		if err == nil {
			id = added.id
		}
		return err
	})
	return id, err
}

// UpdateGroup renames a group, and moves it to another path; empty is as before.
func (e *Emulator) UpdateGroup(name, newName, newPath string) error {
	return e.write(func(s *state) error {
		g, err := s.group(name)
		if err != nil {
			return err
		}
		return s.renameGroup(g, newName, newPath)
	})
}

// DeleteGroup removes a group, with its members still in it.
func (e *Emulator) DeleteGroup(name string) error {
	return e.write(func(s *state) error {
		g, err := s.group(name)
		if err == nil {
			s.dropGroup(g)
		}
		return err
	})
}

// AddMember puts a user into a group.
func (e *Emulator) AddMember(groupName, userName string) error {
	return e.write(func(s *state) error { return s.join(userName, groupName) })
}

// RemoveMember takes a user out of a group.
func (e *Emulator) RemoveMember(groupName, userName string) error {
	return e.write(func(s *state) error { return s.leave(userName, groupName) })
}

// AddKey gives a user a key, whose body is taken as it is, and returns the key's id.
func (e *Emulator) AddKey(userName string, k Key) (id string, err error) {
	err = e.ofUser(userName, func(s *state, u *user) error {
		added, err := e.addKey(u, k)
		if err == nil {
			id = added.id
		}
		return err
	})
	return id, err
}

// SetKeyStatus makes a key "Active" or "Inactive".
func (e *Emulator) SetKeyStatus(userName, id, status string) error {
	return e.ofUser(userName, func(s *state, u *user) error {
		k, err := u.key(id)
		if err != nil {
			return err
		}
		return k.setStatus(status)
	})
}

// DeleteKey removes a key.
func (e *Emulator) DeleteKey(userName, id string) error {
	return e.ofUser(userName, func(s *state, u *user) error { return u.dropKey(id) })
}

// SetTag sets a tag of a user.
func (e *Emulator) SetTag(userName, key, value string) error {
	return e.ofUser(userName, func(s *state, u *user) error { return u.setTag(key, value) })
}

// DeleteTag removes a tag of a user.
func (e *Emulator) DeleteTag(userName, key string) error {
	return e.ofUser(userName, func(s *state, u *user) error { u.dropTag(key); return nil })
}

func (e *Emulator) write(f func(*state) error) error {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.change(f)
}

func (e *Emulator) ofUser(name string, f func(*state, *user) error) error {
	return e.write(func(s *state) error {
		u, err := s.user(name)
		if err != nil {
			return err
		}
		return f(s, u)
	})
}

// admin serves all of the above as JSON under /admin/, for tests and demos in
// other processes. It asks nobody who they are.
func (e *Emulator) admin(mux *http.ServeMux) {
	mux.HandleFunc("GET /admin/company", reply(func(*http.Request) (any, error) { return e.Company(), nil }))
	mux.HandleFunc("GET /admin/calls", reply(func(*http.Request) (any, error) {
		calls := e.Calls()
		total := 0
		for _, n := range calls {
			total += n
		}
		return map[string]any{"total": total, "throttled": e.Throttled(), "actions": calls}, nil
	}))
	mux.HandleFunc("GET /admin/walk", reply(func(*http.Request) (any, error) { return e.Walk(), nil }))
	mux.HandleFunc("DELETE /admin/calls", reply(func(*http.Request) (any, error) { e.ResetCalls(); return nil, nil }))
	mux.HandleFunc("POST /admin/reset", reply(func(*http.Request) (any, error) { return nil, e.Reset() }))
	mux.HandleFunc("POST /admin/settle", reply(func(*http.Request) (any, error) { e.Settle(); return nil, nil }))
	mux.HandleFunc("POST /admin/expire-tokens", reply(func(*http.Request) (any, error) {
		e.ExpireTokens()
		return nil,
			nil
	}))
	mux.HandleFunc("PUT /admin/settings", take(func(_ *http.Request, s Settings) (any, error) {
		e.Set(s)
		return nil,
			nil
	}))
	mux.HandleFunc("PUT /admin/instance",
		take(func(_ *http.Request, i Instance) (any, error) { e.SetInstance(i); return nil, nil }))
	mux.HandleFunc("PUT /admin/roles", take(func(_ *http.Request, role Role) (any, error) {
		e.SetRole(role)
		return nil,
			nil
	}))
	mux.HandleFunc("PUT /admin/policies/{key}", take(func(r *http.Request, p *Policy) (any, error) {
		e.SetPolicy(r.PathValue("key"), p)
		return nil, nil
	}))
	mux.HandleFunc("PUT /admin/faults",
		take(func(_ *http.Request, f []Fault) (any, error) { return nil, e.SetFaults(f...) }))
	mux.HandleFunc("DELETE /admin/faults", reply(func(*http.Request) (any, error) { return nil, e.SetFaults() }))

	mux.HandleFunc("GET /admin/identity-store", reply(func(*http.Request) (any, error) { return e.IdentityStore(), nil }))
	mux.HandleFunc("PUT /admin/identity-store", take(func(_ *http.Request, s IdentityStore) (any, error) {
		return nil,
			e.SetIdentityStore(s)
	}))

	mux.HandleFunc("POST /admin/users",
		take(func(_ *http.Request, u User) (any, error) { return identified(e.CreateUser(u)) }))
	mux.HandleFunc("PATCH /admin/users/{user}", take(func(r *http.Request, u User) (any, error) {
		return nil, e.UpdateUser(r.PathValue("user"), u.Name, u.Path)
	}))
	mux.HandleFunc("DELETE /admin/users/{user}",
		reply(func(r *http.Request) (any, error) { return nil, e.DeleteUser(r.PathValue("user")) }))
	mux.HandleFunc("POST /admin/groups",
		take(func(_ *http.Request, g Group) (any, error) { return identified(e.CreateGroup(g)) }))
	mux.HandleFunc("PATCH /admin/groups/{group}", take(func(r *http.Request, g Group) (any, error) {
		return nil, e.UpdateGroup(r.PathValue("group"), g.Name, g.Path)
	}))
	mux.HandleFunc("DELETE /admin/groups/{group}",
		reply(func(r *http.Request) (any, error) { return nil, e.DeleteGroup(r.PathValue("group")) }))
	mux.HandleFunc("PUT /admin/groups/{group}/members/{user}", reply(func(r *http.Request) (any, error) {
		return nil, e.AddMember(r.PathValue("group"), r.PathValue("user"))
	}))
	mux.HandleFunc("DELETE /admin/groups/{group}/members/{user}", reply(func(r *http.Request) (any, error) {
		return nil, e.RemoveMember(r.PathValue("group"), r.PathValue("user"))
	}))
	mux.HandleFunc("POST /admin/users/{user}/keys", take(func(r *http.Request, k Key) (any, error) {
		return identified(e.AddKey(r.PathValue("user"), k))
	}))
	mux.HandleFunc("PATCH /admin/users/{user}/keys/{key}", take(func(r *http.Request, k Key) (any, error) {
		return nil, e.SetKeyStatus(r.PathValue("user"), r.PathValue("key"), k.Status)
	}))
	mux.HandleFunc("DELETE /admin/users/{user}/keys/{key}", reply(func(r *http.Request) (any, error) {
		return nil, e.DeleteKey(r.PathValue("user"), r.PathValue("key"))
	}))
	mux.HandleFunc("PUT /admin/users/{user}/tags/{tag...}", take(func(r *http.Request, value string) (any, error) {
		return nil, e.SetTag(r.PathValue("user"), r.PathValue("tag"), value)
	}))
	mux.HandleFunc("DELETE /admin/users/{user}/tags/{tag...}", reply(func(r *http.Request) (any, error) {
		return nil, e.DeleteTag(r.PathValue("user"), r.PathValue("tag"))
	}))
}

func identified(id string, err error) (any, error) { return map[string]string{"id": id}, err }

// reply answers with what f returns: JSON, or 204 for nil, or the error's text.
func reply(f func(*http.Request) (any, error)) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		value, err := f(r)
		if err != nil {
			status := http.StatusBadRequest
			var known *apiError
			if errors.As(err, &known) {
				_, status = asAPIError(err)
			}
			http.Error(w, err.Error(), status)
			return
		}
		if value == nil {
			w.WriteHeader(http.StatusNoContent)
			return
		}
		w.Header().Set("Content-Type", "application/json")
		encoder := json.NewEncoder(w)
		encoder.SetIndent("", "  ")
		encoder.Encode(value) // nobody is told of a caller that went away
	}
}

// take is reply for requests with a JSON body.
func take[T any](f func(*http.Request, T) (any, error)) http.HandlerFunc {
	return reply(func(r *http.Request) (any, error) {
		var in T
		decoder := json.NewDecoder(io.LimitReader(r.Body, 64<<20))
		decoder.DisallowUnknownFields()
		if err := decoder.Decode(&in); err != nil {
			return nil, err
		}
		return f(r, in)
	})
}
