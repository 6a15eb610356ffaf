package emulator

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"net/http"
	"strconv"
	"strings"
	"time"
)

// This file is the Identity Store, in which IAM Identity Center keeps people:
// the six operations that readers need, in JSON 1.1. A change is seen at once,
// whatever Settings.Visible says.
// https://docs.aws.amazon.com/singlesignon/latest/IdentityStoreAPIReference/welcome.html

// DefaultStore is the id of the store where none is given.
const DefaultStore = "d-9067aaaaaa"

// An IdentityStore is the people and groups of one Identity Center.
type IdentityStore struct {
	ID        string        `json:"id,omitempty" toml:"id"` // d-…; DefaultStore when empty
	People    []Person      `json:"people,omitempty" toml:"people"`
	Groups    []PeopleGroup `json:"groups,omitempty" toml:"groups"`
	KeyDenied bool          `json:"key_denied,omitempty" toml:"key_denied"` // the store's KMS key refuses every reader
}

// A Person is a user of the Identity Store. ID follows from UserName where it
// is empty, so that a person who is put in again is the same one.
type Person struct {
	ID       string    `json:"id,omitempty" toml:"id"`
	UserName string    `json:"user_name" toml:"user_name"`
	NickName string    `json:"nick_name,omitempty" toml:"nick_name"`
	Emails   []string  `json:"emails,omitempty" toml:"emails"` // the first one is the primary one
	Status   string    `json:"status,omitempty" toml:"status"` // ENABLED or DISABLED; "": the store does not say
	Created  time.Time `json:"created,omitzero" toml:"created"`
	Groups   []string  `json:"groups,omitempty" toml:"groups"` // display names
}

// A PeopleGroup is a group of the Identity Store. ID follows from Name where it
// is empty.
type PeopleGroup struct {
	ID      string    `json:"id,omitempty" toml:"id"`
	Name    string    `json:"name" toml:"name"`
	Created time.Time `json:"created,omitzero" toml:"created"`
	Gone    []string  `json:"gone,omitempty" toml:"gone"` // ids of members who are no longer there
}

// IdentityStore is what the store holds now, ids included.
func (e *Emulator) IdentityStore() IdentityStore {
	e.mu.Lock()
	defer e.mu.Unlock()
	s := *e.store
	s.People, s.Groups = append([]Person(nil), s.People...), append([]PeopleGroup(nil), s.Groups...)
	return s
}

// SetIdentityStore replaces what the store holds.
func (e *Emulator) SetIdentityStore(s IdentityStore) error {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.replaceStore(s)
}

// replaceStore is SetIdentityStore. The caller holds e.mu.
func (e *Emulator) replaceStore(s IdentityStore) error {
	if s.ID == "" {
		s.ID = DefaultStore
	}
	s.People, s.Groups = append([]Person(nil), s.People...), append([]PeopleGroup(nil), s.Groups...)
	groups := map[string]string{}
	taken := map[string]bool{}
	for i := range s.Groups {
		g := &s.Groups[i]
		if g.ID == "" {
			g.ID = uuidOf("group", g.Name)
		}
		if taken[g.ID] {
			return fmt.Errorf("two groups have the id %q", g.ID)
		}
		taken[g.ID], groups[g.Name] = true, g.ID
	}
	for i := range s.People {
		p := &s.People[i]
		if p.ID == "" {
			p.ID = uuidOf("user", p.UserName)
		}
		if taken[p.ID] {
			return fmt.Errorf("the id %q is taken", p.ID)
		}
		taken[p.ID] = true
		for _, name := range p.Groups {
			if groups[name] == "" {
				return fmt.Errorf("person %q is in group %q, which is not there", p.UserName, name)
			}
		}
	}
	members := map[string][]string{}
	for _, p := range s.People {
		for _, name := range p.Groups {
			members[groups[name]] = append(members[groups[name]], p.ID)
		}
	}
	for _, g := range s.Groups {
		members[g.ID] = append(members[g.ID], g.Gone...)
	}
	e.store, e.members = &s, members
	return nil
}

