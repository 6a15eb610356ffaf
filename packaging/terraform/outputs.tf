output "reader_policy_arn" {
  description = "To attach to the roles of hosts that have one already."
  value       = one(aws_cloudformation_stack.reader[*].outputs["PolicyArn"])
}

output "reader_instance_profile" {
  description = "For hosts that have none."
  value       = one(aws_cloudformation_stack.reader[*].outputs["InstanceProfile"])
}

output "snapshot_url" {
  description = "For source.url of the hosts and publish.url of the publishers."
  value       = one(aws_cloudformation_stack.snapshot[*].outputs["Url"])
}

output "publisher_instance_profile" {
  description = "Of publishers; one or several, they need not know of each other."
  value       = one(aws_cloudformation_stack.snapshot[*].outputs["PublisherProfile"])
}

output "host_policy_arn" {
  description = "To attach to the roles of hosts that read the snapshot."
  value       = one(aws_cloudformation_stack.snapshot[*].outputs["HostPolicyArn"])
}

output "host_instance_profile" {
  description = "For hosts that read the snapshot and have no role."
  value       = one(aws_cloudformation_stack.snapshot[*].outputs["HostProfile"])
}
