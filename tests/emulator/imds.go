package emulator

import (
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"
)

// An Instance is the EC2 instance whose metadata service the emulator is.
// https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/instancedata-data-retrieval.html
type Instance struct {
	Off        bool              `json:"off,omitempty"` // there is no metadata service: every request is cut
	ID         string            `json:"id,omitempty"`
	Account    string            `json:"account,omitempty"`
	Region     string            `json:"region,omitempty"`
	Partition  string            `json:"partition,omitempty"`
	Role       string            `json:"role,omitempty"` // of the instance profile; none when empty
	Policy     *Policy           `json:"policy,omitempty"`
	Tags       map[string]string `json:"tags,omitempty"`
	TagsOff    bool              `json:"tags_off,omitempty"`    // tags are not in the metadata, as is AWS's default
	TokensOff  bool              `json:"tokens_off,omitempty"`  // PUT for a token is refused
	AllowPlain bool              `json:"allow_plain,omitempty"` // requests without a token are answered, as in IMDSv1
	Delay      Duration          `json:"delay,omitempty"`
}

func (i Instance) withDefaults(account string) Instance {
	for field, value := range map[*string]string{
		&i.ID: "i-0123456789abcdef0", &i.Account: account, &i.Region: "eu-west-1", &i.Partition: "aws",
	} {
		if *field == "" {
			*field = value
		}
	}
	i.Tags = maps.Clone(i.Tags)
	return i
}

// SetInstance replaces the instance.
func (e *Emulator) SetInstance(i Instance) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.instance = i.withDefaults(e.options.Company.Account)
}

const metadataToken = "AQAEAEMULATORTOKEN=="

// metadata answers version 2 of the metadata service, which wants a token from
// a PUT in every request.
func (e *Emulator) metadata(w http.ResponseWriter, r *http.Request) {
	e.mu.Lock()
	fault := e.spoil("imds")
	instance := e.instance
	e.mu.Unlock()

	delay := time.Duration(instance.Delay)
	status := 0
	if fault != nil {
		switch fault.Kind {
		case Stall:
			e.stall(r)
			hangUp(w)
			return
		case Reset, CutShort:
			hangUp(w)
			return
		case Slow:
			delay += time.Duration(fault.Delay)
		case Throttle:
			status = http.StatusServiceUnavailable
		case Failure:
			status = http.StatusInternalServerError
		case Vanish:
			status = http.StatusNotFound
		case Deny, Expire:
			status = http.StatusForbidden
		case Garbage:
			io.WriteString(w, "\x00<html>{")
			return
		}
	}
	if instance.Off || !e.wait(r.Context().Done(), delay) {
		hangUp(w)
		return
	}
	path := strings.TrimPrefix(r.URL.Path, "/latest/")
	switch {
	case status != 0:
	case path == "api/token":
		status = http.StatusForbidden
		ttl := r.Header.Get("X-Aws-Ec2-Metadata-Token-Ttl-Seconds")
		seconds, err := strconv.Atoi(ttl)
		if r.Method != http.MethodPut {
			status = http.StatusMethodNotAllowed
		} else if err != nil || seconds < 1 || seconds > 21600 {
			status = http.StatusBadRequest
		} else if !instance.TokensOff {
			w.Header().Set("X-Aws-Ec2-Metadata-Token-Ttl-Seconds", ttl)
			io.WriteString(w, metadataToken)
			return
		}
	case r.Header.Get("X-Aws-Ec2-Metadata-Token") != metadataToken && !instance.AllowPlain:
		status = http.StatusUnauthorized
	default:
		text, found := e.lookUp(instance, path)
		if found {
			io.WriteString(w, text)
			return
		}
		status = http.StatusNotFound
	}
	http.Error(w, http.StatusText(status), status)
}

func (e *Emulator) lookUp(i Instance, path string) (text string, found bool) {
	if path == "dynamic/instance-identity/document" {
		text, err := json.Marshal(map[string]any{
			"accountId": i.Account, "instanceId": i.ID, "region": i.Region, "availabilityZone": i.Region + "a",
			"architecture": "x86_64", "instanceType": "t3.micro", "imageId": "ami-0123456789abcdef0",
			"privateIp": "10.0.0.7", "version": "2017-09-30", "pendingTime": "2026-01-02T03:04:05Z",
		})
		return string(text), err == nil
	}
	path, ok := strings.CutPrefix(path, "meta-data/")
	if !ok {
		return "", false
	}
	switch strings.TrimSuffix(path, "/") {
	case "instance-id":
		return i.ID, true
	case "placement/region":
		return i.Region, true
	case "services/partition":
		return i.Partition, true
	case "services/domain":
		return "amazonaws.com", true
	case "tags/instance":
		return strings.Join(slices.Sorted(maps.Keys(i.Tags)), "\n"), !i.TagsOff
	case "iam/security-credentials":
		return i.Role, i.Role != ""
	case "iam/security-credentials/" + i.Role:
		return e.instanceCredentials(i), i.Role != ""
	}
	if key, ok := strings.CutPrefix(path, "tags/instance/"); ok && !i.TagsOff {
		text, found = i.Tags[key]
		return text, found
	}
	return "", false
}

func (e *Emulator) instanceCredentials(i Instance) string {
	e.mu.Lock()
	defer e.mu.Unlock()
	role := fmt.Sprintf("arn:%s:iam::%s:role/%s", i.Partition, i.Account, i.Role)
	arn, _ := assumedRole(role, i.ID)
	accessKey, issued := e.issue(principal{arn: arn, account: i.Account, policy: i.Policy, role: role}, 6*time.Hour)
	text, err := json.Marshal(map[string]string{
		"Code": "Success", "Type": "AWS-HMAC", "AccessKeyId": accessKey, "SecretAccessKey": issued.secret,
		"Token": issued.token, "LastUpdated": e.now().UTC().Format(time.RFC3339),
		"Expiration": issued.expires.UTC().Format(time.RFC3339),
	})
	if err != nil {
		return ""
	}
	return string(text)
}

// describeTags answers for the one instance there is.
func describeTags(e *Emulator, c *call) error {
	resource, wanted := "", ""
	for i := 1; c.form.Has(fmt.Sprintf("Filter.%d.Name", i)); i++ {
		value := c.form.Get(fmt.Sprintf("Filter.%d.Value.1", i))
		switch name := c.form.Get(fmt.Sprintf("Filter.%d.Name", i)); name {
		case "resource-id":
			resource = value
		case "key":
			wanted = value
		default:
			return failure("InvalidParameterValue", "The filter '%s' is invalid", name)
		}
	}
	c.open("tagSet")
	if resource == "" || resource == e.instance.ID {
		for _, key := range slices.Sorted(maps.Keys(e.instance.Tags)) {
			if wanted != "" && wanted != key {
				continue
			}
			c.open("item")
			c.text("resourceId", e.instance.ID)
			c.text("resourceType", "instance")
			c.text("key", key)
			c.text("value", e.instance.Tags[key])
			c.close("item")
		}
	}
	c.close("tagSet")
	return nil
}
