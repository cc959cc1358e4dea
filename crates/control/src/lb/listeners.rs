//! Listeners and rules of the table.

use neargate_lb_api as api;

use crate::elbv2::attributes::RESPONSE_HEADERS;
use crate::elbv2::listener_records::{
    Action, Condition, FixedResponse, Forward, ListenerRecord, Patterns, Redirect, Rewrite,
    RuleRecord,
};
use crate::elbv2::records::Protocol;

const DEFAULT_CONTENT_TYPE: &str = "text/plain";

pub fn listener(record: &ListenerRecord) -> api::Listener {
    let mut rules: Vec<api::Rule> = record.rules.iter().map(|r| rule(record, r)).collect();
    rules.sort_by_key(|rule| rule.priority);
    rules.push(api::Rule {
        arn: record.rule_arn(&record.default_rule_id),
        action: Some(action(&record.default_action.action)),
        ..Default::default()
    });
    api::Listener {
        arn: record.arn(),
        port: u32::from(record.port),
        protocol: protocol(record.protocol).into(),
        certificate_arns: certificates(record),
        ssl_policy: record.ssl_policy.clone().unwrap_or_default(),
        alpn_policy: record.alpn_policy.clone().unwrap_or_default(),
        rules,
        response_headers: RESPONSE_HEADERS
            .iter()
            .map(|(key, name)| (name, record.attribute(key)))
            .filter(|(_, value)| !value.is_empty())
            .map(|(name, value)| api::Header {
                name: (*name).to_owned(),
                value: value.to_owned(),
            })
            .collect(),
        server_header_enabled: record.attribute("routing.http.response.server.enabled") != "false",
        tcp_idle_timeout_secs: record
            .attribute("tcp.idle_timeout.seconds")
            .parse()
            .unwrap_or(0),
    }
}

/// The default one first, each once.
pub fn certificates(record: &ListenerRecord) -> Vec<String> {
    let mut arns: Vec<String> = record.default_certificate.iter().cloned().collect();
    for arn in &record.certificates {
        if !arns.contains(arn) {
            arns.push(arn.clone());
        }
    }
    arns
}

pub fn protocol(protocol: Protocol) -> api::Protocol {
    match protocol {
        Protocol::Http => api::Protocol::Http,
        Protocol::Https => api::Protocol::Https,
        Protocol::Tcp => api::Protocol::Tcp,
        Protocol::Tls => api::Protocol::Tls,
        Protocol::Udp => api::Protocol::Udp,
        Protocol::TcpUdp => api::Protocol::TcpUdp,
    }
}

fn rule(listener: &ListenerRecord, record: &RuleRecord) -> api::Rule {
    api::Rule {
        arn: listener.rule_arn(&record.id),
        priority: record.priority,
        conditions: record.conditions.iter().map(condition).collect(),
        action: Some(action(&record.action.action)),
        host_rewrite: record.transforms.host_header.as_ref().map(rewrite),
        url_rewrite: record.transforms.url.as_ref().map(rewrite),
    }
}

fn rewrite(record: &Rewrite) -> api::Rewrite {
    api::Rewrite {
        regex: record.regex.clone(),
        replace: record.replace.clone(),
    }
}

fn condition(record: &Condition) -> api::Condition {
    use api::condition::Condition as Wire;
    let values = |values: &[String]| api::Values {
        values: values.to_vec(),
    };
    let condition = match record {
        Condition::HostHeader(found) => Wire::HostHeader(patterns(found)),
        Condition::PathPattern(found) => Wire::PathPattern(patterns(found)),
        Condition::HttpHeader {
            name,
            patterns: found,
        } => Wire::HttpHeader(api::HttpHeaderCondition {
            name: name.clone(),
            patterns: Some(patterns(found)),
        }),
        Condition::HttpRequestMethod(methods) => Wire::HttpRequestMethod(values(methods)),
        Condition::QueryString(pairs) => Wire::QueryString(api::QueryStringCondition {
            pairs: pairs
                .iter()
                .map(|pair| api::QueryStringPair {
                    key: pair.key.clone(),
                    value: pair.value.clone(),
                })
                .collect(),
        }),
        Condition::SourceIp(blocks) => Wire::SourceIp(values(blocks)),
    };
    api::Condition {
        condition: Some(condition),
    }
}

fn patterns(record: &Patterns) -> api::Patterns {
    api::Patterns {
        values: record.values.clone(),
        regex_values: record.regex_values.clone(),
    }
}

fn action(record: &Action) -> api::Action {
    use api::action::Action as Wire;
    let action = match record {
        Action::Forward(record) => Wire::Forward(forward(record)),
        Action::Redirect(record) => Wire::Redirect(redirect(record)),
        Action::FixedResponse(record) => Wire::FixedResponse(fixed_response(record)),
    };
    api::Action {
        action: Some(action),
    }
}

fn forward(record: &Forward) -> api::Forward {
    let stickiness = &record.stickiness;
    api::Forward {
        target_groups: record
            .groups
            .iter()
            .map(|group| api::WeightedTargetGroup {
                target_group_arn: group.arn.clone(),
                weight: group.weight,
            })
            .collect(),
        stickiness_duration_secs: stickiness.duration_secs.filter(|_| stickiness.enabled),
    }
}

fn redirect(record: &Redirect) -> api::Redirect {
    api::Redirect {
        status_code: u32::from(record.status_code),
        protocol: record.protocol.clone(),
        host: record.host.clone(),
        port: record.port.clone(),
        path: record.path.clone(),
        query: record.query.clone(),
    }
}

fn fixed_response(record: &FixedResponse) -> api::FixedResponse {
    let content_type = record.content_type.as_deref();
    api::FixedResponse {
        status_code: u32::from(record.status_code),
        content_type: content_type.unwrap_or(DEFAULT_CONTENT_TYPE).to_owned(),
        body: record.message_body.clone().unwrap_or_default(),
    }
}