// uuidOf is an id of the Identity Store's form. The prefix is that of ids from
// before 2023.
func uuidOf(kind, name string) string {
	sum := sha256.Sum256([]byte(kind + "\x00" + name))
	return fmt.Sprintf("%x-%x-%x-%x-%x-%x", sum[16:21], sum[0:4], sum[4:6], sum[6:8], sum[8:10], sum[10:16])
}

// storeTarget is what the header X-Amz-Target of a call begins with.
const storeTarget = "AWSIdentityStore."

// A storeCall is a request to the Identity Store on its way through an operation.
type storeCall struct {
	e     *Emulator
	name  string
	fault *Fault
	in    struct {
		IdentityStoreID string   `json:"IdentityStoreId"`
		UserID          string   `json:"UserId"`
		GroupID         string   `json:"GroupId"`
		GroupIDs        []string `json:"GroupIds"`
		MemberID        struct {
			UserID string `json:"UserId"`
		} `json:"MemberId"`
		MaxResults int
		NextToken  string
	}
}

type object = map[string]any

var storeOperations = map[string]func(*storeCall) (object, error){
	"ListIdentityStores":   (*storeCall).listStores,
	"ListUsers":            (*storeCall).listPeople,
	"DescribeUser":         (*storeCall).describePerson,
	"ListGroups":           (*storeCall).listGroups,
	"ListGroupMemberships": (*storeCall).listMemberships,
	"IsMemberInGroups":     (*storeCall).isMember,
}

// A notFound is ResourceNotFoundException with what was not found.
type notFound struct{ kind, id string }

func (n notFound) Error() string { return n.kind + " not found." }

// keyDenied is AccessDeniedException for the store's KMS key.
type keyDenied struct{ arn string }

func (k keyDenied) Error() string {
	return "User: " + k.arn + " is not authorized to perform: kms:Decrypt on this resource because the resource does " +
		"not exist in this Region, no resource-based policies allow access, or a resource-based policy explicitly denies " +
		"access"
}

// identityStore answers one call, spoiled as query's are.
func (e *Emulator) identityStore(w http.ResponseWriter, r *http.Request) {
	name := strings.TrimPrefix(r.Header.Get("X-Amz-Target"), storeTarget)
	body, readError := io.ReadAll(http.MaxBytesReader(w, r.Body, maxForm))
	fault, over, latency, requestID := e.arrive(name)
	if fault != nil {
		switch fault.Kind {
		case Slow:
			latency += time.Duration(fault.Delay)
		case Stall:
			e.stall(r)
			hangUp(w)
			return
		case Reset:
			hangUp(w)
			return
		}
	}
	if !e.wait(r.Context().Done(), latency) {
		hangUp(w)
		return
	}
	var out object
	var err error
	operation, known := storeOperations[name]
	switch {
	case over, fault != nil && fault.Kind == Throttle:
		err = failure("ThrottlingException", "Rate exceeded")
	case fault != nil && fault.Kind == Failure:
		err = failure("InternalServerException", "The request processing has failed because of an unknown error, "+
			"exception or failure with an internal server.")
	case readError != nil:
		err = failure("ValidationException", "The request cannot be read: %v", readError)
	case !known:
		err = failure("UnknownOperationException", "%s", name)
	default:
		c := &storeCall{e: e, name: name, fault: fault}
		if err = json.Unmarshal(body, &c.in); err != nil {
			err = failure("SerializationException", "%v", err)
		} else {
			out, err = c.run(r, operation)
		}
	}
	status, answer := storeAnswer(out, err)
	if err == nil && fault != nil {
		answer = fault.damageJSON(w, answer)
	}
	w.Header().Set("X-Amzn-Requestid", requestID)
	if w.Header().Get("Content-Type") == "" {
		w.Header().Set("Content-Type", "application/x-amz-json-1.1")
	}
	e.options.Log.Info("call", "action", name, "status", status, "fault", fault)
	w.Header().Set("Content-Length", strconv.Itoa(len(answer)))
	w.WriteHeader(status)
	if err == nil && fault != nil && fault.Kind == CutShort {
		w.Write(answer[:len(answer)/2]) // nobody is told of a caller that went away
		http.NewResponseController(w).Flush()
		panic(http.ErrAbortHandler)
	}
	w.Write(answer)
}

