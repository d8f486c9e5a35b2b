# What the role may do and who may take it, by plans against a stand-in for AWS.
mock_provider "aws" {
  mock_data "aws_caller_identity" {
    defaults = { account_id = "111122223333" }
  }
  mock_data "aws_partition" {
    defaults = { partition = "aws" }
  }
}

variables {
  region     = "eu-west-1"
  identities = ["example.com", "app@example.org"]
}

run "everything" {
  command = plan
  variables {
    configuration_sets = ["transactional"]
    ecs                = true
    ec2                = true
    eks_pod_identity   = { cluster_name = "production", namespace = "sesgate", service_account = "relay" }
    irsa = {
      oidc_provider_arn = "arn:aws:iam::111122223333:oidc-provider/oidc.eks.eu-west-1.amazonaws.com/id/EXAMPLE"
      namespace         = "sesgate"
      service_account   = "relay"
    }
  }
  assert {
    condition = jsondecode(aws_iam_role_policy.send.policy).Statement == [
      {
        Sid    = "Send"
        Effect = "Allow"
        Action = ["ses:SendEmail", "ses:SendRawEmail"]
        Resource = [
          "arn:aws:ses:eu-west-1:111122223333:identity/example.com",
          "arn:aws:ses:eu-west-1:111122223333:identity/app@example.org",
          "arn:aws:ses:eu-west-1:111122223333:configuration-set/transactional",
        ]
      },
      { Sid = "Look", Effect = "Allow", Action = ["ses:GetAccount", "ses:ListEmailIdentities"], Resource = ["*"] },
      {
        Sid      = "LookAtIdentities"
        Effect   = "Allow"
        Action   = ["ses:GetEmailIdentity"]
        Resource = ["arn:aws:ses:eu-west-1:111122223333:identity/*"]
      },
    ]
    error_message = "The policy is ${aws_iam_role_policy.send.policy}"
  }
  assert {
    condition = (
      [for it in jsondecode(aws_iam_role.sesgate.assume_role_policy).Statement : it.Sid] ==
      ["Ecs", "EksPodIdentity", "Irsa", "Ec2"]
    )
    error_message = "The trust is ${aws_iam_role.sesgate.assume_role_policy}"
  }
  assert {
    condition = jsondecode(aws_iam_role.sesgate.assume_role_policy).Statement[2].Condition.StringEquals == {
      "oidc.eks.eu-west-1.amazonaws.com/id/EXAMPLE:aud" = "sts.amazonaws.com"
      "oidc.eks.eu-west-1.amazonaws.com/id/EXAMPLE:sub" = "system:serviceaccount:sesgate:relay"
    }
    error_message = "IRSA is not bound to the service account."
  }
  assert {
    condition = (
      length(aws_iam_instance_profile.sesgate) == 1 && length(aws_eks_pod_identity_association.sesgate) == 1
    )
    error_message = "An instance profile and an association should be made."
  }
}

run "the_least" {
  command = plan
  variables {
    ecs             = true
    read_account    = false
    read_identities = false
  }
  assert {
    condition     = [for it in jsondecode(aws_iam_role_policy.send.policy).Statement : it.Sid] == ["Send"]
    error_message = "Nothing but sending should be allowed."
  }
  assert {
    condition = (
      length(aws_iam_instance_profile.sesgate) == 0 && length(aws_eks_pod_identity_association.sesgate) == 0
    )
    error_message = "Neither an instance profile nor an association should be made."
  }
}

run "nobody_may_take_it" {
  command         = plan
  expect_failures = [aws_iam_role.sesgate]
}

run "no_identity" {
  command = plan
  variables {
    ecs        = true
    identities = []
  }
  expect_failures = [var.identities]
}

run "an_arn_as_identity" {
  command = plan
  variables {
    ecs        = true
    identities = ["arn:aws:ses:eu-west-1:111122223333:identity/example.com"]
  }
  expect_failures = [var.identities]
}
