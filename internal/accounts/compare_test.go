package accounts

import (
	"reflect"
	"testing"
)

func TestCompareTellsEachChangeAsWhatItIs(t *testing.T) {
	alice := User{ID: "A", Name: "alice", UID: 71, Gecos: "Alice", Home: "/home/alice", Shell: "/bin/bash"}
	changed := func(change func(*User)) User {
		u := alice
		change(&u)
		return u
	}
	renamed := changed(func(u *User) { u.Name = "alicia" })
	former := changed(func(u *User) { u.Former = true })
	another := changed(func(u *User) { u.ID = "B" })
	moved := changed(func(u *User) { u.Home = "/srv/alice" })
	fish := changed(func(u *User) { u.Shell = "/bin/fish" })
	gecos := changed(func(u *User) { u.Gecos = "A." })
	own := Group{Name: "alice", GID: 71}
	dev := func(members ...string) Group { return Group{ID: "G", Name: "dev", GID: 90, Members: members} }
	ops := Group{ID: "G", Name: "ops", GID: 90}
	tables := func(users []User, groups ...Group) Tables { return Tables{Users: users, Groups: groups} }
	for _, c := range []struct {
		name          string
		before, after Tables
		want          Changes
	}{
		{"nothing", tables([]User{alice}, own, dev("alice")), tables([]User{alice}, own, dev("alice")), Changes{}},
		{"nothing, after the history was lost", tables([]User{changed(func(u *User) { u.ID = "" })}, own, dev("alice")),
			tables([]User{alice}, own, dev("alice")), Changes{}},
		{"a new user, whose private group goes without saying", tables(nil), tables([]User{alice}, own),
			Changes{Added: []User{alice}}},
		{"a former user of elsewhere", tables(nil), tables([]User{former}, own), Changes{}},
		{"a former user, now", tables([]User{alice}), tables([]User{former}), Changes{BecameFormer: []User{alice}}},
		{"a former user, still", tables([]User{former}), tables([]User{former}), Changes{}},
		{"a user who returned", tables([]User{former}), tables([]User{alice}), Changes{Returned: []User{alice}}},
		{"a number that resolves no more", tables([]User{former}, own), tables(nil), Changes{Expired: []User{former}}},
		{"a number that is another's", tables([]User{alice}), tables([]User{another}),
			Changes{Added: []User{another}, Expired: []User{alice}}},
		{"another name", tables([]User{alice}), tables([]User{renamed}),
			Changes{Renamed: []Renamed{{71, "alice", "alicia"}}}},
		{"another home", tables([]User{alice}), tables([]User{moved}), Changes{Changed: []User{moved}}},
		{"another shell", tables([]User{alice}), tables([]User{fish}), Changes{Changed: []User{fish}}},
		{"another gecos", tables([]User{alice}), tables([]User{gecos}), Changes{Changed: []User{gecos}}},
		{"a new group with members", tables([]User{alice}), tables([]User{alice}, dev("alice")),
			Changes{GroupsAdded: []Group{dev("alice")}, MembersAdded: []Membership{{"dev", "alice"}}}},
		{"a group that is gone", tables(nil, dev()), tables(nil), Changes{GroupsRemoved: []Group{dev()}}},
		{"another name of a group", tables(nil, dev()), tables(nil, ops),
			Changes{GroupsRenamed: []Renamed{{90, "dev", "ops"}}}},
		{"a member more", tables([]User{alice}, dev()), tables([]User{alice}, dev("alice")),
			Changes{MembersAdded: []Membership{{"dev", "alice"}}}},
		{"a member less", tables([]User{alice}, dev("alice")), tables([]User{alice}, dev()),
			Changes{MembersRemoved: []Membership{{"dev", "alice"}}}},
		{"a member under another name", tables([]User{alice}, dev("alice")), tables([]User{renamed}, dev("alicia")),
			Changes{Renamed: []Renamed{{71, "alice", "alicia"}}}},
		{"a member under another's name", tables([]User{alice}, dev("alice")),
			tables([]User{changed(func(u *User) { u.ID, u.Name = "B", "bob" })}, dev("bob")),
			Changes{Added: []User{changed(func(u *User) { u.ID, u.Name = "B", "bob" })}, Expired: []User{alice},
				MembersAdded: []Membership{{"dev", "bob"}}, MembersRemoved: []Membership{{"dev", "alice"}}}},
		{"a private group whose user went is no group", tables([]User{alice}, own), tables(nil),
			Changes{Expired: []User{alice}}},
	} {
		if got := Compare(c.before, c.after); !reflect.DeepEqual(got, c.want) {
			t.Errorf("%s:\ngot  %+v\nwant %+v", c.name, got, c.want)
		}
	}
}

// refresh --dry-run says "nothing" by Empty: no kind of change may be missed,
// and no two may make up for each other.
func TestChangesOfOneKindOrTwoAreNotEmpty(t *testing.T) {
	if !(Changes{}).Empty() {
		t.Error("no change is a change")
	}
	fields := reflect.TypeFor[Changes]().NumField()
	set := func(c *Changes, i int) {
		f := reflect.ValueOf(c).Elem().Field(i)
		f.Set(reflect.MakeSlice(f.Type(), 1, 1))
	}
	for i := range fields {
		for j := range fields {
			var c Changes
			set(&c, i)
			set(&c, j)
			if c.Empty() {
				t.Errorf("changes in %s and %s are called none", reflect.TypeFor[Changes]().Field(i).Name,
					reflect.TypeFor[Changes]().Field(j).Name)
			}
		}
	}
}