// storeAnswer is the status and body of an operation's outcome.
func storeAnswer(out object, err error) (status int, body []byte) {
	status = http.StatusOK
	var missing notFound
	var denied keyDenied
	switch {
	case err == nil:
	case errors.As(err, &missing):
		status = http.StatusBadRequest
		out = object{"__type": "ResourceNotFoundException", "Message": missing.Error(), "ResourceType": missing.kind,
			"ResourceId": missing.id}
	case errors.As(err, &denied):
		status = http.StatusBadRequest
		out = object{"__type": "AccessDeniedException", "Message": denied.Error(), "Reason": "KMS_ACCESS_DENIED"}
	default:
		known, _ := asAPIError(err)
		if status = http.StatusBadRequest; known.code == "InternalServerException" {
			status = http.StatusInternalServerError
		}
		out = object{"__type": known.code, "Message": known.message}
	}
	body, err = json.Marshal(out)
	if err != nil {
		return http.StatusInternalServerError, []byte(`{"__type":"InternalServerException"}`)
	}
	return status, body
}

// run checks who asks for what, and runs the operation.
func (c *storeCall) run(r *http.Request, operation func(*storeCall) (object, error)) (object, error) {
	e := c.e
	e.mu.Lock()
	defer e.mu.Unlock()
	caller, err := e.caller(r)
	if err != nil {
		known, _ := asAPIError(err)
		return nil, failure(map[string]string{
			"InvalidClientTokenId": "UnrecognizedClientException", "ExpiredToken": "ExpiredTokenException",
			"MissingAuthenticationToken": "MissingAuthenticationTokenException",
		}[known.code], "%s", known.message)
	}
	arn := "arn:aws:identitystore::" + e.options.Company.Account + ":identitystore/" + c.in.IdentityStoreID
	if c.name == "ListIdentityStores" {
		arn = "*"
	}
	if c.fault != nil {
		switch c.fault.Kind {
		case Deny:
			caller = &principal{arn: caller.arn, policy: Allow()}
		case Expire:
			return nil, failure("ExpiredTokenException", "The security token included in the request is expired")
		case Vanish:
			return nil, notFound{map[string]string{"DescribeUser": "USER", "IsMemberInGroups": "USER",
				"ListGroupMemberships": "GROUP"}[c.name], c.in.GroupID + c.in.UserID + c.in.MemberID.UserID}
		}
	}
	if err := caller.authorize("identitystore:"+c.name, arn, arn); err != nil {
		known, _ := asAPIError(err)
		return nil, failure("AccessDeniedException", "%s", known.message)
	}
	switch {
	case c.name == "ListIdentityStores":
	case e.store.KeyDenied:
		return nil, keyDenied{caller.arn}
	case c.in.IdentityStoreID != e.store.ID:
		return nil, notFound{"IDENTITY_STORE", c.in.IdentityStoreID}
	}
	return operation(c)
}

// page is the part of a list that the call asks for.
func (c *storeCall) page(list string, n int, item func(int) object) (object, error) {
	const most = 100
	size := most
	if c.in.MaxResults != 0 {
		if size = c.in.MaxResults; size < 1 || size > most {
			return nil, failure("ValidationException", "1 validation error detected: Value at 'maxResults' failed to satisfy "+
				"constraint")
		}
	}
	if c.e.settings.PageSize > 0 {
		size = min(size, c.e.settings.PageSize)
	}
	if c.e.settings.RaggedPage {
		size = 1 + c.e.random.IntN(size)
	}
	start := 0
	if c.in.NextToken != "" {
		text, err := base64.StdEncoding.DecodeString(c.in.NextToken)
		of, at, ok := strings.Cut(string(text), "\x00")
		start, _ = strconv.Atoi(at)
		if err != nil || !ok || of != c.name+c.in.GroupID || start < 0 || start > n {
			return nil, failure("ValidationException", "The NextToken is not valid.")
		}
	}
	token := func(at int) string {
		return base64.StdEncoding.EncodeToString([]byte(c.name + c.in.GroupID + "\x00" + strconv.Itoa(at)))
	}
	items := make([]object, 0, size)
	kind := ""
	if c.fault != nil {
		kind = c.fault.Kind
	}
	if kind == None {
		return object{list: items}, nil
	}
	end := min(start+size, n)
	for i := start; i < end; i++ {
		items = append(items, item(i))
	}
	out := object{list: items}
	switch {
	case kind == OldMarker:
		out["NextToken"] = c.in.NextToken
		if c.in.NextToken == "" {
			out["NextToken"] = token(0)
		}
	case kind != NoMarker && end < n:
		out["NextToken"] = token(end)
	}
	return out, nil
}

