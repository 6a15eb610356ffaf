package emulator

import (
	"encoding/base64"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"
)

// A call is one query-protocol request on its way through an action.
type call struct {
	document // the result, as the action writes it
	form     url.Values
	caller   *principal
	fault    *Fault
	state    *state // what a reader sees, or the newest for a writer
}

// An action is one operation of the query protocol.
type action struct {
	service string // "iam", "sts" or "ec2"
	subject string // what the permission is about: "user", "group", "users", "groups", "role" or "*"
	writes  bool
	serve   func(*Emulator, *call) error
}

var actions map[string]action

func init() {
	actions = map[string]action{
		"ListUsers":                      {"iam", "users", false, listUsers},
		"GetUser":                        {"iam", "user", false, getUser},
		"ListUserTags":                   {"iam", "user", false, listUserTags},
		"ListGroups":                     {"iam", "groups", false, listGroups},
		"GetGroup":                       {"iam", "group", false, getGroup},
		"ListGroupsForUser":              {"iam", "user", false, listGroupsForUser},
		"GetAccountAuthorizationDetails": {"iam", "*", false, getAccountAuthorizationDetails},
		"ListSSHPublicKeys":              {"iam", "user", false, listSSHPublicKeys},
		"GetSSHPublicKey":                {"iam", "user", false, getSSHPublicKey},
		"CreateUser":                     {"iam", "user", true, createUser},
		"UpdateUser":                     {"iam", "user", true, updateUser},
		"DeleteUser":                     {"iam", "user", true, deleteUser},
		"CreateGroup":                    {"iam", "group", true, createGroup},
		"UpdateGroup":                    {"iam", "group", true, updateGroup},
		"DeleteGroup":                    {"iam", "group", true, deleteGroup},
		"AddUserToGroup":                 {"iam", "group", true, addUserToGroup},
		"RemoveUserFromGroup":            {"iam", "group", true, removeUserFromGroup},
		"UploadSSHPublicKey":             {"iam", "user", true, uploadSSHPublicKey},
		"UpdateSSHPublicKey":             {"iam", "user", true, updateSSHPublicKey},
		"DeleteSSHPublicKey":             {"iam", "user", true, deleteSSHPublicKey},
		"TagUser":                        {"iam", "user", true, tagUser},
		"UntagUser":                      {"iam", "user", true, untagUser},
		"GetCallerIdentity":              {"sts", "", false, getCallerIdentity},
		"AssumeRole":                     {"sts", "role", false, assumeRole},
		"DescribeTags":                   {"ec2", "*", false, describeTags},
	}
}

// maxForm bounds a request; a key's body has 16 KiB at most.
const maxForm = 1 << 20

func (e *Emulator) handler() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("/", e.query)
	mux.HandleFunc("/latest/", e.metadata)
	e.admin(mux)
	return mux
}

// arrive counts a call, and says what spoils it, whether it is over the rate, how
// long its answer takes at least, and its request's id.
func (e *Emulator) arrive(name string) (fault *Fault, over bool, latency time.Duration, requestID string) {
	e.mu.Lock()
	defer e.mu.Unlock()
	fault = e.spoil(name)
	requestID = fmt.Sprintf("%08x-0000-4000-8000-%012x", e.options.Seed, len(e.calls))
	over = e.limiter != nil && !e.limiter.AllowN(e.now(), 1)
	if over || fault != nil && fault.Kind == Throttle {
		e.throttled++
	}
	return fault, over, time.Duration(e.settings.Latency), requestID
}

