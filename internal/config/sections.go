package config

import (
	"fmt"
	"math"
	"net/netip"
	"net/url"
	"path"
	"slices"
	"strings"
	"time"
)

// sections is every key of every section but [shared], whose keys are names
// of accounts. Each reader checks one value and puts it in its place.
var sections map[string]map[string]func(*reader, value)

// The map is filled here because its functions reach the reader, which reads
// the map.
func init() {
	sections = map[string]map[string]func(*reader, value){
		"source": {
			"kind": func(r *reader, v value) { put(&r.config.Source.Kind)(v.oneOf(Kinds()...)) },
			"refresh": func(r *reader, v value) {
				put(&r.config.Source.Refresh)(v.duration(minRefreshSnapshot, 7*day, "", `"5m"`))
				r.config.Source.RefreshSet = true
			},
			"rate": func(r *reader, v value) { put(&r.config.Source.Rate)(v.fraction(0.1, 100, "rate = 5")) },
			"bulk": func(r *reader, v value) { put(&r.config.Source.Bulk)(v.flag()) },
			"region": func(r *reader, v value) {
				put(&r.config.Source.Region)(v.matching(regionForm, "an AWS region", `"eu-central-1"`))
			},
			"endpoint": readEndpoint,
			"assume_role": func(r *reader, v value) {
				put(&r.config.Source.AssumeRole)(v.matching(roleForm, "the ARN of a role",
					`"arn:aws:iam::123456789012:role/nss-iam"`))
			},
			"external_id": func(r *reader, v value) {
				put(&r.config.Source.ExternalID)(v.matching(externalIDForm, "an external id", `"some-secret-of-both-accounts"`))
			},
			"path_prefix": func(r *reader, v value) {
				put(&r.config.Source.PathPrefix)(v.matching(pathPrefixForm, "an IAM path", `"/staff/", with a slash at both ends`))
			},
			"identity_store": func(r *reader, v value) {
				put(&r.config.Source.IdentityStore)(v.matching(identityStoreForm, "the id of an identity store",
					`"d-1234567890", as "aws identitystore list-identity-stores" prints it`))
			},
			"url":          func(r *reader, v value) { put(&r.config.Source.URL)(readURL(v)) },
			"trusted_keys": func(r *reader, v value) { put(&r.config.Source.TrustedKeys)(readTrustedKeys(v)) },
		},
		"publish": {
			"url": func(r *reader, v value) { put(&r.config.Publish.URL)(readURL(v)) },
			"key": func(r *reader, v value) { put(&r.config.Publish.Key)(readSigningKey(v)) },
			"expires": func(r *reader, v value) {
				put(&r.config.Publish.Expires)(v.duration(time.Hour, 3650*day, "", `"24h"`))
			},
			"trusted_keys": func(r *reader, v value) { put(&r.config.Publish.TrustedKeys)(readTrustedKeys(v)) },
		},
		"login": {
			"groups": func(r *reader, v value) {
				put(&r.config.Login.Groups)(v.list(groupForm, "a group name", `["developers"]`))
			},
			"groups_tag": func(r *reader, v value) { put(&r.config.Login.GroupsTag)(readInstanceTag(v, `"nss-iam:login"`)) },
			"all_users":  func(r *reader, v value) { put(&r.config.Login.AllUsers)(v.flag()) },
		},
		"sudo": {
			"groups": func(r *reader, v value) {
				put(&r.config.Sudo.Groups)(v.list(groupForm, "a group name", `["admins"]`))
			},
			"groups_tag":   func(r *reader, v value) { put(&r.config.Sudo.GroupsTag)(readInstanceTag(v, `"nss-iam:sudo"`)) },
			"end_sessions": func(r *reader, v value) { put(&r.config.Sudo.EndSessions)(v.flag()) },
		},
		"accounts": {
			"shell": func(r *reader, v value) { put(&r.config.Accounts.Shell)(readPath(v, `"/bin/bash"`)) },
			"home":  readHome,
			"homes": func(r *reader, v value) { put(&r.config.Accounts.Homes)(v.oneOf("pam", "create", "none")) },
			"name_from": func(r *reader, v value) {
				put(&r.config.Accounts.NameFrom)(v.oneOf("user-name", "nick-name", "email"))
			},
			"strip_domains": func(r *reader, v value) {
				put(&r.config.Accounts.StripDomains)(v.list(domainForm, "a domain", `["example.com"], without an @`))
			},
			"lowercase":      func(r *reader, v value) { put(&r.config.Accounts.Lowercase)(v.flag()) },
			"publish_groups": readPatterns,
			"map_groups":     readMapGroups,
			"reserve": func(r *reader, v value) {
				put(&r.config.Accounts.Reserve)(v.list(localNameForm, "a user or group name", `["backup-robot"]`))
			},
			"allow_privileged_groups": func(r *reader, v value) {
				put(&r.config.Accounts.AllowPrivilegedGroups)(v.list(localNameForm, "a group name", `["docker"]`))
			},
			"max_groups": readMaxGroups,
			"expires_tag": func(r *reader, v value) {
				put(&r.config.Accounts.ExpiresTag)(v.matching(iamTagForm, "an IAM tag key", `"nss-iam:expires"`))
			},
		},
		"ids": {"range": readRange, "pin": readPins},
		"keys": {
			"online": func(r *reader, v value) { put(&r.config.Keys.Online)(v.oneOf("prefer", "require", "off")) },
			"timeout": func(r *reader, v value) {
				put(&r.config.Keys.Timeout)(v.duration(10*time.Millisecond, time.Minute, "", `"2s"`))
			},
			"max_stale": func(r *reader, v value) {
				put(&r.config.Keys.MaxStale)(v.duration(time.Minute, 3650*day, `, or "0" for no limit`, `"24h"`))
			},
			"max_age": func(r *reader, v value) {
				put(&r.config.Keys.MaxAge)(v.duration(time.Minute, 36500*day, `, or "0" for no limit`, `"90d"`))
			},
			"min_rsa_bits": readRSABits,
			"types":        readKeyTypes,
			"tag_prefix": func(r *reader, v value) {
				put(&r.config.Keys.TagPrefix)(v.matching(iamTagForm, "the beginning of an IAM tag key", `"ssh-key"`))
			},
			"options": readKeyOptions,
			"chain":   readChain,
			"own_file": func(r *reader, v value) {
				put(&r.config.Keys.OwnFile)(v.oneOf("ignore", "allow"))
			},
		},
		"removal": {
			"confirm": readConfirm,
			"max_fraction": func(r *reader,
				v value) {
				put(&r.config.Removal.MaxFraction)(v.fraction(0, 1, "max_fraction = 0.2"))
			},
			"keep_names": func(r *reader, v value) {
				put(&r.config.Removal.KeepNames)(v.duration(time.Minute, 36500*day, `, or "0" to forget at once`, `"90d"`))
			},
			"end_sessions": readEndSessions,
		},
		"metrics": {"textfile": readTextFile},
		"cache":   {"dir": func(r *reader, v value) { put(&r.config.Cache.Dir)(readPath(v, `"/var/lib/nss-iam"`)) }},
	}
}

