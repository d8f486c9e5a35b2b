# The role that sesgate runs with: it may send as the identities named, and nothing else.
#
# The SESv2 API judges raw mail as ses:SendRawEmail; ses:SendEmail is the name of the call.

data "aws_caller_identity" "current" {}
data "aws_partition" "current" {}

locals {
  account   = data.aws_caller_identity.current.account_id
  partition = data.aws_partition.current.partition
  ses       = "arn:${local.partition}:ses:${var.region}:${local.account}"

  statements = concat(
    [{
      Sid    = "Send"
      Effect = "Allow"
      Action = ["ses:SendEmail", "ses:SendRawEmail"]
      Resource = concat(
        [for name in var.identities : "${local.ses}:identity/${name}"],
        [for name in var.configuration_sets : "${local.ses}:configuration-set/${name}"],
      )
    }],
    # IAM knows no resource for these two.
    [for statement in [{
      Sid    = "Look"
      Effect = "Allow"
      Action = concat(
        var.read_account ? ["ses:GetAccount"] : [],
        var.read_identities ? ["ses:ListEmailIdentities"] : [],
      )
      Resource = ["*"]
    }] : statement if length(statement.Action) > 0],
    [for statement in [{
      Sid      = "LookAtIdentities"
      Effect   = "Allow"
      Action   = ["ses:GetEmailIdentity"]
      Resource = ["${local.ses}:identity/*"]
    }] : statement if var.read_identities],
  )

  # For tasks of this account alone.
  trust_ecs = var.ecs ? [{
    Sid       = "Ecs"
    Effect    = "Allow"
    Principal = { Service = "ecs-tasks.amazonaws.com" }
    Action    = ["sts:AssumeRole"]
    Condition = {
      StringEquals = { "aws:SourceAccount" = local.account }
      ArnLike      = { "aws:SourceArn" = "arn:${local.partition}:ecs:*:${local.account}:*" }
    }
  }] : []

  # EKS tells by tags whom it asks for.
  trust_pod_identity = var.eks_pod_identity == null ? [] : [{
    Sid       = "EksPodIdentity"
    Effect    = "Allow"
    Principal = { Service = "pods.eks.amazonaws.com" }
    Action    = ["sts:AssumeRole", "sts:TagSession"]
    Condition = {
      StringEquals = {
        "aws:RequestTag/eks-cluster-name"           = var.eks_pod_identity.cluster_name
        "aws:RequestTag/kubernetes-namespace"       = var.eks_pod_identity.namespace
        "aws:RequestTag/kubernetes-service-account" = var.eks_pod_identity.service_account
      }
    }
  }]

  issuer = var.irsa == null ? "" : split(":oidc-provider/", var.irsa.oidc_provider_arn)[1]
  trust_irsa = var.irsa == null ? [] : [{
    Sid       = "Irsa"
    Effect    = "Allow"
    Principal = { Federated = var.irsa.oidc_provider_arn }
    Action    = ["sts:AssumeRoleWithWebIdentity"]
    Condition = {
      StringEquals = {
        "${local.issuer}:aud" = "sts.amazonaws.com"
        "${local.issuer}:sub" = "system:serviceaccount:${var.irsa.namespace}:${var.irsa.service_account}"
      }
    }
  }]

  trust_ec2 = var.ec2 ? [{
    Sid       = "Ec2"
    Effect    = "Allow"
    Principal = { Service = "ec2.amazonaws.com" }
    Action    = ["sts:AssumeRole"]
  }] : []

  # As text, since the statements differ in form.
  trust = concat(
    [for statement in local.trust_ecs : jsonencode(statement)],
    [for statement in local.trust_pod_identity : jsonencode(statement)],
    [for statement in local.trust_irsa : jsonencode(statement)],
    [for statement in local.trust_ec2 : jsonencode(statement)],
  )
}

resource "aws_iam_role" "sesgate" {
  name                 = var.name
  path                 = var.path
  description          = "sesgate: sends mail through SES"
  permissions_boundary = var.permissions_boundary
  assume_role_policy   = "{\"Version\":\"2012-10-17\",\"Statement\":[${join(",", local.trust)}]}"
  tags                 = var.tags

  lifecycle {
    precondition {
      condition     = length(local.trust) > 0
      error_message = "Say who may take the role: ecs, eks_pod_identity, irsa or ec2."
    }
  }
}

resource "aws_iam_role_policy" "send" {
  name   = var.name
  role   = aws_iam_role.sesgate.name
  policy = jsonencode({ Version = "2012-10-17", Statement = local.statements })
}

resource "aws_eks_pod_identity_association" "sesgate" {
  count           = var.eks_pod_identity == null ? 0 : 1
  cluster_name    = var.eks_pod_identity.cluster_name
  namespace       = var.eks_pod_identity.namespace
  service_account = var.eks_pod_identity.service_account
  role_arn        = aws_iam_role.sesgate.arn
  tags            = var.tags
}

resource "aws_iam_instance_profile" "sesgate" {
  count = var.ec2 ? 1 : 0
  name  = var.name
  path  = var.path
  role  = aws_iam_role.sesgate.name
  tags  = var.tags
}