// query answers IAM, STS and EC2, and hands on what is for the Identity Store.
func (e *Emulator) query(w http.ResponseWriter, r *http.Request) {
	if strings.HasPrefix(r.Header.Get("X-Amz-Target"), storeTarget) {
		e.identityStore(w, r)
		return
	}
	r.Body = http.MaxBytesReader(w, r.Body, maxForm)
	parseError := r.ParseForm()
	name := r.Form.Get("Action")
	act, known := actions[name]

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

	var body []byte
	var err error
	switch {
	case over, fault != nil && fault.Kind == Throttle:
		err = failure("Throttling", "Rate exceeded")
	case fault != nil && fault.Kind == Failure:
		err = failure("ServiceFailure",
			"The request processing has failed because of an unknown error, exception or failure.")
	case parseError != nil:
		err = failure("RequestEntityTooLarge", "The request cannot be read: %v", parseError)
	case !known:
		err = failure("InvalidAction", "Could not find operation %s for version %s", name, r.Form.Get("Version"))
	default:
		body, err = e.act(r, name, act, fault, requestID)
	}
	w.Header().Set("X-Amzn-Requestid", requestID)
	w.Header().Set("Content-Type", "text/xml")
	status := http.StatusOK
	if err != nil {
		var known *apiError
		known, status = asAPIError(err)
		body = errorXML(act.service, requestID, known, status)
	} else if fault != nil {
		body = fault.damage(w, name, requestID, act.service, body)
	}
	e.options.Log.Info("call", "action", name, "user", r.Form.Get("UserName"), "status", status, "fault", fault)
	w.Header().Set("Content-Length", strconv.Itoa(len(body)))
	w.WriteHeader(status)
	if err == nil && fault != nil && fault.Kind == CutShort {
		w.Write(body[:len(body)/2]) // nobody is told of a caller that went away
		http.NewResponseController(w).Flush()
		panic(http.ErrAbortHandler)
	}
	w.Write(body)
}

// act runs an action on the state that its caller sees.
func (e *Emulator) act(r *http.Request, name string, act action, fault *Fault, requestID string) ([]byte, error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	caller, err := e.caller(r)
	if err != nil {
		return nil, err
	}
	c := &call{form: r.Form, caller: caller, fault: fault, state: e.state}
	if !act.writes {
		c.state = e.visible()
	}
	action := act.service + ":" + name
	if fault != nil {
		switch fault.Kind {
		case Deny:
			return nil, (&principal{arn: caller.arn, policy: Allow()}).authorize(action, "*",
				c.shown(act, e.options.Company.Account))
		case Expire:
			return nil, failure("ExpiredToken", "The security token included in the request is expired")
		case Vanish:
			return nil, failure("NoSuchEntity", "The %s with name %s cannot be found.", act.subject, c.form.Get("UserName")+
				c.form.Get("GroupName"))
		}
	}
	// Roles answer for themselves: their trust, not the caller's policy alone, decides.
	if act.service != "sts" {
		if err := caller.authorize(action, c.resource(act, e.options.Company.Account),
			c.shown(act, e.options.Company.Account)); err != nil {
			var refused *apiError
			if act.service == "ec2" && errors.As(err, &refused) {
				return nil, failure("UnauthorizedOperation", "You are not authorized to perform this operation. %s",
					refused.message)
			}
			return nil, err
		}
	}
	if act.writes {
		err = e.change(func(s *state) error { c.state = s; return act.serve(e, c) })
	} else {
		err = act.serve(e, c)
	}
	if err != nil {
		return nil, err
	}
	return answerXML(act.service, name, requestID, c.String()), nil
}

// resource is the ARN that policies are compared with.
func (c *call) resource(act action, account string) string {
	arn := "arn:aws:iam::" + account + ":"
	switch act.subject {
	case "user":
		if u, err := c.state.user(c.form.Get("UserName")); err == nil {
			return arn + "user" + u.path + u.name
		}
		return arn + "user/" + c.form.Get("UserName")
	case "group":
		if g, err := c.state.group(c.form.Get("GroupName")); err == nil {
			return arn + "group" + g.path + g.name
		}
		return arn + "group/" + c.form.Get("GroupName")
	case "users":
		return arn + "user/"
	case "groups":
		return arn + "group/"
	case "role":
		return c.form.Get("RoleArn")
	}
	return "*"
}

// shown is the resource in the words of IAM's AccessDenied: single users and
// groups by kind and name, all else by ARN.
func (c *call) shown(act action, account string) string {
	switch act.subject {
	case "user":
		return "user " + c.form.Get("UserName")
	case "group":
		return "group " + c.form.Get("GroupName")
	}
	return c.resource(act, account)
}

