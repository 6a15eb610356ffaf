package emulator

import (
	"fmt"
	"strconv"
	"strings"
	"time"
)

func getCallerIdentity(e *Emulator, c *call) error {
	c.text("Arn", c.caller.arn)
	c.text("UserId", "AIDAEMULATORCALLER000")
	c.text("Account", c.caller.account)
	return nil
}

// assumeRole hands out temporary keys where the role exists, the caller's
// policy allows it and the external id is the role's.
func assumeRole(e *Emulator, c *call) error {
	arn, session := c.form.Get("RoleArn"), c.form.Get("RoleSessionName")
	role, known := e.roles[arn]
	allowed, _ := c.caller.policy.allows("sts:AssumeRole", arn)
	if !known || !allowed || role.ExternalID != c.form.Get("ExternalId") {
		return failure("AccessDenied", "User: %s is not authorized to perform: sts:AssumeRole on resource: %s", c.caller.arn,
			arn)
	}
	if len(session) < 2 || len(session) > 64 || !namePattern.MatchString(session) {
		return failure("ValidationError", "1 validation error detected: Value '%s' at 'roleSessionName' failed to satisfy "+
			"constraint", session)
	}
	lifetime := time.Hour
	if text := c.form.Get("DurationSeconds"); text != "" {
		seconds, err := strconv.Atoi(text)
		if err != nil || seconds < 900 || seconds > 43200 {
			return failure("ValidationError", "1 validation error detected: Value '%s' at 'durationSeconds' failed to "+
				"satisfy constraint", text)
		}
		lifetime = time.Duration(seconds) * time.Second
	}
	assumed, account := assumedRole(arn, session)
	accessKey, issued := e.issue(principal{arn: assumed, account: account, policy: role.Policy, role: arn}, lifetime)
	c.open("Credentials")
	c.text("AccessKeyId", accessKey)
	c.text("SecretAccessKey", issued.secret)
	c.text("SessionToken", issued.token)
	c.time("Expiration", issued.expires)
	c.close("Credentials")
	c.open("AssumedRoleUser")
	c.text("Arn", assumed)
	c.text("AssumedRoleId", "AROAEMULATORROLE00000:"+session)
	c.close("AssumedRoleUser")
	return nil
}

// assumedRole turns arn:aws:iam::ACCOUNT:role/PATH/NAME into the ARN of its session.
func assumedRole(role, session string) (arn, account string) {
	fields := strings.SplitN(role, ":", 6)
	if len(fields) < 6 {
		return role, ""
	}
	name := fields[5][strings.LastIndex(fields[5], "/")+1:]
	return fmt.Sprintf("arn:%s:sts::%s:assumed-role/%s/%s", fields[1], fields[4], name, session), fields[4]
}
