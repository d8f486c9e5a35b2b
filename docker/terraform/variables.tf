variable "name" {
  description = "Name of the role, of its policy and of the instance profile."
  type        = string
  default     = "sesgate"
}

variable "region" {
  description = "Region of SES: identities and configuration sets are regional."
  type        = string
}

variable "identities" {
  description = "Identities that the relay may send as: domains and addresses. In the sandbox also those of the recipients."
  type        = list(string)

  validation {
    condition     = length(var.identities) > 0
    error_message = "Without an identity the relay could send nothing."
  }
  validation {
    condition     = alltrue([for name in var.identities : !startswith(name, "arn:") && !strcontains(name, "/")])
    error_message = "Name identities as SES does, example.com or app@example.com, not by ARN."
  }
}

variable "configuration_sets" {
  description = "Configuration sets in use, the default sets of identities included."
  type        = list(string)
  default     = []
}

variable "read_account" {
  description = "Lets the relay ask for the account's rate, quota and sandbox (ses:GetAccount). Without it set `[rate]` and `sandbox`."
  type        = bool
  default     = true
}

variable "read_identities" {
  description = "Lets the relay ask for the account's identities: `source = \"ses\"` of `[identities]`."
  type        = bool
  default     = true
}

variable "ecs" {
  description = "Whether tasks of ECS may take the role, as their task role."
  type        = bool
  default     = false
}

variable "eks_pod_identity" {
  description = "The service account that takes the role by EKS Pod Identity; the association is made too."
  type = object({
    cluster_name    = string
    namespace       = string
    service_account = string
  })
  default = null
}

variable "irsa" {
  description = "The service account that takes the role by IRSA, and the OIDC provider of its cluster."
  type = object({
    oidc_provider_arn = string
    namespace         = string
    service_account   = string
  })
  default = null

  validation {
    condition     = var.irsa == null || can(regex("^arn:[a-z-]+:iam::[0-9]{12}:oidc-provider/.+$", var.irsa.oidc_provider_arn))
    error_message = "oidc_provider_arn looks like arn:aws:iam::111122223333:oidc-provider/oidc.eks.eu-west-1.amazonaws.com/id/EXAMPLE."
  }
}

variable "ec2" {
  description = "Whether instances of EC2 may take the role; an instance profile is made."
  type        = bool
  default     = false
}

variable "path" {
  description = "Path of the role."
  type        = string
  default     = "/"
}

variable "permissions_boundary" {
  description = "ARN of a permissions boundary for the role."
  type        = string
  default     = null
}

variable "tags" {
  description = "Tags of what is made."
  type        = map(string)
  default     = {}
}
