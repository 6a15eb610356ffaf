package awsapi

import (
	"strings"
	"testing"
	"unicode/utf8"
)

func TestAWSsSentencesOfDenialAreUnderstood(t *testing.T) {
	for _, test := range []struct {
		name, message, detail, grant string
	}{
		{"a group by name", "User: arn:aws-cn:iam::111122223333:user/x is not authorized to perform: iam:GetGroup on " +
			"resource: group ops because no identity-based policy allows the iam:GetGroup action",
			"arn:aws-cn:iam::111122223333:user/x lacks iam:GetGroup on arn:aws-cn:iam::111122223333:group/ops",
			`"Resource":"arn:aws-cn:iam::111122223333:group/ops"`},
		{"a group by ARN", "User: arn:aws:sts::111122223333:assumed-role/r/i-1 is not authorized to perform: iam:GetGroup " +
			"on resource: arn:aws:iam::111122223333:group/path/ops",
			"lacks iam:GetGroup on arn:aws:iam::111122223333:group/path/ops",
			`"Resource":"arn:aws:iam::111122223333:group/path/ops"`},
		{"a user", "User: arn:aws:iam::111122223333:user/x is not authorized to perform: iam:ListSSHPublicKeys on " +
			"resource: user alice with an explicit deny",
			"lacks iam:ListSSHPublicKeys on arn:aws:iam::111122223333:user/alice",
			`"Resource":"arn:aws:iam::111122223333:user/*"`},
		{"a list", "User: arn:aws:iam::111122223333:user/x is not authorized to perform: iam:ListUsers on resource: " +
			"arn:aws:iam::111122223333:user/ because",
			"lacks iam:ListUsers on arn:aws:iam::111122223333:user/", `"Resource":"*"`},
		{"no resource", "User: arn:aws:iam::111122223333:user/x is not authorized to perform: " +
			"iam:GetAccountAuthorizationDetails",
			"lacks iam:GetAccountAuthorizationDetails on *", `"Resource":"*"`},
		{"another sentence", "Access denied", "Access denied", ""},
	} {
		t.Run(test.name, func(t *testing.T) {
			detail, remedy := denied(test.message)
			if !strings.Contains(detail, test.detail) || !strings.Contains(remedy, test.grant) {
				t.Errorf("got %q, %q; want %q, %q", detail, remedy, test.detail, test.grant)
			}
			if (remedy == "") != (test.grant == "") {
				t.Errorf("remedy %q", remedy)
			}
		})
	}
}

func TestForeignTextBecomesOneLine(t *testing.T) {
	got := line("a\nb\x1b[31m\xffc" + strings.Repeat("é", 1000))
	if strings.ContainsAny(got, "\n\x1b") || !utf8.ValidString(got) || len(got) > 410 ||
		!strings.HasPrefix(got, "a b [31m?c") {
		t.Errorf("got %q", got)
	}
}
