//! Chains of nftables that drop and are none of the other programs': a user's own.

use super::{Names, Step, Wants, firewalld, iptables};
use crate::network::machine::listing::{Chain, Listing, Rule};
use std::fmt::Write as _;

/// Which program a table belongs to decides who is asked.
fn is_users_own(tables: &[iptables::Tables], (family, table): (&str, &str)) -> bool {
    let of_iptables = family == "ip"
        && matches!(table, "filter" | "mangle" | "raw" | "security" | "nat")
        && tables.iter().any(|tables| tables.program == "iptables-nft");
    !of_iptables && table != firewalld::TABLE && !table.starts_with("neargate-")
}

fn in_need<'l>(
    listing: &'l Listing,
    tables: &'l [iptables::Tables],
    wants: Wants,
) -> impl Iterator<Item = (&'static str, &'l Chain)> {
    let hooks = [("forward", wants.world), ("input", wants.answers)];
    let wanted = hooks.into_iter().filter(|(_, wanted)| *wanted);
    wanted.flat_map(move |(hook, _)| {
        let own = move |chain: &&Chain| {
            is_users_own(tables, (chain.family.as_str(), chain.table.as_str()))
        };
        let chains = listing.filters(hook).filter(own);
        chains
            .filter(|chain| listing.drops(chain))
            .map(move |chain| (hook, chain))
    })
}

/// The chains that need rules of ours, in words.
pub fn chains<'l>(
    listing: &'l Listing,
    tables: &'l [iptables::Tables],
    wants: Wants,
) -> impl Iterator<Item = String> {
    in_need(listing, tables, wants)
        .map(|(_, chain)| format!("{} {} {}", chain.family, chain.table, chain.name))
}

/// All as one transaction.
pub fn plan(
    listing: &Listing,
    tables: &[iptables::Tables],
    names: &Names,
    wants: Wants,
) -> Option<Step> {
    let (device, comment) = (&names.device, &names.comment);
    let ours = |rule: &&Rule| {
        rule.comment.as_ref() == Some(comment)
            && is_users_own(tables, (rule.family.as_str(), rule.table.as_str()))
    };
    let mut surplus: Vec<&Rule> = listing.rules.iter().filter(ours).collect();
    let mut script = String::new();
    for (hook, chain) in in_need(listing, tables, wants) {
        let known = "ct state established,related";
        let rules = match hook {
            "input" => vec![format!("iifname \"{device}\" {known}")],
            _ => vec![
                format!("oifname \"{device}\" {known}"),
                format!("iifname \"{device}\""),
            ],
        };
        let place = (&chain.family, &chain.table, &chain.name);
        let here = |rule: &&Rule| (&rule.family, &rule.table, &rule.chain) == place;
        if surplus.iter().copied().filter(|rule| here(rule)).count() == rules.len() {
            surplus.retain(|rule| !here(rule));
            continue;
        }
        for rule in rules {
            let (family, table, name) = place;
            // Writing to a String cannot fail.
            let _ = writeln!(
                script,
                "insert rule {family} {table} {name} {rule} accept comment \"{comment}\""
            );
        }
    }
    for rule in surplus {
        let (family, table, chain) = (&rule.family, &rule.table, &rule.chain);
        let _ = writeln!(
            script,
            "delete rule {family} {table} {chain} handle {}",
            rule.handle
        );
    }
    (!script.is_empty()).then_some(Step::Nft(script))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chain(table: &str, hook: &str) -> String {
        let family = if table == "filter" { "ip" } else { "inet" };
        let name = if table == "filter" {
            hook.to_uppercase()
        } else {
            hook.to_owned()
        };
        format!(
            r#"{{"chain":{{"family":"{family}","table":"{table}","name":"{name}","handle":1,"type":"filter","hook":"{hook}","prio":0,"policy":"drop"}}}}"#
        )
    }

    fn rule(table: &str, chain: &str, handle: u32, comment: &str) -> String {
        format!(
            r#"{{"rule":{{"family":"inet","table":"{table}","chain":"{chain}","handle":{handle},"comment":"{comment}","expr":[{{"accept":null}}]}}}}"#
        )
    }

    #[test]
    fn rules_go_into_chains_that_drop_and_are_found_again() {
        let names = Names {
            device: "ngn1".into(),
            comment: "neargate-1".into(),
        };
        let (all, none) = (Wants::ALL, Wants::NOTHING);
        let known = "ct state established,related accept comment \"neargate-1\"\n";
        let forward = format!(
            "insert rule inet own forward oifname \"ngn1\" {known}insert rule inet own forward iifname \"ngn1\" accept comment \"neargate-1\"\n"
        );
        let input = format!("insert rule inet own input iifname \"ngn1\" {known}");
        let both = || vec![chain("own", "forward"), chain("own", "input")];
        let there = || {
            let mut objects = both();
            objects.push(rule("own", "forward", 7, "neargate-1"));
            objects.push(rule("own", "forward", 8, "neargate-1"));
            objects.push(rule("own", "input", 9, "neargate-1"));
            objects.push(rule("own", "input", 10, "neargate-12"));
            objects
        };
        let gone = "delete rule inet own forward handle 7\ndelete rule inet own forward handle 8\n\
            delete rule inet own input handle 9\n";
        for (name, objects, wants, want) in [
            ("nothing there", vec![], all, String::new()),
            ("both", both(), all, format!("{forward}{input}")),
            ("no need", both(), none, String::new()),
            (
                "firewalld's",
                vec![chain("firewalld", "forward")],
                all,
                String::new(),
            ),
            (
                "iptables'",
                vec![chain("filter", "forward")],
                all,
                String::new(),
            ),
            ("all there", there(), all, String::new()),
            ("at the end", there(), none, gone.to_owned()),
            (
                "one flushed",
                vec![
                    chain("own", "forward"),
                    rule("own", "forward", 7, "neargate-1"),
                ],
                all,
                format!("{forward}delete rule inet own forward handle 7\n"),
            ),
        ] {
            let text = format!(r#"{{"nftables":[{}]}}"#, objects.join(","));
            let listing = Listing::parse(text.as_bytes()).expect(name);
            let tables = [iptables::Tables {
                program: "iptables-nft",
                lines: Vec::new(),
            }];
            let step = plan(&listing, &tables, &names, wants);
            let want = (!want.is_empty()).then_some(Step::Nft(want));
            assert_eq!(step, want, "{name}");
        }
    }
}
