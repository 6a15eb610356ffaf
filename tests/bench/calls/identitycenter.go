package main

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/nss-iam/nss-iam/internal/awsapi"
	"github.com/nss-iam/nss-iam/internal/directory"
	"github.com/nss-iam/nss-iam/internal/identitycenter"
	"github.com/nss-iam/nss-iam/internal/schedule"
	"github.com/nss-iam/nss-iam/tests/emulator"
)

// refreshStore is the default of source.refresh with kind = "identity-center".
const refreshStore = 10 * time.Minute

// identityCenter writes the table of calls to the Identity Store: everybody in
// each of the groups, which is the most that memberships can cost.
func identityCenter(ctx context.Context, s *strings.Builder) error {
	between := schedule.Jittered(refreshStore, 0.5)
	fmt.Fprintf(s, "\n`source.kind = \"identity-center\"` with `source.refresh = \"10m\"`, which is every %s: "+
		"everybody in each of the groups,\n"+
		"all of them login groups. Names and states are read again once an hour; there are no keys to sweep. The Identity "+
		"Store allows\n"+
		"%g calls a second for a whole organization, and hosts is how many such hosts use a tenth of them. Where the file "+
		"has no\n`source.refresh`, a host stretches it to the last column, so that ten use a tenth.\n\n", between,
		identitycenter.OrganizationRate)
	s.WriteString("| people | groups | first refresh | a refresh | once an hour | an hour | hosts | stretched to |\n" +
		"|--:|--:|--:|--:|--:|--:|--:|--:|\n")
	for _, people := range []int{50, 500, 5000} {
		for _, groups := range []int{1, 10, 100} {
			line, err := countStore(ctx, size{people, groups}, between)
			if err != nil {
				return err
			}
			fmt.Print(line)
			s.WriteString(line)
		}
	}
	return nil
}

// countStore lets a host read the store for an hour.
func countStore(ctx context.Context, z size, between time.Duration) (line string, err error) {
	var store emulator.IdentityStore
	var q directory.Query
	for g := range z.groups {
		name := fmt.Sprintf("group %d", g)
		store.Groups = append(store.Groups, emulator.PeopleGroup{Name: name})
		q.Groups = append(q.Groups, name)
	}
	for p := range z.users {
		store.People = append(store.People, emulator.Person{UserName: fmt.Sprintf("person-%d@example.com", p),
			Groups: q.Groups})
	}
	e, err := emulator.Start(emulator.Options{Store: store})
	if err != nil {
		return "", err
	}
	defer func() { err = errors.Join(err, e.Close()) }()
	now := time.Now()
	s := identitycenter.NewSource(identitycenter.Options{
		Options: awsapi.Options{Endpoint: e.URL, Rate: 1e6, Burst: 1e6}, Now: func() time.Time { return now },
	})
	read := func() (int, error) {
		e.ResetCalls()
		_, err := s.Directory(ctx, q)
		now = now.Add(between)
		return total(e.Calls()), err
	}
	first, err := read()
	if err != nil {
		return "", err
	}
	least, most, hour, refreshes := 0, 0, 0, 0
	for passed := time.Duration(0); passed < time.Hour; passed += between {
		n, err := read()
		if err != nil {
			return "", err
		}
		if refreshes == 0 || n < least {
			least = n
		}
		most, hour, refreshes = max(most, n), hour+n, refreshes+1
	}
	perHour := float64(hour) / float64(refreshes) * float64(time.Hour) / float64(between)
	hosts := identitycenter.OrganizationRate / 10 * time.Hour.Seconds() / perHour
	wanted := schedule.Averaging(s.Cost().Between(identitycenter.OrganizationRate / 100))
	stretched := max(refreshStore, (wanted + time.Minute - 1).Truncate(time.Minute))
	return fmt.Sprintf("| %d | %d | %d | %d | %d | %.0f | %.0f | %s |\n", z.users, z.groups, first, least, most, perHour,
		hosts, strings.TrimSuffix(stretched.String(), "0s")), nil
}
