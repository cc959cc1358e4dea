//! The conditions of rules. All conditions of a rule must match; of the values of one, any.

use super::RequestView;
use super::pattern::{Case, Escapes, Patterns, Wildcard};
use ipnet::IpNet;
use neargate_lb_api as api;
use std::net::IpAddr;

/// One condition. Source of the case rules: Listener rules, rule condition types.
#[derive(Debug)]
pub enum Condition {
    /// Without the port; case does not count.
    Host(Patterns),
    /// Without the query, normalised; case counts.
    Path(Patterns),
    /// Case does not count; several lines of one name are tried in order.
    Header {
        name: String,
        patterns: Patterns,
    },
    /// Exact, so that GET does not match HEAD.
    Method(Vec<String>),
    Query(Vec<QueryPair>),
    /// The peer's address, never X-Forwarded-For.
    SourceIp(Vec<IpNet>),
}

/// Case does not count.
#[derive(Debug)]
pub struct QueryPair {
    /// `None`: any key.
    key: Option<Wildcard>,
    value: Wildcard,
}

impl Condition {
    pub fn compile(condition: &api::Condition) -> Result<Self, String> {
        use api::condition::Condition as Proto;
        Ok(
            match condition.condition.as_ref().ok_or("a condition is empty")? {
                Proto::HostHeader(patterns) => {
                    Self::Host(Patterns::compile(patterns, Case::Insensitive)?)
                }
                Proto::PathPattern(patterns) => {
                    Self::Path(Patterns::compile(patterns, Case::Sensitive)?)
                }
                Proto::HttpHeader(header) => Self::Header {
                    name: header.name.clone(),
                    patterns: match &header.patterns {
                        Some(patterns) => Patterns::compile(patterns, Case::Insensitive)?,
                        None => Patterns::default(),
                    },
                },
                Proto::HttpRequestMethod(methods) => Self::Method(methods.values.clone()),
                Proto::QueryString(query) => {
                    Self::Query(query.pairs.iter().map(QueryPair::compile).collect())
                }
                Proto::SourceIp(blocks) => Self::SourceIp(
                    blocks
                        .values
                        .iter()
                        .map(|block| {
                            block
                                .parse()
                                .map_err(|_| format!("{block} is no CIDR block"))
                        })
                        .collect::<Result<_, _>>()?,
                ),
            },
        )
    }

    /// `path` is the normalised one.
    pub(super) fn matches(&self, request: &RequestView<'_>, path: &str) -> bool {
        match self {
            Self::Host(patterns) => patterns.matches(request.host_name().as_bytes()),
            Self::Path(patterns) => patterns.matches(path.as_bytes()),
            Self::Header { name, patterns } => request.headers.iter().any(|header| {
                header.name.eq_ignore_ascii_case(name) && patterns.matches(header.value)
            }),
            Self::Method(methods) => methods.iter().any(|method| method == request.method),
            Self::Query(pairs) => request
                .query
                .is_some_and(|query| pairs.iter().any(|pair| pair.matches(query))),
            Self::SourceIp(blocks) => {
                // A socket for both families shows IPv4 peers as mapped addresses.
                let peer: IpAddr = request.peer.ip().to_canonical();
                blocks.iter().any(|block| block.contains(&peer))
            }
        }
    }
}

impl QueryPair {
    fn compile(pair: &api::QueryStringPair) -> Self {
        let wildcard = |text: &String| Wildcard::new(text, Case::Insensitive, Escapes::Backslash);
        Self {
            key: pair.key.as_ref().map(wildcard),
            value: wildcard(&pair.value),
        }
    }

    /// Order and number of the parameters do not matter.
    fn matches(&self, query: &str) -> bool {
        query.split('&').any(|parameter| {
            let (key, value) = parameter.split_once('=').unwrap_or((parameter, ""));
            self.key
                .as_ref()
                .is_none_or(|wanted| wanted.matches(key.as_bytes()))
                && self.value.matches(value.as_bytes())
        })
    }
}
