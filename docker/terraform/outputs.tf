output "role_arn" {
  description = "ARN of the role: the task role of ECS, or the annotation eks.amazonaws.com/role-arn of IRSA."
  value       = aws_iam_role.sesgate.arn
}

output "role_name" {
  description = "Name of the role."
  value       = aws_iam_role.sesgate.name
}

output "instance_profile" {
  description = "Name of the instance profile, where `ec2` is set."
  value       = one(aws_iam_instance_profile.sesgate[*].name)
}

output "policy" {
  description = "What the role may do, as JSON: `sesgate policy lint` reads it."
  value       = aws_iam_role_policy.send.policy
}
