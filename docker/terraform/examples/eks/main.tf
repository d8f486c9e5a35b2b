# The role of docker/kubernetes/relay, taken by EKS Pod Identity. The add-on eks-pod-identity-agent must be
# on the cluster.
provider "aws" {
  region = "eu-west-1"
}

module "sesgate" {
  source = "../.."

  region             = "eu-west-1"
  identities         = ["example.com"]
  configuration_sets = ["transactional"]

  eks_pod_identity = {
    cluster_name    = "production"
    namespace       = "sesgate"
    service_account = "sesgate"
  }
}

output "role_arn" {
  value = module.sesgate.role_arn
}
