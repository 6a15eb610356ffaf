variable "name" {
  description = "Begins the names of the stacks."
  type        = string
  default     = "nss-iam"
}

variable "tags" {
  description = "Tags of the stacks and of what is in them."
  type        = map(string)
  default     = {}
}

variable "reader" {
  description = "Make the role of hosts that ask IAM themselves. For tens of hosts: IAM throttles per account."
  type        = bool
  default     = true
}

variable "user_path" {
  description = "Only users of this IAM path have their keys read, as /staff/."
  type        = string
  default     = "/"
}

variable "all_users" {
  description = "Needed for login.all_users. Discloses the names of all users."
  type        = bool
  default     = false
}

variable "published_groups" {
  description = "Needed for accounts.publish_groups. Discloses the names of all groups."
  type        = bool
  default     = false
}

variable "user_tags" {
  description = "Needed for keys.tag_prefix, which takes keys from users' tags."
  type        = bool
  default     = false
}

variable "instance_tags" {
  description = "Needed for login.groups_tag on instances whose metadata service does not show tags."
  type        = bool
  default     = false
}

variable "bulk" {
  description = "Needed for source.bulk. Discloses every policy in the account; better kept to publishers."
  type        = bool
  default     = false
}

variable "snapshot" {
  description = "Make the bucket of a fleet's snapshot, and the roles of publishers and hosts."
  type        = bool
  default     = false
}

variable "object_key" {
  description = "The snapshot's name in the bucket."
  type        = string
  default     = "nss-iam/snapshot"
}

variable "signing_parameter" {
  description = "The SSM parameter (SecureString) with the signing key. It is made by a person, never by Terraform, whose state would hold it."
  type        = string
  default     = "/nss-iam/signing-key"
}

variable "organization_id" {
  description = "Lets hosts in all accounts of this AWS Organization read the snapshot."
  type        = string
  default     = ""
}

variable "kms" {
  description = "Encrypt the bucket with a KMS key of its own."
  type        = bool
  default     = false
}

variable "administrator" {
  description = "With snapshot: ARN of the role that may change the bucket's policy and remove versions, the one that Terraform runs as."
  type        = string
  default     = ""
}

variable "vpc_id" {
  description = "A VPC that gets a free gateway endpoint for S3, so that hosts read the snapshot past the NAT gateway."
  type        = string
  default     = ""
}

variable "route_table_ids" {
  description = "The route tables of the hosts' subnets in vpc_id."
  type        = list(string)
  default     = []
}

variable "bind_to" {
  description = "Hosts read the snapshot through this endpoint only: its id, or own for the one of vpc_id."
  type        = string
  default     = ""
}

variable "push" {
  description = "Tell publishers and hosts of changes in seconds. Needs snapshot."
  type        = bool
  default     = false
}