// put stores what a value's method returned if it was of the wanted kind.
func put[T any](place *T) func(T, bool) {
	return func(got T, ok bool) {
		if ok {
			*place = got
		}
	}
}

// Names as AWS allows them. Where the service's own pattern is \w, only ASCII
// is meant here.
var (
	// Names of groups in any directory: what can be seen, with spaces inside.
	groupForm         = newForm(`^[^\pC\pZ](?:[^\pC\p{Zl}\p{Zp}]*[^\pC\pZ])?$`)
	iamGroupForm      = newForm(`^[A-Za-z0-9_+=,.@-]{1,128}$`)
	regionForm        = newForm(`^[a-z]{2,5}(?:-[a-z0-9]{1,16}){1,4}$`)
	roleForm          = newForm(`^arn:aws[a-z-]*:iam::[0-9]{12}:role/[A-Za-z0-9_+=,.@/-]{1,576}$`)
	externalIDForm    = newForm(`^[A-Za-z0-9_+=,.@:/-]{2,}$`)
	pathPrefixForm    = newForm(`^/(?:[!-~]{1,510}/)?$`)
	identityStoreForm = newForm(`^d-[0-9a-z]{10}$`)
	bucketForm        = newForm(`^[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]$`)
	trustedKeyForm    = newForm(`^[!-~](?:[ -~]*[!-~])?$`)
	domainForm        = newForm(`^[A-Za-z0-9](?:[A-Za-z0-9.-]{0,62}[A-Za-z0-9])?$`)
	// Tag keys: IAM's by its API reference, an instance's by what instance
	// metadata can show (EC2 user guide, Using_Tags).
	iamTagForm      = newForm(`^[\p{L}\p{Z}\p{N}_.:/=+@-]{1,128}$`)
	instanceTagForm = newForm(`^[A-Za-z0-9+=.,_:@-]{1,128}$`)
	// What shadow-utils accepts as a name of a local account or group.
	localNameForm = newForm(`^[A-Za-z_][A-Za-z0-9_.-]{0,30}[A-Za-z0-9_.$-]?$`)
	principalForm = newForm(`^(?:(?:AIDA|AGPA)[A-Z0-9]{1,124}|` +
		`(?:[0-9a-f]{10}-)?[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}|iam-users|iam-sudo)$`)
	patternForm = newForm(`^[^\pC\p{Zl}\p{Zp}]{1,256}$`)
)

