//! Listeners as answers show them.

use neargate_aws_api::elbv2::types::*;

use crate::elbv2::listener_records::ListenerRecord;
use crate::elbv2::records::Protocol;
use crate::elbv2::rules::actions;

pub fn view(record: &ListenerRecord) -> Listener {
    let certificates = record.default_certificate.iter().map(|arn| Certificate {
        certificate_arn: Some(arn.clone()),
        is_default: None,
    });
    let encrypted = record.protocol.is_encrypted();
    Listener {
        alpn_policy: record.alpn_policy.clone().map(|policy| vec![policy]),
        certificates: encrypted.then(|| certificates.collect()),
        default_actions: Some(actions::view(&record.default_action)),
        listener_arn: Some(record.arn()),
        load_balancer_arn: Some(record.load_balancer_arn()),
        mutual_authentication: (record.protocol == Protocol::Https).then(|| {
            MutualAuthenticationAttributes {
                mode: Some("off".to_owned()),
                ..Default::default()
            }
        }),
        port: Some(record.port.into()),
        protocol: record.protocol.as_str().parse().ok(),
        ssl_policy: record.ssl_policy.clone(),
    }
}
