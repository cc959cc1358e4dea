# Copied beside each stack by scripts/terraform, which gives the endpoint.
variable "endpoint" {
  type = string
}

# What the second apply changes.
variable "changed" {
  type    = bool
  default = false
}

provider "aws" {
  region                      = "us-east-1"
  skip_credentials_validation = true
  skip_metadata_api_check     = true

  endpoints {
    acm        = var.endpoint
    codedeploy = var.endpoint
    ec2        = var.endpoint
    ecr        = var.endpoint
    ecs        = var.endpoint
    elbv2      = var.endpoint
    iam        = var.endpoint
    logs       = var.endpoint
    sts        = var.endpoint
  }

  default_tags {
    tags = { Stack = "test", Empty = "" }
  }
}
