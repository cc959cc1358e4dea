//! Target groups.

mod attributes;
mod create;
mod delete;
mod describe;
mod health_check;
mod modify;
mod view;

pub use attributes::{describe as describe_attributes, modify as modify_attributes};
pub use create::create;
pub use delete::delete;
pub use describe::describe;
pub use modify::modify;

pub use super::uses::load_balancer_of;

#[cfg(test)]
pub(in crate::elbv2) mod tests {
    use neargate_domain::{Scope, Timestamp};

    use crate::elbv2::records::*;

    /// An HTTP group of addresses.
    pub fn a_group() -> TargetGroupRecord {
        TargetGroupRecord {
            scope: Scope::new("000000000000", "us-east-1"),
            name: "web".to_owned(),
            id: "0123456789abcdef".to_owned(),
            target_type: TargetType::Ip,
            protocol: Protocol::Http,
            protocol_version: Some(ProtocolVersion::Http1),
            port: 80,
            vpc_id: "vpc-1".to_owned(),
            health_check: HealthCheckRecord {
                protocol: Protocol::Http,
                port: None,
                path: Some("/".to_owned()),
                interval_secs: 30,
                timeout_secs: 5,
                healthy_threshold: 5,
                unhealthy_threshold: 2,
                matcher: Some("200".to_owned()),
            },
            attributes: Default::default(),
            tags: Tags::new(),
            created_at: Timestamp(0),
        }
    }
}
