//! A table from a file, for benches, tests, and whoever wants nothing but the load balancer (`neargate lb --config`).
//!
//! ```json
//! {"listeners": [{"address": "127.0.0.1", "port": 8080, "protocol": "HTTP", "targets": ["127.0.0.1:9000"],
//!   "rules": [{"path": "/a/*", "targets": ["127.0.0.1:9001"]}, {"path": "/b", "fixed": "hello"}],
//!   "certificate": "cert.pem", "private_key": "key.pem", "idle_timeout_secs": 60}]}
//! ```
//!
//! Targets are taken as healthy. Everything else has AWS's defaults.

use neargate_lb_api as api;
use serde::Deserialize;
use std::io;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct StaticTable {
    listeners: Vec<StaticListener>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct StaticListener {
    #[serde(default = "any_address")]
    address: String,
    #[serde(default)]
    netns: String,
    port: u16,
    #[serde(default)]
    protocol: StaticProtocol,
    #[serde(default)]
    targets: Vec<SocketAddr>,
    #[serde(default)]
    rules: Vec<StaticRule>,
    certificate: Option<PathBuf>,
    private_key: Option<PathBuf>,
    #[serde(default = "default_idle_timeout")]
    idle_timeout_secs: u32,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct StaticRule {
    path: Option<String>,
    host: Option<String>,
    #[serde(default)]
    targets: Vec<SocketAddr>,
    fixed: Option<String>,
}

#[derive(Clone, Copy, Debug, Default, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
enum StaticProtocol {
    #[default]
    Http,
    Https,
    Tcp,
    Tls,
    Udp,
}

#[derive(Debug, thiserror::Error)]
pub enum StaticTableError {
    #[error("{path}: {source}")]
    File {
        path: PathBuf,
        #[source]
        source: io::Error,
    },
    #[error("{path}: {source}")]
    Json {
        path: PathBuf,
        #[source]
        source: serde_json::Error,
    },
}

fn any_address() -> String {
    "127.0.0.1".to_owned()
}

fn default_idle_timeout() -> u32 {
    60
}

/// Reads a file and makes version 1 of a table of it.
pub fn read(path: &Path) -> Result<api::Table, StaticTableError> {
    let text = read_file(path)?;
    let parsed: StaticTable =
        serde_json::from_str(&text).map_err(|source| StaticTableError::Json {
            path: path.to_owned(),
            source,
        })?;
    parsed.into_table()
}

fn read_file(path: &Path) -> Result<String, StaticTableError> {
    std::fs::read_to_string(path).map_err(|source| StaticTableError::File {
        path: path.to_owned(),
        source,
    })
}

impl StaticTable {
    fn into_table(self) -> Result<api::Table, StaticTableError> {
        let mut table = api::Table {
            version: 1,
            ..api::Table::default()
        };
        for (index, listener) in self.listeners.into_iter().enumerate() {
            listener.add_to(&mut table, index)?;
        }
        Ok(table)
    }
}

impl StaticListener {
    fn add_to(self, table: &mut api::Table, index: usize) -> Result<(), StaticTableError> {
        let protocol = match self.protocol {
            StaticProtocol::Http => api::Protocol::Http,
            StaticProtocol::Https => api::Protocol::Https,
            StaticProtocol::Tcp => api::Protocol::Tcp,
            StaticProtocol::Tls => api::Protocol::Tls,
            StaticProtocol::Udp => api::Protocol::Udp,
        };
        let is_application = matches!(protocol, api::Protocol::Http | api::Protocol::Https);
        let group_protocol = match protocol {
            api::Protocol::Https => api::Protocol::Http,
            api::Protocol::Tls => api::Protocol::Tcp,
            other => other,
        };
        let name = format!("static-{index}");
        let mut rules = Vec::with_capacity(self.rules.len() + 1);
        for (rule_index, rule) in self.rules.into_iter().enumerate() {
            let arn = format!("{name}/rule-{rule_index}");
            rules.push(rule.into_rule(table, arn, rule_index as u32 + 1, group_protocol));
        }
        let default = StaticRule {
            path: None,
            host: None,
            targets: self.targets,
            fixed: None,
        };
        rules.push(default.into_rule(table, format!("{name}/default"), 0, group_protocol));
        let mut certificate_arns = Vec::new();
        if let (Some(certificate), Some(key)) = (&self.certificate, &self.private_key) {
            let arn = format!("{name}/certificate");
            table.certificates.push(api::Certificate {
                arn: arn.clone(),
                certificate_chain_pem: read_file(certificate)?,
                private_key_pem: read_file(key)?,
            });
            certificate_arns.push(arn);
        }
        let kind = match is_application {
            true => api::LoadBalancerType::Application,
            false => api::LoadBalancerType::Network,
        };
        table.load_balancers.push(api::LoadBalancer {
            arn: name.clone(),
            full_name: format!("app/{name}/0000000000000000"),
            r#type: kind.into(),
            dns_name: name.clone(),
            interfaces: vec![api::Interface {
                netns: self.netns,
                address: self.address,
                availability_zone: "static".to_owned(),
            }],
            listeners: vec![api::Listener {
                arn: format!("{name}/listener"),
                port: self.port.into(),
                protocol: protocol.into(),
                certificate_arns,
                ssl_policy: "ELBSecurityPolicy-TLS13-1-2-2021-06".to_owned(),
                alpn_policy: "None".to_owned(),
                rules,
                server_header_enabled: true,
                tcp_idle_timeout_secs: 350,
                ..api::Listener::default()
            }],
            attributes: Some(api::LoadBalancerAttributes {
                idle_timeout_secs: self.idle_timeout_secs,
                client_keep_alive_secs: 3600,
                http2_enabled: true,
                cross_zone: true,
                ..api::LoadBalancerAttributes::default()
            }),
            serve_on_loopback: false,
        });
        Ok(())
    }
}

impl StaticRule {
    fn into_rule(
        self,
        table: &mut api::Table,
        arn: String,
        priority: u32,
        protocol: api::Protocol,
    ) -> api::Rule {
        use api::action::Action;
        use api::condition::Condition;
        let patterns = |value: String| api::Patterns {
            values: vec![value],
            regex_values: Vec::new(),
        };
        let conditions = [
            self.path.map(|path| Condition::PathPattern(patterns(path))),
            self.host.map(|host| Condition::HostHeader(patterns(host))),
        ];
        let action = match self.fixed {
            Some(body) => Action::FixedResponse(api::FixedResponse {
                status_code: 200,
                content_type: "text/plain".to_owned(),
                body,
            }),
            None => {
                let group_arn = format!("{arn}/targets");
                table
                    .target_groups
                    .push(group(group_arn.clone(), &self.targets, protocol));
                Action::Forward(api::Forward {
                    target_groups: vec![api::WeightedTargetGroup {
                        target_group_arn: group_arn,
                        weight: 1,
                    }],
                    stickiness_duration_secs: None,
                })
            }
        };
        api::Rule {
            arn,
            priority,
            conditions: conditions
                .into_iter()
                .flatten()
                .map(|condition| api::Condition {
                    condition: Some(condition),
                })
                .collect(),
            action: Some(api::Action {
                action: Some(action),
            }),
            host_rewrite: None,
            url_rewrite: None,
        }
    }
}

fn group(arn: String, targets: &[SocketAddr], protocol: api::Protocol) -> api::TargetGroup {
    api::TargetGroup {
        arn,
        protocol: protocol.into(),
        targets: targets
            .iter()
            .map(|address| api::Target {
                id: address.ip().to_string(),
                port: address.port().into(),
                address: address.ip().to_string(),
                availability_zone: "all".to_owned(),
                ..api::Target::default()
            })
            .collect(),
        health_check: Some(api::HealthCheck::default()),
        unhealthy_routing_min_count: 1,
        cross_zone: true,
        ..api::TargetGroup::default()
    }
}
