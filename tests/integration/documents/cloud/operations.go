package main

// An operation of the AWS CLI: its options, and what becomes of it. The
// options are AWS's (held against aws-cli 1.45.11, botocore 1.43.11); those that
// no document uses are left out, so that a new one is looked up.
type operation struct {
	options map[string]string // to the parameter of the query protocol, or a kind below
	needs   []string          // options that must be given
	action  string            // of the query protocol, for the emulator
	run     func(given map[string][]string) error
	answers map[string]string // to --query, where nothing is carried out
}

// Kinds of options that are no parameters.
const (
	value = "value" // one word or more
	flag  = "flag"  // no word
	file  = "file"  // a file:// or the name of a file, which must exist
)

// Of every operation.
var common = map[string]string{"--query": value, "--output": value, "--region": value, "--profile": value}

var user = map[string]string{"--user-name": "UserName"}

var operations = map[string]operation{
	"iam create-user": {options: user, needs: []string{"--user-name"}, action: "CreateUser"},
	"iam get-user":    {options: user, action: "GetUser"},
	"iam delete-user": {options: user, needs: []string{"--user-name"}, action: "DeleteUser"},
	"iam update-user": {options: with(user, "--new-user-name", "NewUserName"),
		needs: []string{"--user-name"}, action: "UpdateUser"},
	"iam create-group": {options: group, needs: []string{"--group-name"}, action: "CreateGroup"},
	"iam get-group":    {options: group, needs: []string{"--group-name"}, action: "GetGroup"},
	"iam add-user-to-group": {options: with(user, "--group-name", "GroupName"),
		needs: []string{"--user-name", "--group-name"}, action: "AddUserToGroup"},
	"iam remove-user-from-group": {options: with(user, "--group-name", "GroupName"),
		needs: []string{"--user-name", "--group-name"}, action: "RemoveUserFromGroup"},
	"iam upload-ssh-public-key": {options: with(user, "--ssh-public-key-body", "SSHPublicKeyBody"),
		needs: []string{"--user-name", "--ssh-public-key-body"}, action: "UploadSSHPublicKey"},
	"iam list-ssh-public-keys": {options: user, action: "ListSSHPublicKeys"},
	"iam update-ssh-public-key": {options: with(with(user, "--ssh-public-key-id", "SSHPublicKeyId"), "--status",
		"Status"), needs: []string{"--user-name", "--ssh-public-key-id", "--status"}, action: "UpdateSSHPublicKey"},
	"iam delete-ssh-public-key": {options: with(user, "--ssh-public-key-id", "SSHPublicKeyId"),
		needs: []string{"--user-name", "--ssh-public-key-id"}, action: "DeleteSSHPublicKey"},
	"iam tag-user": {options: with(user, "--tags", "Tags"), needs: []string{"--user-name", "--tags"},
		action: "TagUser"},
	"iam untag-user": {options: with(user, "--tag-keys", "TagKeys"),
		needs: []string{"--user-name", "--tag-keys"}, action: "UntagUser"},
	"sts get-caller-identity": {action: "GetCallerIdentity"},
	"iam attach-role-policy": {options: map[string]string{"--role-name": value, "--policy-arn": value},
		needs: []string{"--role-name", "--policy-arn"}},
	"iam simulate-principal-policy": {options: map[string]string{"--policy-source-arn": value, "--action-names": value,
		"--resource-arns": value}, needs: []string{"--policy-source-arn", "--action-names"}},

	"cloudformation deploy": {
		options: map[string]string{"--stack-name": value, "--template-file": file, "--capabilities": value,
			"--parameter-overrides": value},
		needs: []string{"--stack-name", "--template-file"},
	},
	"cloudformation describe-stacks": {
		options: map[string]string{"--stack-name": value},
		answers: map[string]string{
			"Stacks[0].Outputs[?OutputKey=='InstanceProfile'].OutputValue": "nss-iam-ReaderProfile-EXAMPLE",
			"Stacks[0].Outputs[?OutputKey=='PolicyArn'].OutputValue": "" +
				"arn:aws:iam::111122223333:policy/nss-iam-ReaderPolicy-EXAMPLE",
			"Stacks[0].Outputs[?OutputKey=='BucketName'].OutputValue": "nss-iam-snapshot-example",
			"Stacks[0].Outputs[?OutputKey=='Url'].OutputValue":        "s3://nss-iam-snapshot-example/nss-iam/snapshot",
		},
	},
	"cloudformation delete-stack": {options: map[string]string{"--stack-name": value}, needs: []string{"--stack-name"}},

	"ec2 associate-iam-instance-profile": {
		options: map[string]string{"--instance-id": value, "--iam-instance-profile": value},
		needs:   []string{"--instance-id", "--iam-instance-profile"},
	},
	"ec2 run-instances": {
		options: map[string]string{"--image-id": value, "--instance-type": value, "--key-name": value,
			"--iam-instance-profile": value,
			"--metadata-options":     value, "--user-data": file, "--subnet-id": value, "--security-group-ids": value,
			"--tag-specifications": value, "--count": value},
		run: firstBoot,
	},
	"ec2 create-tags": {options: map[string]string{"--resources": value, "--tags": value},
		needs: []string{"--resources", "--tags"}},
	"ec2 get-console-output": {options: map[string]string{"--instance-id": value, "--latest": flag},
		needs: []string{"--instance-id"}},
	"ssm start-session": {options: map[string]string{"--target": value, "--document-name": value,
		"--parameters": value}, needs: []string{"--target"}},
	"ssm put-parameter": {options: map[string]string{"--name": value, "--type": value, "--value": value,
		"--overwrite": flag}, needs: []string{"--name", "--value"}, run: putParameter},
	"ssm send-command": {options: map[string]string{"--document-name": value, "--targets": value,
		"--parameters": value, "--instance-ids": value}, needs: []string{"--document-name"}},
	"s3api head-object": {options: map[string]string{"--bucket": value, "--key": value},
		needs: []string{"--bucket", "--key"}},
	"s3 cp": {options: map[string]string{"": value}},
	"s3 rm": {options: map[string]string{"": value}},
	"cloudtrail lookup-events": {options: map[string]string{"--lookup-attributes": value, "--max-results": value,
		"--start-time": value}},
}

var group = map[string]string{"--group-name": "GroupName"}

func with(options map[string]string, name, parameter string) map[string]string {
	all := map[string]string{name: parameter}
	for n, p := range options {
		all[n] = p
	}
	return all
}
