//! One nftables table as a value, and the script that turns one value into another.
//!
//! The firewall is written down whole ([`super::rules`]), compared with what the kernel has, and only the difference
//! is sent, as one transaction. Text rather than nft's JSON: the JSON of the nft versions in use cannot express all
//! of our types, and a reviewer can read the stored scripts of the tests. All values in it come from parsed types.

use std::{
    collections::{BTreeMap, btree_map::Entry},
    fmt::Write,
};

/// What one table holds.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Ruleset {
    pub sets: BTreeMap<String, Set>,
    pub chains: BTreeMap<String, Chain>,
}

/// A set, or a map from keys to verdicts or values.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Set {
    /// `type ipv4_addr;` and flags.
    pub declaration: String,
    /// What each key of a map leads to; empty in a set.
    pub elements: BTreeMap<String, String>,
}

#[derive(Debug, Clone, Default, PartialEq)]
pub struct Chain {
    /// `type filter hook forward …; policy accept;` for a base chain, otherwise empty.
    pub hook: String,
    pub rules: Vec<String>,
}

impl Set {
    fn is_map(&self) -> bool {
        self.declaration.contains(" : ")
    }
}

impl Ruleset {
    pub fn set(&mut self, name: &str, declaration: &str) {
        let set = Set {
            declaration: declaration.to_owned(),
            elements: BTreeMap::new(),
        };
        self.sets.entry(name.to_owned()).or_insert(set);
    }

    /// Adds a key to a set that was declared.
    pub fn element(&mut self, set: &str, key: impl Into<String>) {
        self.verdict(set, key, String::new());
    }

    /// Adds a key to a map that was declared.
    pub fn verdict(&mut self, map: &str, key: impl Into<String>, verdict: impl Into<String>) {
        if let Entry::Occupied(mut set) = self.sets.entry(map.to_owned()) {
            set.get_mut().elements.insert(key.into(), verdict.into());
        }
    }

    pub fn chain(&mut self, name: &str, hook: &str, rules: Vec<String>) {
        self.chains.insert(
            name.to_owned(),
            Chain {
                hook: hook.to_owned(),
                rules,
            },
        );
    }

    /// The script that makes the table from nothing, whatever the kernel had under its name.
    pub fn script(&self, table: &str) -> String {
        // `add` first: deleting a table that is not there is an error.
        format!(
            "add table {table}\ndelete table {table}\nadd table {table}\n{}",
            Ruleset::default().changes(self, table)
        )
    }

    /// The script that turns this table into `wanted`; empty when they are equal.
    pub fn changes(&self, wanted: &Ruleset, table: &str) -> String {
        let mut script = String::new();
        let mut line = |args: std::fmt::Arguments| {
            // Writing to a String cannot fail.
            let _ = writeln!(script, "{args}");
        };

        for (name, set) in &wanted.sets {
            if !self.sets.contains_key(name) {
                let kind = if set.is_map() { "map" } else { "set" };
                line(format_args!(
                    "add {kind} {table} {name} {{ {} }}",
                    set.declaration
                ));
            }
        }
        for (name, chain) in &wanted.chains {
            match self.chains.get(name) {
                None if chain.hook.is_empty() => line(format_args!("add chain {table} {name}")),
                None => line(format_args!(
                    "add chain {table} {name} {{ {} }}",
                    chain.hook
                )),
                Some(old) if old.rules != chain.rules => {
                    line(format_args!("flush chain {table} {name}"))
                }
                Some(_) => {}
            }
        }
        for (name, old) in &self.sets {
            let new = wanted.sets.get(name);
            let gone = |(key, verdict): &(&String, &String)| {
                new.and_then(|set| set.elements.get(*key)) != Some(*verdict)
            };
            let keys: Vec<&str> = old
                .elements
                .iter()
                .filter(gone)
                .map(|(key, _)| key.as_str())
                .collect();
            if !keys.is_empty() {
                line(format_args!(
                    "delete element {table} {name} {{ {} }}",
                    keys.join(", ")
                ));
            }
        }
        for (name, set) in &wanted.sets {
            let old = self.sets.get(name);
            let fresh = |(key, verdict): &(&String, &String)| {
                old.and_then(|set| set.elements.get(*key)) != Some(*verdict)
            };
            let elements: Vec<String> = set
                .elements
                .iter()
                .filter(fresh)
                .map(element_text)
                .collect();
            if !elements.is_empty() {
                line(format_args!(
                    "add element {table} {name} {{ {} }}",
                    elements.join(", ")
                ));
            }
        }
        for (name, chain) in &wanted.chains {
            if self
                .chains
                .get(name)
                .is_none_or(|old| old.rules != chain.rules)
            {
                for rule in &chain.rules {
                    line(format_args!("add rule {table} {name} {rule}"));
                }
            }
        }
        // Chains may jump to one another: empty all of them before the first goes.
        let gone: Vec<_> = self
            .chains
            .keys()
            .filter(|name| !wanted.chains.contains_key(*name))
            .collect();
        for name in &gone {
            line(format_args!("flush chain {table} {name}"));
        }
        for name in &gone {
            line(format_args!("delete chain {table} {name}"));
        }
        for (name, set) in &self.sets {
            if !wanted.sets.contains_key(name) {
                let kind = if set.is_map() { "map" } else { "set" };
                line(format_args!("delete {kind} {table} {name}"));
            }
        }
        script
    }
}

fn element_text((key, verdict): (&String, &String)) -> String {
    if verdict.is_empty() {
        key.clone()
    } else {
        format!("{key} : {verdict}")
    }
}
