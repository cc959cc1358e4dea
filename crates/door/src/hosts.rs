//! Names by which this machine is meant, whoever looks them up.
//!
//! A page on `evil.example` whose name suddenly resolves to 127.0.0.1 (DNS rebinding) is of one origin with us in the
//! browser's eyes. What gives it away is the name in `Host`. So only names pass whose meaning no stranger decides.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// Longest name of DNS.
const MAX_NAME_BYTES: usize = 253;

/// What SDKs put before an endpoint's name for some operations: Cloud Map's DiscoverInstances, Logs' StartLiveTail.
const ENDPOINT_PREFIXES: [&str; 3] = ["data-", "stream-", "streaming-"];

/// Names that are looked up on the machine itself, or by name servers that answer with loopback or for AWS only.
const EXACT: [&str; 5] = [
    "localhost",
    // LocalStack's name for 127.0.0.1, which awslocal and its like use.
    "localhost.localstack.cloud",
    // The machine, as containers of Docker Desktop and Podman call it. `internal` is nobody's top-level domain.
    "host.docker.internal",
    "gateway.docker.internal",
    "host.containers.internal",
];

/// Domains of the same kind: `*.localhost` is the machine's own by RFC 6761, the others are AWS's endpoints.
const DOMAINS: [&str; 5] = [
    ".localhost",
    ".localhost.localstack.cloud",
    ".amazonaws.com",
    ".amazonaws.com.cn",
    ".api.aws",
];

/// A host with its port, as `Host` and `Origin` have them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Authority {
    pub host: Host,
    pub port: Option<u16>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Host {
    Address(IpAddr),
    /// In lower case, without the dot at the end.
    Name(String),
}

impl Authority {
    /// Reads `name`, `name:port`, `1.2.3.4:port` or `[::1]:port`.
    pub fn parse(text: &str) -> Option<Self> {
        let (host, port) = match text.strip_prefix('[') {
            Some(rest) => {
                let (address, port) = rest.split_once(']')?;
                let address: Ipv6Addr = address.parse().ok()?;
                let port = match port {
                    "" => None,
                    port => Some(port.strip_prefix(':')?),
                };
                (Host::Address(address.into()), port)
            }
            None => {
                let (name, port) = match text.split_once(':') {
                    Some((name, port)) => (name, Some(port)),
                    None => (text, None),
                };
                (host(name)?, port)
            }
        };
        let port = match port {
            None | Some("") => None,
            Some(digits) if digits.bytes().all(|b| b.is_ascii_digit()) => {
                Some(digits.parse().ok()?)
            }
            Some(_) => return None,
        };
        Some(Self { host, port })
    }

    /// Whether this machine is meant, whoever looked the name up.
    pub fn is_ours(&self) -> bool {
        match &self.host {
            Host::Address(address) => address.is_loopback(),
            Host::Name(name) => is_our_name(name),
        }
    }
}

fn host(text: &str) -> Option<Host> {
    if let Ok(address) = text.parse::<Ipv4Addr>() {
        return Some(Host::Address(address.into()));
    }
    let name = text.strip_suffix('.').unwrap_or(text);
    let sound = |label: &str| {
        !label.is_empty()
            && label
                .bytes()
                .all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_'))
    };
    (name.len() <= MAX_NAME_BYTES && name.split('.').all(sound))
        .then(|| Host::Name(name.to_ascii_lowercase()))
}

fn is_our_name(name: &str) -> bool {
    let known =
        |name: &str| EXACT.contains(&name) || DOMAINS.iter().any(|domain| name.ends_with(domain));
    let bare = ENDPOINT_PREFIXES
        .iter()
        .find_map(|prefix| name.strip_prefix(prefix));
    // `stream-127.0.0.1` is no name that DNS could have: its last label is a number.
    let is_loopback = |text: &str| {
        text.parse::<Ipv4Addr>()
            .is_ok_and(|address| address.is_loopback())
    };
    known(name) || bare.is_some_and(|bare| known(bare) || is_loopback(bare))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn names_whose_meaning_a_stranger_decides_are_not_ours() {
        for (ours, hosts) in [
            (
                true,
                &[
                    "127.0.0.1",
                    "127.0.0.1:4566",
                    "127.8.8.8:80",
                    "[::1]:4566",
                    "[::1]",
                    "localhost",
                    "LOCALHOST:4566",
                    "localhost.:4566",
                    "localhost:",
                    "my-lb-123.us-east-1.elb.localhost:8080",
                    "123456789012.dkr.ecr.eu-west-1.localhost:4566",
                    "123456789012.dkr.ecr.eu-west-1.amazonaws.com",
                    "ecs.us-east-1.amazonaws.com",
                    "ecs.cn-north-1.amazonaws.com.cn:443",
                    "ecs.us-east-1.api.aws",
                    "localhost.localstack.cloud:4566",
                    "s3.localhost.localstack.cloud:4566",
                    "host.docker.internal:4566",
                    "host.containers.internal:4566",
                    "stream-localhost:4566",
                    "streaming-localhost:4566",
                    "data-localhost.localstack.cloud:4566",
                    "streaming-logs.us-east-1.amazonaws.com",
                    "stream-127.0.0.1:4566",
                ][..],
            ),
            (
                false,
                &[
                    "",
                    ":4566",
                    "evil.example",
                    "evil.example:4566",
                    "localhost.evil.example",
                    "127.0.0.1.evil.example",
                    "evil-localhost",
                    "notlocalhost",
                    "stream-evil.example",
                    "stream-data-localhost",
                    "amazonaws.com.evil.example",
                    "evilamazonaws.com",
                    "localstack.cloud",
                    "evil.localstack.cloud",
                    "docker.internal",
                    "neargate",
                    // Browsers do not say where a request to these came from, and the kernel takes both for loopback.
                    "0.0.0.0:4566",
                    "[::ffff:127.0.0.1]:4566",
                    "[::]:4566",
                    "192.168.1.7:4566",
                    "user@localhost",
                    "localhost:80:80",
                    "localhost:+80",
                    "localhost:99999",
                    "localhost/x",
                    "local host",
                    "[::1",
                    "[::1]4566",
                    "localhost..",
                ],
            ),
        ] {
            for host in hosts {
                let found = Authority::parse(host).is_some_and(|authority| authority.is_ours());
                assert_eq!(found, ours, "{host:?}");
            }
        }
    }

    proptest! {
        #[test]
        fn whatever_stands_before_a_foreign_domain(prefix in "[a-z0-9.:@-]{0,40}") {
            let host = format!("{prefix}.evil.example");
            prop_assert!(!Authority::parse(&host).is_some_and(|authority| authority.is_ours()));
        }
    }
}
