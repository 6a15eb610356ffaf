package aws

// The words that the templates may use. They come from AWS's references: the
// CloudFormation resource types, and the actions, resource types and condition
// keys of the Service Authorization Reference. What the templates do not use
// is left out on purpose, so that a new word is a decision.

// A shape is the names that a property may have below it; nil is a value, of
// whatever kind, and left to AWS.
type shape map[string]shape

type resourceType struct {
	properties shape
	attributes []string // of GetAtt
}

// policyShape is a policy document, which is read as one.
var policyShape = shape{"policy": {}}

var types = map[string]resourceType{
	"AWS::IAM::ManagedPolicy":   {shape{"Description": nil, "PolicyDocument": policyShape}, nil},
	"AWS::IAM::InstanceProfile": {shape{"Roles": nil}, []string{"Arn"}},
	"AWS::IAM::Role": {shape{
		"AssumeRolePolicyDocument": policyShape, "ManagedPolicyArns": nil,
		"Policies": {"PolicyName": nil, "PolicyDocument": policyShape},
	}, []string{"Arn", "RoleId"}},
	"AWS::KMS::Key": {shape{"Description": nil, "EnableKeyRotation": nil, "KeyPolicy": policyShape},
		[]string{"Arn", "KeyId"}},
	"AWS::S3::Bucket": {shape{
		"PublicAccessBlockConfiguration": {"BlockPublicAcls": nil, "BlockPublicPolicy": nil, "IgnorePublicAcls": nil,
			"RestrictPublicBuckets": nil},
		"OwnershipControls":       {"Rules": {"ObjectOwnership": nil}},
		"VersioningConfiguration": {"Status": nil},
		"LifecycleConfiguration": {"Rules": {
			"Id": nil, "Status": nil,
			"NoncurrentVersionExpiration":    {"NoncurrentDays": nil},
			"AbortIncompleteMultipartUpload": {"DaysAfterInitiation": nil},
		}},
		"BucketEncryption": {"ServerSideEncryptionConfiguration": {
			"ServerSideEncryptionByDefault": {"SSEAlgorithm": nil, "KMSMasterKeyID": nil}, "BucketKeyEnabled": nil,
		}},
		"NotificationConfiguration": {"EventBridgeConfiguration": {"EventBridgeEnabled": nil}},
	}, []string{"Arn", "DomainName", "RegionalDomainName"}},
	"AWS::EC2::VPCEndpoint": {shape{"VpcEndpointType": nil, "VpcId": nil, "RouteTableIds": nil,
		"ServiceName": nil}, nil},
	"AWS::S3::BucketPolicy":            {shape{"Bucket": nil, "PolicyDocument": policyShape}, nil},
	"AWS::SSM::Document":               {shape{"DocumentType": nil, "Content": nil}, nil},
	"AWS::StepFunctions::StateMachine": {shape{"RoleArn": nil, "DefinitionString": nil}, []string{"Arn", "Name"}},
	"AWS::CloudWatch::Alarm": {shape{
		"AlarmDescription": nil, "Metrics": {"Id": nil, "Expression": nil, "Period": nil, "ReturnData": nil},
		"ComparisonOperator": nil, "Threshold": nil, "EvaluationPeriods": nil, "TreatMissingData": nil,
		"AlarmActions": nil, "OKActions": nil,
	}, []string{"Arn"}},
	"AWS::Events::Rule": {shape{
		"Description": nil, "EventPattern": nil,
		"Targets": {"Id": nil, "Arn": nil, "RoleArn": nil, "Input": nil},
	}, []string{"Arn"}},
}

var pseudo = []string{"AWS::AccountId", "AWS::Region", "AWS::Partition", "AWS::NoValue", "AWS::StackName",
	"AWS::URLSuffix"}

// actions are what the programs call, and whether IAM knows no resource for
// the action, so that "*" is all there is.
var actions = map[string]bool{
	"iam:GetAccountAuthorizationDetails": true,
	"iam:ListUsers":                      true,
	"iam:ListGroups":                     true,
	"ec2:DescribeTags":                   true,
	"iam:GetGroup":                       false,
	"iam:GetUser":                        false,
	"iam:ListGroupsForUser":              false,
	"iam:ListUserTags":                   false,
	"iam:ListSSHPublicKeys":              false,
	"iam:GetSSHPublicKey":                false,
	"identitystore:ListUsers":            false,
	"identitystore:ListGroups":           false,
	"identitystore:ListGroupMemberships": false,
	"identitystore:DescribeUser":         false,
	"identitystore:IsMemberInGroups":     false,
	"s3:GetObject":                       false,
	"s3:PutObject":                       false,
	"s3:ListBucket":                      false,
	"s3:DeleteObject":                    false,
	"s3:DeleteObjectVersion":             false,
	"s3:PutBucketPolicy":                 false,
	"s3:DeleteBucketPolicy":              false,
	"s3:DeleteBucket":                    false,
	"s3:PutBucketVersioning":             false,
	"s3:PutLifecycleConfiguration":       false,
	"kms:Decrypt":                        false,
	"kms:GenerateDataKey":                false,
	"ssm:GetParameter":                   false,
	"ssm:SendCommand":                    false,
	"states:StartExecution":              false,
	"events:PutEvents":                   false,
	"sts:AssumeRole":                     false,
}

// conditionKeys by operator.
var conditionKeys = map[string][]string{
	"Bool":            {"aws:SecureTransport"},
	"ArnNotEquals":    {"aws:PrincipalArn"},
	"StringNotEquals": {"aws:SourceVpce"},
	"StringEquals": {"aws:PrincipalOrgID", "aws:SourceAccount", "kms:ViaService", "s3:prefix",
		"ssm:resourceTag/nss-iam"},
	"StringLike": {"kms:ViaService"},
}

// iamEvents are the names of the API calls that change what nss-iam serves.
var iamEvents = []string{
	"CreateUser", "DeleteUser", "UpdateUser", "AddUserToGroup", "RemoveUserFromGroup",
	"CreateGroup", "DeleteGroup", "UpdateGroup", "UploadSSHPublicKey", "UpdateSSHPublicKey",
	"DeleteSSHPublicKey", "TagUser", "UntagUser",
}
