package refresh_test

import (
	"fmt"
	"log/slog"
	"math/rand/v2"
	"reflect"
	"slices"
	"testing"
	"time"

	"github.com/nss-iam/nss-iam/internal/cache"
	"github.com/nss-iam/nss-iam/internal/refresh"
	"github.com/nss-iam/nss-iam/tests/emulator"
	"github.com/nss-iam/nss-iam/tests/unmet"
)

// Whatever happens to users, names and keys: keys.db is what a refresher would
// write that never wrote one before.
func TestKeysAreThoseThatAreSelectedAnew(t *testing.T) {
	unmet.Long(t, "hundreds of random histories are computed twice")
	for seed := range uint64(4) {
		t.Run(fmt.Sprintf("seed %d", seed), func(t *testing.T) { keysAreThoseSelectedAnew(t, seed) })
	}
}

func keysAreThoseSelectedAnew(t *testing.T, seed uint64) {
	random := rand.New(rand.NewPCG(seed, 0))
	h := newHost(t)
	h.Keys.MaxAge = 150 * 24 * time.Hour
	names := []string{"alice", "bob", "carol", "dave", "erin", "frank"}
	for n := range 60 {
		i, j := random.IntN(len(names)), random.IntN(len(names))
		name := names[i]
		// Some of these cannot be done, as in life.
		switch random.IntN(9) {
		case 0:
			_, _ = h.e.AddKey(name, emulator.Key{Body: emulator.RSALine(uint64(100+n), name)})
		case 1, 2:
			if ids := keyIDs(h, name); len(ids) > 0 {
				_ = h.e.SetKeyStatus(name, ids[0], []string{"Active", "Inactive"}[random.IntN(2)])
			}
		case 3:
			if ids := keyIDs(h, name); len(ids) > 1 {
				_ = h.e.DeleteKey(name, ids[0])
			}
		case 4: // two people take each other's names
			if i != j {
				h.does(h.e.UpdateUser(name, "somebody", ""), h.e.UpdateUser(names[j], name, ""),
					h.e.UpdateUser("somebody", names[j], ""))
			}
		case 5:
			_ = h.e.RemoveMember([]string{"developers", "ops"}[random.IntN(2)], name)
		case 6:
			_ = h.e.AddMember([]string{"developers", "ops"}[random.IntN(2)], name)
		case 7:
			_, _, _ = h.Logins.Ask(t.Context(), name)
		case 8:
			h.clock.pass(time.Duration(random.Float64() * 60 * 24 * float64(time.Hour)))
		}
		h.clock.pass(time.Duration(random.Float64() * 2 * float64(time.Hour)))
		_, _ = h.Refresh(t.Context(), refresh.Options{AcceptRemovals: random.IntN(2) == 0})
		h.sweep()
		got, _, err := cache.ReadKeys(h.Dir)
		h.does(err)
		restarted := refresh.New(refresh.Setup{
			State: h.State, Dir: t.TempDir(), Policy: h.Policy, Keys: h.Keys, Login: h.Login, Host: h.Host,
			KeysGID: -1, Now: h.Now, Log: slog.New(slog.DiscardHandler),
		})
		h.does(restarted.Restore(), restarted.PublishChanges())
		want, _, err := cache.ReadKeys(restarted.Dir)
		h.does(err)
		for _, table := range []*cache.KeyTables{&got, &want} { // times alone are written now and then
			for i := range table.Users {
				table.Users[i].Checked = time.Time{}
			}
		}
		if !reflect.DeepEqual(got, want) {
			t.Fatalf("after %d changes with seed %d keys.db holds\n%s\nand selected again it is\n%s", n+1, seed, describe(got),
				describe(want))
		}
	}
}

func keyIDs(h *host, name string) (ids []string) {
	c := h.e.Company()
	if i := slices.IndexFunc(c.Users, func(u emulator.User) bool { return u.Name == name }); i >= 0 {
		for _, k := range c.Users[i].Keys {
			ids = append(ids, k.ID)
		}
	}
	return ids
}

func describe(t cache.KeyTables) string {
	text := ""
	for _, u := range t.Users {
		text += fmt.Sprintf("%s %d %t:", u.Name, u.UID, u.Login)
		for _, k := range u.Keys {
			text += fmt.Sprintf(" %s until %v %.8s", k.ID, k.Expires, k.SHA256()[7:])
		}
		text += "\n"
	}
	return text + fmt.Sprint(t.Shared)
}