func readInstanceTag(v value, example string) (string, bool) {
	s, ok := v.matching(instanceTagForm, "a tag key that instance metadata can show",
		example+`, of letters, digits and + - = . , _ : @`)
	if ok && (s == "." || s == ".." || s == "_index" || strings.HasPrefix(s, "aws:")) {
		v.fault(quote(s)+" is reserved by AWS", "choose another tag key, as in "+example)
		return "", false
	}
	return s, ok
}

func readEndpoint(r *reader, v value) {
	s, ok := v.text(`"https://iam.example.com"`)
	if !ok {
		return
	}
	u, err := url.Parse(s)
	if err != nil || (u.Scheme != "https" && u.Scheme != "http") || u.Host == "" || u.User != nil || u.RawQuery != "" ||
		u.Fragment != "" {
		v.fault(quote(s)+" is not the address of an endpoint",
			`write it as "https://iam.example.com", or remove it for AWS's own`)
		return
	}
	if u.Scheme == "http" && !loopback(u.Hostname()) {
		v.fault(quote(s)+" is not encrypted: anybody on the way decides who may log in",
			"write it with https; http is for an address of this host's own loopback, such as http://127.0.0.1:8000")
		return
	}
	r.config.Source.Endpoint = s
}

// loopback reports whether a host is this one. A name other than localhost can
// mean any host.
func loopback(host string) bool {
	address, err := netip.ParseAddr(host)
	return host == "localhost" || err == nil && address.IsLoopback()
}

// readPath accepts an absolute path that can stand in a passwd entry.
func readPath(v value, example string) (string, bool) {
	s, ok := v.text(example)
	if !ok {
		return "", false
	}
	if problem := pathProblem(s); problem != "" {
		v.fault(quote(s)+" "+problem, "write it as "+example)
		return "", false
	}
	return s, true
}

// maxPath is the longest home or shell that the cache takes.
const maxPath = 255

func pathProblem(s string) string {
	switch {
	case !strings.HasPrefix(s, "/"):
		return "is not an absolute path"
	case hasControl(s) || strings.ContainsAny(s, ":"):
		return "holds a colon or a control character, which no passwd entry can"
	case path.Clean(s) != s:
		return `holds "..", "." or a slash too many`
	case len(s) > maxPath:
		return fmt.Sprintf("is longer than %d bytes", maxPath)
	}
	return ""
}

func hasControl(s string) bool {
	return strings.ContainsFunc(s, func(c rune) bool { return c < ' ' || c >= 0x7f && c < 0xa0 || c == '\uFFFD' })
}

