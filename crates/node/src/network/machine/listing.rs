//! What nftables has on the machine, as far as it matters to us: who drops what passes, and what is ours.

use crate::network::{
    error::{NetworkError, Result},
    program,
};
use serde::Deserialize;
use serde_json::Value;
use std::collections::BTreeSet;

/// One of an `nft -j list ruleset`.
#[derive(Debug, Default)]
pub struct Listing {
    pub chains: Vec<Chain>,
    pub rules: Vec<Rule>,
}

#[derive(Debug, Clone, Deserialize)]
pub struct Chain {
    pub family: String,
    pub table: String,
    pub name: String,
    #[serde(rename = "type")]
    pub kind: Option<String>,
    pub hook: Option<String>,
    pub policy: Option<String>,
}

#[derive(Debug, Deserialize)]
pub struct Rule {
    pub family: String,
    pub table: String,
    pub chain: String,
    pub handle: u64,
    pub comment: Option<String>,
    #[serde(default)]
    pub expr: Value,
}

#[derive(Deserialize)]
struct Text {
    nftables: Vec<Object>,
}

#[derive(Deserialize)]
struct Object {
    chain: Option<Chain>,
    rule: Option<Rule>,
}

impl Listing {
    pub async fn of_the_machine() -> Result<Listing> {
        let text = program::run(None, ("nft", &["-j", "list", "ruleset"]), "").await?;
        Listing::parse(&text).map_err(|error| NetworkError::Program {
            program: "nft".into(),
            message: error.to_string(),
        })
    }

    pub fn parse(text: &[u8]) -> serde_json::Result<Listing> {
        let text: Text = serde_json::from_slice(text)?;
        let mut listing = Listing::default();
        for object in text.nftables {
            listing.chains.extend(object.chain);
            listing.rules.extend(object.rule);
        }
        Ok(listing)
    }

    /// The base chains of other programs, of one hook, that filter IPv4.
    pub fn filters<'l>(&'l self, hook: &'l str) -> impl Iterator<Item = &'l Chain> {
        self.chains.iter().filter(move |chain| {
            chain.hook.as_deref() == Some(hook)
                && chain.kind.as_deref() == Some("filter")
                && matches!(chain.family.as_str(), "ip" | "inet")
                && !chain.table.starts_with("neargate-")
        })
    }

    /// Whether a packet that nothing lets pass may end in a chain, or in one that it leads to.
    pub fn drops(&self, chain: &Chain) -> bool {
        if chain.policy.as_deref() == Some("drop") {
            return true;
        }
        let mut seen = BTreeSet::from([chain.name.clone()]);
        let mut open = vec![chain.name.clone()];
        while let Some(name) = open.pop() {
            for rule in self.rules_of(&chain.family, &chain.table, &name) {
                let mut found = Verdicts::default();
                found.collect(&rule.expr);
                if found.ends {
                    return true;
                }
                open.extend(
                    found
                        .chains
                        .into_iter()
                        .filter(|to| seen.insert(to.clone())),
                );
            }
        }
        false
    }

    pub fn rules_of<'l>(
        &'l self,
        family: &'l str,
        table: &'l str,
        chain: &'l str,
    ) -> impl Iterator<Item = &'l Rule> {
        self.rules.iter().filter(move |rule| {
            (&*rule.family, &*rule.table, &*rule.chain) == (family, table, chain)
        })
    }
}

/// What the rules of a chain may do to a packet: nft's JSON has verdicts at any depth, for maps have them too.
#[derive(Default)]
struct Verdicts {
    ends: bool,
    chains: Vec<String>,
}

impl Verdicts {
    fn collect(&mut self, value: &Value) {
        match value {
            Value::Array(values) => values.iter().for_each(|value| self.collect(value)),
            Value::Object(members) => {
                for (name, value) in members {
                    match name.as_str() {
                        "drop" | "reject" => self.ends = true,
                        "jump" | "goto" => {
                            let target = value.get("target").and_then(Value::as_str);
                            self.chains.extend(target.map(str::to_owned));
                        }
                        _ => self.collect(value),
                    }
                }
            }
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_chains_that_may_drop_our_packets_count() {
        let chain = |family: &str, hook: &str, policy: &str| {
            format!(
                r#"{{"chain":{{"family":"{family}","table":"t","name":"c","handle":1,"type":"filter","hook":"{hook}","prio":0,"policy":"{policy}"}}}}"#
            )
        };
        let rule = |chain: &str, expr: &str| {
            format!(
                r#"{{"rule":{{"family":"ip","table":"t","chain":"{chain}","handle":2,"expr":[{expr}]}}}}"#
            )
        };
        let open = || chain("ip", "forward", "accept");
        for (name, objects, want) in [
            (
                "none",
                vec![r#"{"metainfo":{"version":"1.0.6"}}"#.into()],
                false,
            ),
            (
                "not a base chain",
                vec![r#"{"chain":{"family":"ip","table":"t","name":"c","handle":1}}"#.into()],
                false,
            ),
            ("policy", vec![chain("ip", "forward", "drop")], true),
            ("no policy", vec![open()], false),
            ("another hook", vec![chain("ip", "output", "drop")], false),
            ("IPv6", vec![chain("ip6", "forward", "drop")], false),
            (
                "a rule",
                vec![open(), rule("c", r#"{"reject":{"type":"icmp"}}"#)],
                true,
            ),
            (
                "a rule of a chain that it leads to",
                vec![
                    open(),
                    rule(
                        "c",
                        r#"{"vmap":{"key":{},"data":{"set":[["lo",{"goto":{"target":"d"}}]]}}}"#,
                    ),
                    rule("d", r#"{"jump":{"target":"c"}}"#),
                    rule("d", r#"{"drop":null}"#),
                ],
                true,
            ),
            (
                "a rule of a chain that nothing leads to",
                vec![open(), rule("d", r#"{"drop":null}"#)],
                false,
            ),
        ] {
            let text = format!(r#"{{"nftables":[{}]}}"#, objects.join(","));
            let listing = Listing::parse(text.as_bytes()).expect(name);
            let drops = listing.filters("forward").any(|chain| listing.drops(chain));
            assert_eq!(drops, want, "{name}");
        }
        assert!(Listing::parse(b"no JSON").is_err());
    }
}
