//! Firewalls of other programs that may stop what ours lets pass.
//!
//! A packet must be accepted by every table that looks at it. Docker (when it switches forwarding on itself) and ufw
//! drop forwarded packets by default. We touch no table but our own, so all we can do is say it.

use super::error::{NetworkError, Result};
use serde::Deserialize;
use tokio::process::Command;

#[derive(Deserialize)]
struct Listing {
    nftables: Vec<Object>,
}

#[derive(Deserialize)]
struct Object {
    chain: Option<Chain>,
}

#[derive(Deserialize)]
struct Chain {
    family: String,
    table: String,
    name: String,
    hook: Option<String>,
    policy: Option<String>,
}

/// Chains of other programs, as `family table chain`, that drop forwarded or incoming packets unless a rule of theirs
/// accepts them. For warnings: whether such a rule exists is not looked at.
pub async fn dropping_chains() -> Result<Vec<String>> {
    let failed = |message: String| NetworkError::Nft(message);
    let output = Command::new("nft")
        .args(["-j", "list", "chains"])
        .kill_on_drop(true)
        .output()
        .await;
    let output = output.map_err(|error| failed(error.to_string()))?;
    if !output.status.success() {
        return Err(failed(String::from_utf8_lossy(&output.stderr).into_owned()));
    }
    parse(&output.stdout).map_err(|error| failed(error.to_string()))
}

fn parse(listing: &[u8]) -> serde_json::Result<Vec<String>> {
    let listing: Listing = serde_json::from_slice(listing)?;
    let drops = |chain: &Chain| {
        let hook = matches!(chain.hook.as_deref(), Some("forward" | "input"));
        hook && chain.policy.as_deref() == Some("drop")
            && matches!(chain.family.as_str(), "ip" | "inet")
    };
    let chains = listing
        .nftables
        .into_iter()
        .filter_map(|object| object.chain)
        .filter(drops);
    Ok(chains
        .map(|chain| format!("{} {} {}", chain.family, chain.table, chain.name))
        .collect())
}

/// Says in the log what a user would otherwise search for long.
pub async fn warn() {
    match dropping_chains().await {
        Ok(chains) if chains.is_empty() => {}
        Ok(chains) => tracing::warn!(
            chains = chains.join(", "),
            "another firewall on this machine drops packets by default; it must let those of devices named ng* pass"
        ),
        Err(error) => tracing::debug!(%error, "other firewalls not looked at"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_chains_that_drop_our_packets_are_named() {
        let chain = |family: &str, hook: &str, policy: &str| {
            format!(
                r#"{{"chain":{{"family":"{family}","table":"t","name":"c","handle":1,"type":"filter","hook":"{hook}","prio":0,"policy":"{policy}"}}}}"#
            )
        };
        for (name, object, want) in [
            ("none", r#"{"metainfo":{"version":"1.0.6"}}"#.into(), vec![]),
            (
                "not a base chain",
                r#"{"chain":{"family":"ip","table":"t","name":"c","handle":1}}"#.into(),
                vec![],
            ),
            (
                "forward, drop",
                chain("ip", "forward", "drop"),
                vec!["ip t c"],
            ),
            (
                "input, drop",
                chain("inet", "input", "drop"),
                vec!["inet t c"],
            ),
            ("forward, accept", chain("ip", "forward", "accept"), vec![]),
            ("output, drop", chain("ip", "output", "drop"), vec![]),
            ("IPv6", chain("ip6", "forward", "drop"), vec![]),
        ] {
            let listing = format!(r#"{{"nftables":[{object}]}}"#);
            assert_eq!(parse(listing.as_bytes()).expect(name), want, "{name}");
        }
        assert!(parse(b"no JSON").is_err());
    }
}