func (c *storeCall) listStores() (object, error) {
	return c.page("IdentityStores", 1, func(int) object {
		return object{"IdentityStoreId": c.e.store.ID, "IdentityStoreArn": "arn:aws:identitystore::" +
			c.e.options.Company.Account + ":identitystore/" + c.e.store.ID}
	})
}

func (c *storeCall) listPeople() (object, error) {
	return c.page("Users", len(c.e.store.People), func(i int) object { return c.person(c.e.store.People[i]) })
}

func (c *storeCall) describePerson() (object, error) {
	other := c.fault != nil && c.fault.Kind == Other
	for _, p := range c.e.store.People {
		if p.ID == c.in.UserID != other {
			return c.person(p), nil
		}
	}
	return nil, notFound{"USER", c.in.UserID}
}

func (c *storeCall) person(p Person) object {
	o := object{
		"IdentityStoreId": c.e.store.ID, "UserId": p.ID, "UserName": p.UserName, "Revision": "1",
		"UserArn": "arn:aws:identitystore:::user/" + p.ID,
	}
	if p.NickName != "" {
		o["NickName"] = p.NickName
	}
	var emails []object
	for i, email := range p.Emails {
		emails = append(emails, object{"Value": email, "Type": "work", "Primary": i == 0})
	}
	if emails != nil {
		o["Emails"] = emails
	}
	if p.Status != "" {
		o["UserStatus"] = p.Status
	}
	created(o, p.Created)
	return o
}

func created(o object, at time.Time) {
	if !at.IsZero() {
		o["CreatedAt"] = math.Round(float64(at.UnixMilli())) / 1000
	}
}

func (c *storeCall) listGroups() (object, error) {
	return c.page("Groups", len(c.e.store.Groups), func(i int) object {
		g := c.e.store.Groups[i]
		o := object{"IdentityStoreId": c.e.store.ID, "GroupId": g.ID, "DisplayName": g.Name, "Revision": "1",
			"GroupArn": "arn:aws:identitystore:::group/" + g.ID}
		created(o, g.Created)
		return o
	})
}

func (c *storeCall) group(id string) (PeopleGroup, error) {
	for _, g := range c.e.store.Groups {
		if g.ID == id {
			return g, nil
		}
	}
	return PeopleGroup{}, notFound{"GROUP", id}
}

func (c *storeCall) listMemberships() (object, error) {
	g, err := c.group(c.in.GroupID)
	if err != nil {
		return nil, err
	}
	ids := c.e.members[g.ID]
	return c.page("GroupMemberships", len(ids), func(i int) object {
		return object{"IdentityStoreId": c.e.store.ID, "GroupId": g.ID, "MembershipId": uuidOf("membership", g.ID+ids[i]),
			"MemberId": object{"UserId": ids[i]}}
	})
}

func (c *storeCall) isMember() (object, error) {
	const most = 100
	if n := len(c.in.GroupIDs); n < 1 || n > most {
		return nil, failure("ValidationException", "%d groups: 1 to %d are allowed", n, most)
	}
	results := []object{}
	for _, id := range c.in.GroupIDs {
		g, err := c.group(id)
		if err != nil {
			return nil, err
		}
		results = append(results, object{"GroupId": id, "MemberId": object{"UserId": c.in.MemberID.UserID},
			"MembershipExists": contains(c.e.members[g.ID], c.in.MemberID.UserID)})
	}
	return object{"Results": results}, nil
}

// damageJSON makes of a right answer what the fault wants.
func (f *Fault) damageJSON(w http.ResponseWriter, body []byte) []byte {
	switch f.Kind {
	case Empty:
		return nil
	case Bare:
		return []byte("{}")
	case Garbage:
		w.Header().Set("Content-Type", "text/html")
		return []byte("<!DOCTYPE html><html><body><p>It works & how!</body></html>")
	case Cut:
		return body[:len(body)/2]
	}
	return body
}