func readHome(r *reader, v value) {
	const remedy = `write it as "/home/%u", with %u for the login name, %U for the uid and %% for a percent sign`
	s, ok := v.text(`"/home/%u"`)
	if !ok {
		return
	}
	own := false
	for i := 0; i < len(s); i++ {
		if s[i] != '%' {
			continue
		}
		i++
		switch {
		case i < len(s) && (s[i] == 'u' || s[i] == 'U'):
			own = true
		case i < len(s) && s[i] == '%':
		default:
			v.fault(quote(s)+" holds a token that is not known", remedy)
			return
		}
	}
	longest := strings.NewReplacer("%%", "%", "%u", strings.Repeat("x", 32), "%U", "2147352575").Replace(s)
	if problem := pathProblem(longest); problem != "" {
		v.fault(quote(s)+" "+problem, remedy)
		return
	}
	if !own {
		v.fault(quote(s)+" is one home for everybody", remedy)
		return
	}
	r.config.Accounts.Home = s
}

func readPatterns(r *reader, v value) {
	const example = `["team-*"]`
	put(&r.config.Accounts.PublishGroups)(v.each(example, func(element value, s string) bool {
		if _, err := path.Match(s, "x"); err != nil || !patternForm.MatchString(s) {
			element.listFault(quote(s)+" is not a pattern for group names", "write the list as "+example+", with *, ? and [a-z]")
			return false
		}
		return true
	}))
}

func readMapGroups(r *reader, v value) {
	const example = `{ "docker-users" = "docker" }`
	table, ok := v.table(example)
	if !ok {
		return
	}
	groups := make(map[string]string, len(table))
	for _, iam := range sortedKeys(table) {
		entry := v.at(iam, table[iam])
		if !groupForm.MatchString(iam) {
			entry.fault(quote(iam)+" is not a group name", "write it as "+example)
			continue
		}
		if local, ok := entry.matching(localNameForm, "a name of a local group", example); ok {
			groups[iam] = local
		}
	}
	r.config.Accounts.MapGroups = groups
}

func readMaxGroups(r *reader, v value) {
	n, ok := v.number(0, 65536, "max_groups = 16")
	if ok && n > 0 && n < 4 {
		v.fault(fmt.Sprintf("%d leaves no room beside the private group, iam-users and iam-sudo", n),
			"write 4 or more, or 0 for no limit; NFS takes 16")
		return
	}
	put(&r.config.Accounts.MaxGroups)(int(n), ok)
}

func readRange(r *reader, v value) {
	const example = "[2001000000, 2146999999]"
	ends, ok := v.any.([]any)
	if !ok {
		v.wrongType("a list of two numbers", example)
		return
	}
	if len(ends) != 2 {
		v.fault(fmt.Sprintf("has %d numbers, not two", len(ends)), "write it as "+example)
		return
	}
	low, lowOK := v.at("0", ends[0]).end(example)
	high, highOK := v.at("1", ends[1]).end(example)
	if !lowOK || !highOK {
		return
	}
	if low > high {
		v.fault(fmt.Sprintf("begins at %d, above its end %d", low, high), "write the lower number first")
		return
	}
	r.config.IDs.Low, r.config.IDs.High = uint32(low), uint32(high)
}

// end reads one end of ids.range.
func (v value) end(example string) (int64, bool) {
	n, ok := v.any.(int64)
	if !ok {
		v.listFault("holds a "+kindOf(v.any)+", not a whole number", "write it as "+example)
		return 0, false
	}
	if n < MinID || n > MaxID {
		v.listFault(fmt.Sprintf("%d is not in %d to %d", n, MinID, MaxID),
			"stay in those bounds: below are local accounts, above are ids that systemd and the kernel keep for themselves")
		return 0, false
	}
	return n, true
}

