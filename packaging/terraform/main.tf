# Everything of nss-iam that lives in AWS. The module stacks the templates of
# packaging/aws, so that each permission is written, and tested, in one place;
# Terraform keeps the stacks, their parameters and their outputs.

terraform {
  required_version = ">= 1.3"

  required_providers {
    aws = {
      source                = "hashicorp/aws"
      version               = ">= 5.0"
      configuration_aliases = [aws, aws.us_east_1]
    }
  }
}

data "aws_region" "here" {}

locals {
  templates = "${path.module}/../aws"
  push      = var.snapshot && var.push

  # IAM's events exist in us-east-1 only.
  forward = local.push && data.aws_region.here.name != "us-east-1"
}

# For hosts that ask IAM themselves: source.kind = "iam".
resource "aws_cloudformation_stack" "reader" {
  count = var.reader ? 1 : 0

  name          = "${var.name}-reader"
  template_body = file("${local.templates}/direct-reader.yaml")
  capabilities  = ["CAPABILITY_IAM"]
  tags          = var.tags

  parameters = {
    UserPath        = var.user_path
    AllUsers        = var.all_users ? "yes" : "no"
    PublishedGroups = var.published_groups ? "yes" : "no"
    UserTags        = var.user_tags ? "yes" : "no"
    InstanceTags    = var.instance_tags ? "yes" : "no"
    Bulk            = var.bulk ? "yes" : "no"
  }
}

# For a fleet: a bucket, its publishers and the hosts that read it.
resource "aws_cloudformation_stack" "snapshot" {
  count = var.snapshot ? 1 : 0

  name          = "${var.name}-snapshot"
  template_body = file("${local.templates}/snapshot.yaml")
  capabilities  = ["CAPABILITY_IAM"]
  tags          = var.tags

  parameters = {
    ObjectKey        = var.object_key
    SigningParameter = var.signing_parameter
    OrganizationId   = var.organization_id
    Encryption       = var.kms ? "kms" : "s3"
    Push             = var.push ? "yes" : "no"
    Administrator    = var.administrator
    VpcId            = var.vpc_id
    RouteTableIds    = join(",", var.route_table_ids)
    BindTo           = var.bind_to
  }
}

# Changes reach hosts in seconds instead of at the next refresh.
resource "aws_cloudformation_stack" "push" {
  count = local.push ? 1 : 0

  name          = "${var.name}-push"
  template_body = file("${local.templates}/push.yaml")
  capabilities  = ["CAPABILITY_IAM"]
  tags          = var.tags

  parameters = {
    Bucket    = aws_cloudformation_stack.snapshot[0].outputs["BucketName"]
    ObjectKey = var.object_key
  }
}

resource "aws_cloudformation_stack" "forward" {
  count    = local.forward ? 1 : 0
  provider = aws.us_east_1

  name          = "${var.name}-push-us-east-1"
  template_body = file("${local.templates}/push-us-east-1.yaml")
  capabilities  = ["CAPABILITY_IAM"]
  tags          = var.tags

  parameters = {
    Region = data.aws_region.here.name
  }
}