// damage makes of a right answer what the fault wants.
func (f *Fault) damage(w http.ResponseWriter, action, requestID, service string, body []byte) []byte {
	switch f.Kind {
	case Empty:
		return nil
	case Bare:
		return answerXML(service, action, requestID, "")
	case Garbage:
		w.Header().Set("Content-Type", "text/html")
		return []byte("<!DOCTYPE html><html><body><p>It works & how!</body></html>")
	case Cut:
		return body[:len(body)/2]
	}
	return body
}

// stall holds a call until its caller or the emulator gives up.
func (e *Emulator) stall(r *http.Request) {
	select {
	case <-r.Context().Done():
	case <-e.stopped:
	}
}

// hangUp cuts the connection with a reset where the system lets it.
func hangUp(w http.ResponseWriter) {
	conn, _, err := http.NewResponseController(w).Hijack()
	if err != nil {
		panic(http.ErrAbortHandler)
	}
	if tcp, ok := conn.(interface{ SetLinger(int) error }); ok {
		tcp.SetLinger(0) // best effort: a plain close is a cut as well
	}
	conn.Close()
}

// page writes one page of a list of n items, from the marker on: item writes
// item i, name is its place in the order. wrap opens and closes the list.
func (e *Emulator) page(c *call, list string, n int, name func(int) string, item func(int)) error {
	start, end, err := e.window(c, n, name)
	if err != nil {
		return err
	}
	if c.fault != nil && c.fault.Kind == None {
		c.open(list)
		c.close(list)
		c.text("IsTruncated", "false")
		return nil
	}
	c.open(list)
	for i := start; i < end; i++ {
		c.open("member")
		item(i)
		c.close("member")
	}
	c.close(list)
	c.more(end, n, name)
	return nil
}

// window is the range of items on the page that the call asks for.
func (e *Emulator) window(c *call, n int, name func(int) string) (start, end int, err error) {
	size := 100
	if text := c.form.Get("MaxItems"); text != "" {
		size, err = strconv.Atoi(text)
		if err != nil || size < 1 || size > 1000 {
			return 0, 0, failure("ValidationError", "1 validation error detected: Value '%s' at 'maxItems' failed to satisfy "+
				"constraint: Member must have value between 1 and 1000", text)
		}
	}
	if e.settings.PageSize > 0 {
		size = min(size, e.settings.PageSize)
	}
	if e.settings.RaggedPage {
		size = 1 + e.random.IntN(size)
	}
	if marker := c.form.Get("Marker"); marker != "" {
		after, ok := readMarker(c.form.Get("Action"), marker)
		if !ok {
			return 0, 0, failure("ValidationError", "Invalid Marker")
		}
		for start < n && after != "" && name(start) <= after {
			start++
		}
	}
	return start, min(start+size, n), nil
}

// more writes IsTruncated and Marker after the items up to end.
func (c *call) more(end, n int, name func(int) string) {
	kind := ""
	if c.fault != nil {
		kind = c.fault.Kind
	}
	switch {
	case kind == NoMarker:
		c.text("IsTruncated", "true")
	case kind == OldMarker:
		c.text("IsTruncated", "true")
		marker := c.form.Get("Marker")
		if marker == "" {
			marker = writeMarker(c.form.Get("Action"), "")
		}
		c.text("Marker", marker)
	case end < n:
		c.text("IsTruncated", "true")
		c.text("Marker", writeMarker(c.form.Get("Action"), name(end-1)))
	default:
		c.text("IsTruncated", "false")
	}
}

// A marker names the action and the last item of the page before.
func writeMarker(action, last string) string {
	return base64.StdEncoding.EncodeToString([]byte(action + "\x00" + last))
}

func readMarker(action, marker string) (last string, ok bool) {
	text, err := base64.StdEncoding.DecodeString(marker)
	if err != nil {
		return "", false
	}
	of, last, found := strings.Cut(string(text), "\x00")
	return last, found && of == action
}
