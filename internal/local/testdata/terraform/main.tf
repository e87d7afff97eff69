# Everything that docs/values.md says Terraform makes on the engine. The second
# round changes something of each resource.

terraform {
  required_providers {
    aws = {
      source = "hashicorp/aws"
    }
  }
}

provider "aws" {}

variable "round" {
  type = number
}

# ---- Secrets Manager ---------------------------------------------------------

ephemeral "aws_secretsmanager_random_password" "first" {
  password_length     = 32
  exclude_punctuation = true
}

resource "aws_secretsmanager_secret" "once" {
  name                    = "tf-once"
  description             = "Round ${var.round}"
  recovery_window_in_days = 7
  kms_key_id              = "alias/aws/secretsmanager"
  tags                    = { round = var.round, team = "shop" }
  policy = jsonencode({
    Version = "2012-10-17"
    Statement = [{
      Sid       = "Round${var.round}"
      Effect    = "Deny"
      Principal = "*"
      Action    = "secretsmanager:*"
      Resource  = "*"
      Condition = { StringNotEquals = { "aws:PrincipalAccount" = "123456789012" } }
    }]
  })
}

resource "aws_secretsmanager_secret_version" "once" {
  secret_id                = aws_secretsmanager_secret.once.id
  secret_string_wo         = ephemeral.aws_secretsmanager_random_password.first.random_password
  secret_string_wo_version = var.round
}

resource "aws_secretsmanager_secret" "kept" {
  name                    = "tf-kept"
  recovery_window_in_days = 0
}

resource "aws_secretsmanager_secret_version" "kept" {
  secret_id     = aws_secretsmanager_secret.kept.id
  secret_string = "round ${var.round}"

  lifecycle {
    ignore_changes = [secret_string]
  }
}

resource "aws_secretsmanager_secret_rotation" "kept" {
  secret_id           = aws_secretsmanager_secret.kept.id
  rotation_lambda_arn = "arn:aws:lambda:us-east-1:123456789012:function:dev-rotator"
  rotate_immediately  = false

  rotation_rules {
    schedule_expression = "rate(${10 * var.round} days)"
    duration            = "3h"
  }

  depends_on = [aws_secretsmanager_secret_version.kept]
}

resource "aws_secretsmanager_secret_policy" "kept" {
  secret_arn          = aws_secretsmanager_secret.kept.arn
  block_public_policy = true
  policy = jsonencode({
    Version = "2012-10-17"
    Statement = [{
      Effect    = "Allow"
      Principal = { AWS = "arn:aws:iam::123456789012:root" }
      Action    = var.round == 1 ? ["secretsmanager:GetSecretValue"] : ["secretsmanager:GetSecretValue", "secretsmanager:DescribeSecret"]
      Resource  = "*"
    }]
  })
}

data "aws_secretsmanager_secret" "kept" {
  name = aws_secretsmanager_secret.kept.name
}

data "aws_secretsmanager_secret_version" "kept" {
  secret_id  = aws_secretsmanager_secret.kept.id
  depends_on = [aws_secretsmanager_secret_version.kept]
}

data "aws_secretsmanager_secrets" "all" {
  filter {
    name   = "name"
    values = [aws_secretsmanager_secret.kept.name]
  }
}

data "aws_secretsmanager_random_password" "read" {}

data "aws_caller_identity" "own" {}

output "read" {
  value = join(" ", [
    data.aws_secretsmanager_secret.kept.name,
    nonsensitive(data.aws_secretsmanager_secret_version.kept.secret_string),
    length(data.aws_secretsmanager_secrets.all.names),
    data.aws_caller_identity.own.account_id,
  ])
}

# ---- SQS and EventBridge -----------------------------------------------------

# The provider waits for half a minute after each change of a queue's attributes.
resource "aws_sqs_queue" "jobs" {
  name                       = "tf-jobs"
  visibility_timeout_seconds = 60
  receive_wait_time_seconds  = 20
  kms_master_key_id          = "alias/aws/sqs"
  tags                       = { round = var.round }
  policy = jsonencode({
    Version = "2012-10-17"
    Statement = [{
      Effect    = "Allow"
      Principal = { Service = "events.amazonaws.com" }
      Action    = "sqs:SendMessage"
      Resource  = "arn:aws:sqs:us-east-1:123456789012:tf-jobs"
    }]
  })
}

