package accounts

import (
	"fmt"
	"syscall"
	"testing"
	"time"

	"github.com/nss-iam/nss-iam/internal/directory"
)

// synthetic is a company in which everybody is in the login group and in eight
// others, as near to IAM's ten groups a user as makes no difference.
func synthetic(users, groups int) (directory.Directory, Policy) {
	var d directory.Directory
	for i := range groups {
		d.Groups = append(d.Groups, directory.Group{ID: fmt.Sprintf("AGPA%017X", i*2654435761),
			Name: fmt.Sprintf("team-%d", i), Created: at(i)})
	}
	for i := range users {
		u := directory.User{ID: fmt.Sprintf("AIDA%017X", i*2654435761), Name: fmt.Sprintf("user.%d@example.com", i),
			Created: at(i)}
		d.Users = append(d.Users, u)
		for j := range 9 {
			g := &d.Groups[0]
			if j > 0 {
				g = &d.Groups[1+(i*7+j*13)%(groups-1)]
			}
			g.Members = append(g.Members, u.ID)
		}
	}
	d.Sort()
	p := everybody()
	p.AllUsers, p.Login, p.Sudo, p.Publish = false, []string{"team-0"}, []string{"team-1"}, []string{"team-*"}
	p.StripDomains = []string{"example.com"}
	return d, p
}

func benchmarkBuild(b *testing.B, users, groups int) {
	d, p := synthetic(users, groups)
	in := Input{Directory: d, Policy: p, Host: localHost, Now: at(1 << 20)}
	first, err := Build(in)
	if err != nil {
		b.Fatal(err)
	}
	in.History = first.History
	if len(first.Admitted) < users*99/100 {
		b.Fatalf("%d of %d users are served", len(first.Admitted), users)
	}
	b.ReportAllocs()
	before := processorTime(b)
	for b.Loop() {
		if _, err := Build(in); err != nil {
			b.Fatal(err)
		}
	}
	// On a busy machine the clock on the wall tells of the neighbors.
	b.ReportMetric(float64((processorTime(b)-before).Milliseconds())/float64(b.N), "cpu-ms/op")
}

func processorTime(b *testing.B) time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		b.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

func BenchmarkBuild5000Users300Groups(b *testing.B)   { benchmarkBuild(b, 5000, 300) }
func BenchmarkBuild100000Users300Groups(b *testing.B) { benchmarkBuild(b, 100000, 300) }
