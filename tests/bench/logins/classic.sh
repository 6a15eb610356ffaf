#!/bin/sh
# classic.sh NAME - the public keys of an IAM user, as AuthorizedKeysCommand
# scripts on the AWS CLI give them: one call that lists the key ids, and one for
# each active key. Written for comparison only: no such script is installed.
export AWS_ACCESS_KEY_ID=@ACCESS@ AWS_SECRET_ACCESS_KEY=@SECRET@ AWS_DEFAULT_REGION=us-east-1
iam() { /usr/bin/aws --endpoint-url @URL@ iam "$@" --output text; }
# shellcheck disable=SC2016 # the quotes are JMESPath's
ids=$(iam list-ssh-public-keys --user-name "$1" --query 'SSHPublicKeys[?Status==`Active`].SSHPublicKeyId') || exit 1
for id in $ids; do
	iam get-ssh-public-key --user-name "$1" --ssh-public-key-id "$id" --encoding SSH --query SSHPublicKey.SSHPublicKeyBody
done
