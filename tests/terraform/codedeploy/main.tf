# Services of each deployment controller, and CodeDeploy for one of them.
data "aws_vpc" "default" {
  default = true
}

data "aws_subnets" "default" {
  filter {
    name   = "vpc-id"
    values = [data.aws_vpc.default.id]
  }
  filter {
    name   = "availability-zone"
    values = ["us-east-1a", "us-east-1b"]
  }
}

resource "aws_cloudwatch_log_group" "app" {
  name              = "/ecs/app"
  retention_in_days = var.changed ? 14 : 7
}

resource "aws_ecr_repository" "app" {
  name                 = "app"
  image_tag_mutability = "MUTABLE"
  force_delete         = true
}

resource "aws_ecs_cluster" "this" {
  name = "tf"
  setting {
    name  = "containerInsights"
    value = "disabled"
  }
}

resource "aws_ecs_cluster_capacity_providers" "this" {
  cluster_name       = aws_ecs_cluster.this.name
  capacity_providers = ["FARGATE", "FARGATE_SPOT"]
  default_capacity_provider_strategy {
    capacity_provider = "FARGATE"
    weight            = var.changed ? 2 : 1
  }
}

resource "aws_ecs_task_definition" "app" {
  family                   = "app"
  requires_compatibilities = ["FARGATE"]
  network_mode             = "awsvpc"
  cpu                      = 256
  memory                   = 512
  execution_role_arn       = "arn:aws:iam::000000000000:role/execution"
  container_definitions = jsonencode([{
    name         = "app"
    image        = "${aws_ecr_repository.app.repository_url}:1"
    essential    = true
    portMappings = [{ containerPort = 80 }]
    environment  = [{ name = "A", value = var.changed ? "2" : "1" }]
    logConfiguration = {
      logDriver = "awslogs"
      options = {
        awslogs-group         = aws_cloudwatch_log_group.app.name
        awslogs-region        = "us-east-1"
        awslogs-stream-prefix = "app"
      }
    }
  }])
}

resource "aws_lb" "this" {
  name     = "blue-green"
  internal = true
  subnets  = data.aws_subnets.default.ids
}

resource "aws_lb_target_group" "app" {
  for_each    = toset(["blue", "green", "rolling"])
  name        = each.key
  port        = 80
  protocol    = "HTTP"
  target_type = "ip"
  vpc_id      = data.aws_vpc.default.id
}

resource "aws_lb_listener" "app" {
  for_each          = { blue = 80, rolling = 81 }
  load_balancer_arn = aws_lb.this.arn
  port              = each.value
  protocol          = "HTTP"
  default_action {
    type             = "forward"
    target_group_arn = aws_lb_target_group.app[each.key].arn
  }
  lifecycle {
    ignore_changes = [default_action]
  }
}

resource "aws_ecs_service" "rolling" {
  name            = "rolling"
  cluster         = aws_ecs_cluster.this.id
  task_definition = aws_ecs_task_definition.app.arn
  desired_count   = 0
  capacity_provider_strategy {
    capacity_provider = "FARGATE"
    weight            = 1
  }
  deployment_circuit_breaker {
    enable   = true
    rollback = true
  }
  deployment_maximum_percent         = 200
  deployment_minimum_healthy_percent = var.changed ? 50 : 100
  network_configuration {
    subnets = data.aws_subnets.default.ids
  }
  load_balancer {
    target_group_arn = aws_lb_target_group.app["rolling"].arn
    container_name   = "app"
    container_port   = 80
  }
  depends_on = [aws_lb_listener.app, aws_ecs_cluster_capacity_providers.this]
}

resource "aws_ecs_service" "default_strategy" {
  name            = "default-strategy"
  cluster         = aws_ecs_cluster.this.id
  task_definition = aws_ecs_task_definition.app.arn
  desired_count   = 0
  network_configuration {
    subnets          = data.aws_subnets.default.ids
    assign_public_ip = true
  }
  depends_on = [aws_ecs_cluster_capacity_providers.this]
  lifecycle {
    ignore_changes = [capacity_provider_strategy]
  }
}

resource "aws_ecs_service" "blue_green" {
  name            = "blue-green"
  cluster         = aws_ecs_cluster.this.id
  task_definition = aws_ecs_task_definition.app.arn
  desired_count   = 0
  launch_type     = "FARGATE"
  deployment_controller {
    type = "CODE_DEPLOY"
  }
  deployment_circuit_breaker {
    enable   = false
    rollback = false
  }
  network_configuration {
    subnets = data.aws_subnets.default.ids
  }
  load_balancer {
    target_group_arn = aws_lb_target_group.app["blue"].arn
    container_name   = "app"
    container_port   = 80
  }
  depends_on = [aws_lb_listener.app]
  lifecycle {
    ignore_changes = [task_definition, load_balancer]
  }
}

resource "aws_ecs_service" "external" {
  name          = "external"
  cluster       = aws_ecs_cluster.this.id
  desired_count = 0
  deployment_controller {
    type = "EXTERNAL"
  }
}

resource "aws_codedeploy_app" "app" {
  compute_platform = "ECS"
  name             = "app"
}

resource "aws_codedeploy_deployment_config" "slow" {
  deployment_config_name = "slow"
  compute_platform       = "ECS"
  traffic_routing_config {
    type = "TimeBasedLinear"
    time_based_linear {
      interval   = 1
      percentage = 50
    }
  }
}

resource "aws_codedeploy_deployment_group" "app" {
  app_name               = aws_codedeploy_app.app.name
  deployment_group_name  = "app"
  deployment_config_name = var.changed ? aws_codedeploy_deployment_config.slow.id : "CodeDeployDefault.ECSAllAtOnce"
  service_role_arn       = "arn:aws:iam::000000000000:role/codedeploy"
  auto_rollback_configuration {
    enabled = true
    events  = ["DEPLOYMENT_FAILURE"]
  }
  blue_green_deployment_config {
    deployment_ready_option {
      action_on_timeout = "CONTINUE_DEPLOYMENT"
    }
    terminate_blue_instances_on_deployment_success {
      action                           = "TERMINATE"
      termination_wait_time_in_minutes = var.changed ? 1 : 5
    }
  }
  deployment_style {
    deployment_option = "WITH_TRAFFIC_CONTROL"
    deployment_type   = "BLUE_GREEN"
  }
  ecs_service {
    cluster_name = aws_ecs_cluster.this.name
    service_name = aws_ecs_service.blue_green.name
  }
  load_balancer_info {
    target_group_pair_info {
      prod_traffic_route {
        listener_arns = [aws_lb_listener.app["blue"].arn]
      }
      target_group {
        name = aws_lb_target_group.app["blue"].name
      }
      target_group {
        name = aws_lb_target_group.app["green"].name
      }
    }
  }
}
