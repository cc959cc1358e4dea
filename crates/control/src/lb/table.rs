//! The table of everything that load balancers serve, from the records. Pure.

use std::collections::BTreeMap;
use std::time::Duration;

use neargate_lb_api as api;

use super::groups::{GroupContext, target_group};
use super::listeners::listener;
use super::view::View;
use crate::elbv2::records::{
    LoadBalancerKind, LoadBalancerRecord, TargetGroupRecord, TargetRecord,
};
use crate::elbv2::{attributes, keys};

/// What the table depends on beside the records.
pub struct Options<'a> {
    /// The store's revision that it is made of.
    pub version: u64,
    pub serve_on_loopback: bool,
    /// How long AWS's time is here.
    pub scaled: &'a dyn Fn(Duration) -> Duration,
}

/// Everything that the load balancers serve. Target groups that no listener refers to are left out: they get no
/// traffic and no checks.
pub fn compile(view: &View, options: &Options<'_>) -> api::Table {
    let mut listeners: BTreeMap<String, Vec<api::Listener>> = BTreeMap::new();
    let mut users: BTreeMap<&str, String> = BTreeMap::new();
    let mut certificates = BTreeMap::new();
    for (_, record) in view.listeners.values() {
        let balancer = record.load_balancer_arn();
        for group in record.target_groups() {
            users.insert(group, balancer.clone());
        }
        let compiled = listener(record);
        for arn in &compiled.certificate_arns {
            if let Some(open) = view.certificate(arn) {
                certificates.entry(arn.clone()).or_insert(open);
            }
        }
        listeners.entry(balancer).or_default().push(compiled);
    }
    let balancers: BTreeMap<String, &LoadBalancerRecord> = view
        .balancers
        .values()
        .map(|(_, record)| (record.arn(), record))
        .collect();
    let groups: Vec<api::TargetGroup> = view
        .groups
        .values()
        .filter_map(|(_, record)| {
            let user = users.get(record.arn().as_str())?;
            let context = GroupContext {
                balancer: balancers.get(user).copied(),
                balancers: &balancers,
                scaled: options.scaled,
            };
            Some(target_group(record, targets_of(view, record), &context))
        })
        .collect();
    api::Table {
        version: options.version,
        load_balancers: balancers
            .into_iter()
            .map(|(arn, record)| {
                let mut listeners = listeners.remove(&arn).unwrap_or_default();
                listeners.sort_by(|a, b| (a.port, &a.arn).cmp(&(b.port, &b.arn)));
                load_balancer(arn, record, listeners, options)
            })
            .collect(),
        target_groups: groups,
        certificates: certificates
            .into_iter()
            .map(|(arn, open)| api::Certificate {
                arn,
                certificate_chain_pem: open.material.chain_pem.clone(),
                private_key_pem: open.private_key.expose_text().to_owned(),
            })
            .collect(),
    }
}

/// The targets of a group, in the order of their keys.
fn targets_of<'a>(
    view: &'a View,
    group: &TargetGroupRecord,
) -> impl Iterator<Item = &'a TargetRecord> {
    let prefix = keys::targets(&group.scope, &group.id);
    view.targets
        .range(prefix.clone()..)
        .take_while(move |(key, _)| key.starts_with(&prefix))
        .map(|(_, (_, record))| record)
}

fn load_balancer(
    arn: String,
    record: &LoadBalancerRecord,
    listeners: Vec<api::Listener>,
    options: &Options<'_>,
) -> api::LoadBalancer {
    api::LoadBalancer {
        arn,
        full_name: record.full_name(),
        r#type: match record.kind {
            LoadBalancerKind::Application => api::LoadBalancerType::Application,
            LoadBalancerKind::Network => api::LoadBalancerType::Network,
        }
        .into(),
        dns_name: record.dns_name.clone(),
        interfaces: record
            .zones
            .iter()
            .map(|zone| api::Interface {
                netns: zone.interface_id.clone(),
                address: zone.address.to_string(),
                availability_zone: zone.zone.clone(),
            })
            .collect(),
        listeners,
        attributes: Some(load_balancer_attributes(record)),
        serve_on_loopback: options.serve_on_loopback,
    }
}

fn load_balancer_attributes(record: &LoadBalancerRecord) -> api::LoadBalancerAttributes {
    let text = |key: &str| record.attribute(key);
    let on = |key: &str| text(key) == "true";
    let number = |key: &str| text(key).parse().unwrap_or(0);
    api::LoadBalancerAttributes {
        idle_timeout_secs: number("idle_timeout.timeout_seconds"),
        client_keep_alive_secs: number("client_keep_alive.seconds"),
        http2_enabled: on("routing.http2.enabled"),
        drop_invalid_header_fields: on("routing.http.drop_invalid_header_fields.enabled"),
        preserve_host_header: on("routing.http.preserve_host_header.enabled"),
        xff_client_port: on("routing.http.xff_client_port.enabled"),
        xff_mode: match text("routing.http.xff_header_processing.mode") {
            "preserve" => api::XffMode::Preserve,
            "remove" => api::XffMode::Remove,
            _ => api::XffMode::Append,
        }
        .into(),
        tls_version_and_cipher_suite: on(
            "routing.http.x_amzn_tls_version_and_cipher_suite.enabled",
        ),
        desync_mode: match text("routing.http.desync_mitigation_mode") {
            "monitor" => api::DesyncMode::Monitor,
            "strictest" => api::DesyncMode::Strictest,
            _ => api::DesyncMode::Defensive,
        }
        .into(),
        access_logs: on("access_logs.s3.enabled").then(|| api::AccessLogs {
            bucket: text("access_logs.s3.bucket").to_owned(),
            prefix: text("access_logs.s3.prefix").to_owned(),
            account: record.scope.account.clone(),
            region: record.scope.region.clone(),
        }),
        cross_zone: on(attributes::CROSS_ZONE),
    }
}