func readPins(r *reader, v value) {
	const example = `{ "AIDAEXAMPLE" = 2001000007 }`
	table, ok := v.table(example)
	if !ok {
		return
	}
	pins := make(map[string]uint32, len(table))
	for _, id := range sortedKeys(table) {
		entry := v.at(id, table[id])
		if !principalForm.MatchString(id) {
			entry.fault(quote(id)+" is not a UserId or GroupId",
				`write the id that "iam-cachefill explain" shows (AIDA… or AGPA… of IAM, a UUID of Identity Center), or `+
					`iam-users or iam-sudo`)
			continue
		}
		if n, ok := entry.number(0, math.MaxUint32, "pin = "+example); ok {
			pins[id] = uint32(n)
		}
	}
	r.config.IDs.Pin = pins
}

func readRSABits(r *reader, v value) {
	n, ok := v.number(1024, 16384, "min_rsa_bits = 2048")
	put(&r.config.Keys.MinRSABits)(int(n), ok)
}

func readConfirm(r *reader, v value) {
	n, ok := v.number(1, 1000, "confirm = 2")
	put(&r.config.Removal.Confirm)(int(n), ok)
}

func readKeyTypes(r *reader, v value) {
	put(&r.config.Keys.Types)(v.each(`["ssh-ed25519", "ssh-rsa"]`, func(element value, s string) bool {
		if slices.Contains(KeyTypes, s) {
			return true
		}
		element.listFault(quote(s)+" is not a key type", "known are "+list(KeyTypes))
		return false
	}))
	if v.any != nil && r.config.Keys.Types != nil && len(r.config.Keys.Types) == 0 {
		v.fault("allows no key at all", "name a type, or remove the key for all types")
	}
}

// readKeyOptions refuses an option beside its contrary: sshd would take
// whichever comes last, and nobody could tell which was meant.
func readKeyOptions(r *reader, v value) {
	const example = `["no-agent-forwarding", "no-X11-forwarding"]`
	options, ok := v.each(example, func(element value, s string) bool {
		if !slices.Contains(KeyOptions, s) {
			element.listFault(quote(s)+" is not an option that every key may carry", "known are "+list(KeyOptions))
			return false
		}
		return true
	})
	for _, o := range options {
		if ok && slices.Contains(options, "no-"+o) {
			v.fault(quote(o)+" contradicts "+quote("no-"+o), "remove one of the two")
			ok = false
		}
	}
	if ok && len(options) > 0 {
		r.config.Keys.Options = options
	}
}

func readTextFile(r *reader, v value) {
	const example = `"/var/lib/prometheus/node-exporter/nss-iam.prom"`
	path, ok := readPath(v, example)
	if ok && !strings.HasSuffix(path, ".prom") {
		v.fault(quote(path)+" does not end in .prom, and node_exporter reads no other files", "write it as textfile = "+
			example)
		return
	}
	put(&r.config.Metrics.TextFile)(path, ok)
}

func readChain(r *reader, v value) {
	const example = `["/opt/aws/bin/eic_run_authorized_keys", "%u", "%f"]`
	elements, ok := v.any.([]any)
	if !ok {
		v.wrongType("a list of strings", example)
		return
	}
	command := make([]string, 0, len(elements))
	for i, any := range elements {
		s, isText := any.(string)
		switch {
		case !isText:
			v.at(fmt.Sprint(i), any).listFault(fmt.Sprintf("element %d is a %s, not a string", i+1, kindOf(any)),
				"write it as "+example)
			return
		case i == 0 && pathProblem(s) != "":
			v.at("0", any).listFault(quote(s)+" "+pathProblem(s), "name the program by its whole path, as in "+example)
			return
		case strings.ContainsRune(s, 0):
			v.at(fmt.Sprint(i), any).listFault("holds a NUL", "write it as "+example)
			return
		}
		command = append(command, s)
	}
	if len(command) > 0 {
		r.config.Keys.Chain = command
	}
}

// readEndSessions reads true, false or "at-once".
func readEndSessions(r *reader, v value) {
	switch v.any {
	case true, false:
		r.config.Removal.EndSessions = v.any == true
	case "at-once":
		r.config.Removal.EndSessions, r.config.Removal.EndAtOnce = true, true
	default:
		v.fault(fmt.Sprintf("%.40q is neither true nor false nor \"at-once\"", fmt.Sprint(v.any)), "write one of them")
	}
}
