package main

import (
	"fmt"
	"slices"
	"strings"

	"github.com/nss-iam/nss-iam/internal/authlog"
	"github.com/nss-iam/nss-iam/internal/keys"
)

// This file is sshd's AuthorizedPrincipalsCommand: it says whose certificate
// opens an account now. sshd has checked that a trusted authority signed the
// certificate, and lets it in if one of its principals is among the answer.

// A principal is somebody who may enter the account in question now.
type principal struct {
	name   string // as the certificate has it
	person string // the same for a shared account, "" for the person's own login
	source string // "the directory" or "cache of 3m0s ago"
}

// line is one line of an AuthorizedPrincipalsFile, sshd_config(5): key options,
// a space, the principal.
func (p principal) line(options []string) (string, error) {
	if strings.ContainsAny(p.name, " \t\"#") || p.name == "" {
		return "", fmt.Errorf("write principal %.40q: it has a character that has a meaning to sshd", p.name)
	}
	for _, o := range options {
		if !slices.Contains(keys.Restrictions(), o) {
			return "", fmt.Errorf("write principal %q: option %.40q is not one that may be set", p.name, o)
		}
	}
	options = slices.Clone(options)
	if p.person != "" {
		options = append(options, `environment="`+keys.EnvironmentName+`=`+p.person+`"`)
	}
	return strings.TrimPrefix(strings.Join(options, ",")+" "+p.name, " "), nil
}

// principalLines returns the lines for sshd, and logs who may come in.
func (h helper) principalLines(q question, v verdict) ([]string, error) {
	lines := make([]string, 0, len(v.people))
	for _, p := range v.people {
		if q.certified != nil && !slices.Contains(q.certified, p.name) {
			continue
		}
		line, err := p.line(v.policy.Options)
		if err != nil {
			return nil, fmt.Errorf("user %q: %w, %s", q.name, err, q.nothing())
		}
		lines = append(lines, line)
		if q.certified != nil {
			h.log.Send(authlog.Info, fmt.Sprintf("user %q: certificate of principal %q accepted, from %s", q.name, p.name,
				p.source))
		}
	}
	if len(lines) > 0 {
		return lines, nil
	}
	return nil, v.err
}

// command is the line of sshd_config that runs this program for such a question.
func (q question) command() string {
	if q.principals {
		return "AuthorizedPrincipalsCommand"
	}
	return "AuthorizedKeysCommand"
}
