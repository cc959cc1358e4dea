# A network load balancer with TLS, TCP and UDP listeners.
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

resource "aws_acm_certificate" "site" {
  certificate_body = file("${path.module}/site.pem")
  private_key      = file("${path.module}/site.key")
}

resource "aws_lb" "this" {
  name                             = "nlb"
  load_balancer_type               = "network"
  internal                         = true
  subnets                          = data.aws_subnets.default.ids
  enable_cross_zone_load_balancing = var.changed
}

resource "aws_lb_target_group" "tcp" {
  name                 = "tcp"
  port                 = 80
  protocol             = "TCP"
  target_type          = "ip"
  vpc_id               = data.aws_vpc.default.id
  preserve_client_ip   = "false"
  deregistration_delay = 20
  health_check {
    protocol = var.changed ? "HTTP" : "TCP"
    path     = var.changed ? "/health" : null
  }
}

resource "aws_lb_target_group" "udp" {
  name        = "udp"
  port        = 53
  protocol    = "UDP"
  target_type = "ip"
  vpc_id      = data.aws_vpc.default.id
  health_check {
    protocol = "TCP"
    port     = "8080"
  }
}

resource "aws_lb_target_group" "tls" {
  name        = "tls"
  port        = 443
  protocol    = "TLS"
  target_type = "ip"
  vpc_id      = data.aws_vpc.default.id
}

resource "aws_lb_listener" "tcp" {
  load_balancer_arn        = aws_lb.this.arn
  port                     = 80
  protocol                 = "TCP"
  tcp_idle_timeout_seconds = var.changed ? 120 : 350
  default_action {
    type             = "forward"
    target_group_arn = aws_lb_target_group.tcp.arn
  }
}

resource "aws_lb_listener" "udp" {
  load_balancer_arn = aws_lb.this.arn
  port              = 53
  protocol          = "UDP"
  default_action {
    type             = "forward"
    target_group_arn = aws_lb_target_group.udp.arn
  }
}

resource "aws_lb_listener" "tls" {
  load_balancer_arn = aws_lb.this.arn
  port              = 443
  protocol          = "TLS"
  ssl_policy        = "ELBSecurityPolicy-TLS13-1-2-2021-06"
  certificate_arn   = aws_acm_certificate.site.arn
  alpn_policy       = var.changed ? "HTTP2Preferred" : "None"
  default_action {
    type             = "forward"
    target_group_arn = aws_lb_target_group.tls.arn
  }
}
