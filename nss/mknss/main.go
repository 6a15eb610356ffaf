// Command mknss writes an nss.db full of invented people for tests and
// benchmarks, and the same people as passwd and group files: what glibc's own
// "files" service says of those is the expectation for the module.
//
// usage: mknss [-users N] [-variant N] [-sparse] DIR
//
// Files written: DIR/nss.db, DIR/passwd, DIR/group. The same arguments give
// the same people; another variant gives the same names, uids and gids with
// other gecos fields, so that a replacement can be seen. A sparse nss.db has no
// index and almost empty pages: a deep tree out of few users.
package main

import (
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	bolt "go.etcd.io/bbolt"

	"github.com/nss-iam/nss-iam/internal/accounts"
	"github.com/nss-iam/nss-iam/internal/cache"
)

func main() {
	users := flag.Int("users", 5000, "number of users")
	variant := flag.Int("variant", 0, "what stands in the gecos fields")
	thin := flag.Bool("sparse", false, "no index, and as few keys in a page as bbolt allows")
	flag.Parse()
	if flag.NArg() != 1 || *users < 10 {
		flag.Usage()
		os.Exit(2)
	}
	err := run(*users, *variant, flag.Arg(0))
	if err == nil && *thin {
		err = sparse(filepath.Join(flag.Arg(0), cache.NSSFile))
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "mknss:", err)
		os.Exit(1)
	}
}

func run(users, variant int, dir string) error {
	t := tables(users, variant)
	if _, err := cache.PublishNSS(dir, t, time.Now()); err != nil {
		return err
	}
	var passwd, group strings.Builder
	for _, u := range t.Users {
		password := "*"
		if u.Former {
			password = "x"
		}
		fmt.Fprintf(&passwd, "%s:%s:%d:%d:%s:%s:%s\n", u.Name, password, u.UID, u.UID, u.Gecos, u.Home, u.Shell)
	}
	for _, g := range t.Groups {
		fmt.Fprintf(&group, "%s:*:%d:%s\n", g.Name, g.GID, strings.Join(g.Members, ","))
	}
	return errors.Join(
		os.WriteFile(filepath.Join(dir, "passwd"), []byte(passwd.String()), 0o644),
		os.WriteFile(filepath.Join(dir, "group"), []byte(group.String()), 0o644))
}

// sparse writes the file at path again without an index.
func sparse(path string) error {
	thin := path + ".sparse"
	from, err := bolt.Open(path, 0, &bolt.Options{ReadOnly: true})
	if err != nil {
		return err
	}
	to, err := bolt.Open(thin, 0o644, &bolt.Options{PageSize: cache.PageSize, NoFreelistSync: true, NoSync: true})
	if err != nil {
		return err
	}
	err = from.View(func(old *bolt.Tx) error {
		return to.Update(func(tx *bolt.Tx) error {
			return old.ForEach(func(name []byte, b *bolt.Bucket) error {
				if strings.HasPrefix(string(name), "index") {
					return nil
				}
				new, err := tx.CreateBucket(name)
				if err != nil {
					return err
				}
				new.FillPercent = 0.1
				return b.ForEach(new.Put)
			})
		})
	})
	return errors.Join(err, from.Close(), to.Close(), os.Rename(thin, path))
}

const (
	low, high  = 2001000000, 2146999999
	everybody  = "iam-users"
	localGroup = 998 // as map_groups gives: only ever supplementary
)

// tables makes users with names that are prefixes of each other, names of the
// greatest length, empty and full fields, former users, one group of nearly
// everybody, one user in 500 groups, and teams that most users have two of.
func tables(users, variant int) accounts.Tables {
	t := accounts.Tables{Range: accounts.Range{Low: low, High: high}}
	members := map[uint32][]string{}
	teamGID := func(i int) uint32 { return uint32(low + 40 + i*7919) }
	teams := min(max(users/10, 20), 4000) // below the users' uids
	many := min(500, teams)
	for i := range users {
		uid := scatter(i)
		u := accounts.User{
			Name: name(i), UID: uid, Shell: "/bin/bash",
			Gecos: fmt.Sprintf("Person %d, variant %d", i, variant),
			Home:  "/home/" + name(i),
		}
		switch {
		case i == 2:
			u.Gecos, u.Shell = "", ""
		case i == 3:
			u.Gecos, u.Home, u.Shell = strings.Repeat("g", 255), "/"+strings.Repeat("h", 254), "/"+strings.Repeat("s", 254)
		case i%97 == 5:
			u.Former = true
		}
		var gids []uint32
		switch {
		case i == 1: // in many groups
			for n := range many {
				gids = append(gids, teamGID(n))
			}
		case i == 4: // in none at all
		default:
			gids = append(gids, teamGID(i%teams), teamGID((i*31+7)%teams))
		}
		if i != 4 && i%500 != 9 {
			gids = append(gids, low)
		}
		for _, gid := range slices.Compact(slices.Sorted(slices.Values(gids))) {
			members[gid] = append(members[gid], u.Name)
			u.Groups = append(u.Groups, gid)
		}
		if i%50 == 6 {
			u.Groups = append([]uint32{localGroup}, u.Groups...)
		}
		t.Users = append(t.Users, u)
		t.Groups = append(t.Groups, accounts.Group{Name: u.Name, GID: uid})
	}
	t.Groups = append(t.Groups, accounts.Group{Name: everybody, GID: low, Members: members[low]})
	for i := range teams {
		t.Groups = append(t.Groups, accounts.Group{
			ID: fmt.Sprintf("AGPA%d", i), Name: fmt.Sprintf("team-%d", i), GID: teamGID(i), Members: members[teamGID(i)],
		})
	}
	for _, g := range t.Groups {
		slices.Sort(g.Members)
	}
	slices.SortFunc(t.Users, func(a, b accounts.User) int { return int(int64(a.UID) - int64(b.UID)) })
	slices.SortFunc(t.Groups, func(a, b accounts.Group) int { return int(int64(a.GID) - int64(b.GID)) })
	return t
}

// scatter spreads numbers over the upper part of the range, as hashing does,
// without a collision: the factor is prime to the modulus.
func scatter(i int) uint32 {
	const span = 100_000_007
	return uint32(low + 40_000_000 + (int64(i)+1)*61_803_399%span)
}

func name(i int) string {
	fixed := []string{"a", "aa", "al", "alice", "alice.smith", "alice-s", strings.Repeat("n", 32), strings.Repeat("n", 31)}
	if i < len(fixed) {
		return fixed[i]
	}
	first := []string{"maria", "jan", "olu", "wei", "ana", "raj", "eva", "tom", "ines", "yuki", "lars", "zoe"}
	last := []string{"silva", "novak", "adeyemi", "zhang", "rossi", "patel", "berg", "moreau", "costa", "tanaka"}
	return fmt.Sprintf("%s.%s%d", first[i%len(first)], last[i/len(first)%len(last)], i)
}