resource "aws_cloudwatch_event_bus" "own" {
  name = "tf-bus"
  tags = { round = var.round }
}

resource "aws_cloudwatch_event_rule" "own" {
  name           = "tf-own"
  description    = "Round ${var.round}"
  event_bus_name = aws_cloudwatch_event_bus.own.name
  event_pattern  = jsonencode({ source = ["shop"] })
  state          = var.round == 1 ? "DISABLED" : "ENABLED"
}

resource "aws_cloudwatch_event_target" "own" {
  rule           = aws_cloudwatch_event_rule.own.name
  event_bus_name = aws_cloudwatch_event_bus.own.name
  arn            = aws_sqs_queue.jobs.arn

  dead_letter_config {
    arn = aws_sqs_queue.jobs.arn
  }

  retry_policy {
    maximum_event_age_in_seconds = 3600
    maximum_retry_attempts       = var.round
  }

  input_transformer {
    input_paths    = { name = "$.detail.name" }
    input_template = "{\"secret\": <name>}"
  }
}

resource "aws_cloudwatch_event_rule" "nightly" {
  name                = "tf-nightly"
  schedule_expression = "cron(0 ${var.round} * * ? *)"
  state               = "DISABLED"
}

resource "aws_cloudwatch_event_target" "nightly" {
  rule = aws_cloudwatch_event_rule.nightly.name
  arn  = aws_lambda_function.mine.arn
}

# ---- DynamoDB ----------------------------------------------------------------

resource "aws_dynamodb_table" "leases" {
  name                        = "tf-leases"
  billing_mode                = "PAY_PER_REQUEST"
  hash_key                    = "pk"
  range_key                   = "sk"
  deletion_protection_enabled = var.round == 1
  tags                        = { round = var.round }

  attribute {
    name = "pk"
    type = "S"
  }

  attribute {
    name = "sk"
    type = "S"
  }

  ttl {
    attribute_name = "expires"
    enabled        = true
  }

  point_in_time_recovery {
    enabled = var.round == 1
  }

  server_side_encryption {
    enabled = true
  }
}

resource "aws_dynamodb_table" "plain" {
  name           = "tf-plain"
  read_capacity  = var.round
  write_capacity = 1
  hash_key       = "pk"

  attribute {
    name = "pk"
    type = "S"
  }
}

# ---- Lambda ------------------------------------------------------------------

resource "aws_lambda_function" "mine" {
  function_name    = "tf-mine"
  role             = "arn:aws:iam::123456789012:role/tf-mine"
  runtime          = "provided.al2023"
  handler          = "bootstrap"
  architectures    = ["arm64"]
  filename         = "${path.module}/function.zip"
  source_code_hash = filebase64sha256("${path.module}/function.zip")
  timeout          = 10 * var.round
  tags             = { round = var.round }

  environment {
    variables = { ROUND = var.round }
  }

  dead_letter_config {
    target_arn = aws_sqs_queue.jobs.arn
  }
}

resource "aws_lambda_permission" "events" {
  statement_id  = "events"
  action        = "lambda:InvokeFunction"
  function_name = aws_lambda_function.mine.function_name
  principal     = "events.amazonaws.com"
  source_arn    = aws_cloudwatch_event_rule.nightly.arn
}

resource "aws_lambda_event_source_mapping" "jobs" {
  event_source_arn        = aws_sqs_queue.jobs.arn
  function_name           = aws_lambda_function.mine.arn
  batch_size              = 5 * var.round
  function_response_types = ["ReportBatchItemFailures"]
}

resource "aws_lambda_function_event_invoke_config" "mine" {
  function_name                = aws_lambda_function.mine.function_name
  maximum_event_age_in_seconds = 60 * var.round
  maximum_retry_attempts       = 0
}

# ---- CloudFormation and S3 ---------------------------------------------------

resource "aws_cloudformation_stack" "two" {
  name       = "tf-two"
  parameters = { About = "round ${var.round}" }
  tags       = { round = var.round }

  template_body = <<-YAML
    Parameters:
      About: {Type: String}
    Resources:
      Secret:
        Type: AWS::SecretsManager::Secret
        Properties: {Name: tf-stack, Description: !Ref About}
    Outputs:
      Arn: {Value: !Ref Secret}
  YAML
}

resource "aws_s3_bucket" "own" {
  bucket = "tf-bucket"
}
