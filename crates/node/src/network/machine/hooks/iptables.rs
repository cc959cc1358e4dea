//! The filter table of iptables, old or new: of Docker, or of whoever writes to it.

use super::{Names, Step, Wants};
use crate::network::{machine::listing::Listing, program};
use std::{collections::BTreeSet, fs};

/// Where Docker wants rules that are not its own; it leaves them alone.
const DOCKER: &str = "DOCKER-USER";
/// Tables of the older kind in the caller's namespace.
const OLDER_TABLES: &str = "/proc/thread-self/net/ip_tables_names";
/// Seconds to wait for others that change the tables.
const WAIT: &str = "5";

/// The filter table as `iptables -S` prints it.
#[derive(Debug, Clone, PartialEq)]
pub struct Tables {
    /// The program that sees it: there are two kinds on one machine.
    pub program: &'static str,
    pub lines: Vec<String>,
}

/// The filter tables that the machine has; nothing is made by asking.
pub async fn look(listing: &Listing) -> Vec<Tables> {
    let mut kinds = Vec::new();
    if listing
        .chains
        .iter()
        .any(|chain| is_base(&chain.family, &chain.table, &chain.name))
    {
        kinds.push("iptables-nft");
    }
    let older = fs::read_to_string(OLDER_TABLES).unwrap_or_default();
    if older.lines().any(|table| table == "filter") {
        kinds.push("iptables-legacy");
    }
    let mut found = Vec::new();
    for program in kinds {
        match program::run(None, (program, &["-w", WAIT, "-S"]), "").await {
            Ok(text) => found.push(Tables {
                program,
                lines: String::from_utf8_lossy(&text)
                    .lines()
                    .map(str::to_owned)
                    .collect(),
            }),
            Err(error) => tracing::debug!(%error, "iptables is not there to be asked"),
        }
    }
    found
}

/// Base chains that the newer iptables makes; it does not like those of its tables changed by others.
pub fn is_base(family: &str, table: &str, chain: &str) -> bool {
    family == "ip"
        && matches!(table, "filter" | "mangle" | "raw" | "security")
        && matches!(chain, "INPUT" | "FORWARD")
}

impl Tables {
    pub fn has(&self, line: &str) -> bool {
        self.lines.iter().any(|other| other == line)
    }

    /// Whether a packet that nothing lets pass may end in a chain, or in one that it leads to.
    fn drops(&self, chain: &str) -> bool {
        if self.has(&format!("-P {chain} DROP")) {
            return true;
        }
        let mut seen = BTreeSet::from([chain]);
        let mut open = vec![chain];
        while let Some(chain) = open.pop() {
            let start = format!("-A {chain} ");
            for line in self.lines.iter().filter(|line| line.starts_with(&start)) {
                let mut words = line
                    .split(' ')
                    .skip_while(|word| !matches!(*word, "-j" | "-g"));
                match words.nth(1) {
                    Some("DROP" | "REJECT") => return true,
                    Some(target) if seen.insert(target) => open.push(target),
                    _ => {}
                }
            }
        }
        false
    }
}

/// The chains that need rules of ours.
pub fn chains(tables: &Tables, ufw: bool, wants: Wants) -> impl Iterator<Item = &'static str> {
    let forward = if tables.has(&format!("-A FORWARD -j {DOCKER}")) {
        Some(DOCKER)
    } else {
        (!ufw).then_some("FORWARD")
    };
    let forward = forward.filter(|_| wants.world && tables.drops("FORWARD"));
    let input = (wants.answers && !ufw && tables.drops("INPUT")).then_some("INPUT");
    forward.into_iter().chain(input)
}

pub fn plan(tables: &Tables, ufw: bool, names: &Names, wants: Wants) -> Vec<Step> {
    let (device, comment) = (&names.device, &names.comment);
    let known = "-m conntrack --ctstate RELATED,ESTABLISHED";
    let end = format!("-m comment --comment {comment} -j ACCEPT");
    let wanted: Vec<String> = chains(tables, ufw, wants)
        .flat_map(|chain| match chain {
            "INPUT" => vec![format!("{chain} -i {device} {known} {end}")],
            _ => vec![
                format!("{chain} -o {device} {known} {end}"),
                format!("{chain} -i {device} {end}"),
            ],
        })
        .collect();
    let ours = tables.lines.iter().filter_map(|line| {
        let rule = line.strip_prefix("-A ")?;
        rule.contains(&format!("--comment {comment} "))
            .then_some(rule)
    });
    let mut there = BTreeSet::new();
    let surplus: Vec<&str> = ours
        // Of two that are equal, one is too much.
        .filter(|rule| !(wanted.iter().any(|wanted| wanted == rule) && there.insert(*rule)))
        .collect();
    let missing = wanted.iter().filter(|rule| !there.contains(rule.as_str()));
    let step = |verb: &str, rule: &str| {
        let args = ["-w", WAIT, verb].into_iter().chain(rule.split(' '));
        Step::run(tables.program, &args.collect::<Vec<_>>())
    };
    let surplus = surplus.into_iter().map(|rule| step("-D", rule));
    surplus
        .chain(missing.map(|rule| step("-I", rule)))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const FORWARD: [&str; 2] = [
        "-o ngn1 -m conntrack --ctstate RELATED,ESTABLISHED -m comment --comment neargate-1 -j ACCEPT",
        "-i ngn1 -m comment --comment neargate-1 -j ACCEPT",
    ];

    fn tables(lines: &[&str]) -> Tables {
        Tables {
            program: "iptables-nft",
            lines: lines.iter().map(|&line| line.to_owned()).collect(),
        }
    }

    #[test]
    fn rules_go_where_they_are_needed_and_nowhere_else() {
        let names = Names {
            device: "ngn1".into(),
            comment: "neargate-1".into(),
        };
        let all = Wants::ALL;
        let answers = Wants {
            world: false,
            ..all
        };
        let none = Wants::NOTHING;
        let [out, back] = FORWARD.map(|rule| format!("-A FORWARD {rule}"));
        let [docker_out, docker_back] = FORWARD.map(|rule| format!("-A DOCKER-USER {rule}"));
        let stranger = "-A FORWARD -i ngn2 -m comment --comment neargate-12 -j ACCEPT";
        let docker = ["-P FORWARD DROP", "-A FORWARD -j DOCKER-USER"];
        let with_both = [docker[0], docker[1], &docker_out, &docker_back];
        for (name, lines, ufw, wants, want) in [
            ("nothing there", &[][..], false, all, vec![]),
            ("nothing drops", &["-P FORWARD ACCEPT"], false, all, vec![]),
            (
                "a policy",
                &["-P FORWARD DROP"],
                false,
                all,
                vec!["-I FORWARD -o", "-I FORWARD -i"],
            ),
            (
                "a rule",
                &["-A FORWARD -j REJECT"],
                false,
                all,
                vec!["-I FORWARD -o", "-I FORWARD -i"],
            ),
            (
                "a rule further on",
                &[
                    "-A FORWARD -i eth0 -j a",
                    "-A a -g b",
                    "-A b -j a",
                    "-A b -s 10.0.0.0/8 -j DROP",
                ],
                false,
                all,
                vec!["-I FORWARD -o", "-I FORWARD -i"],
            ),
            ("no need", &["-P FORWARD DROP"], false, answers, vec![]),
            (
                "answers",
                &["-P INPUT DROP"],
                false,
                answers,
                vec!["-I INPUT -i"],
            ),
            (
                "ufw asks itself",
                &["-P FORWARD DROP", "-P INPUT DROP"],
                true,
                all,
                vec![],
            ),
            (
                "Docker",
                &docker,
                false,
                all,
                vec!["-I DOCKER-USER -o", "-I DOCKER-USER -i"],
            ),
            (
                "Docker and ufw",
                &docker,
                true,
                all,
                vec!["-I DOCKER-USER -o", "-I DOCKER-USER -i"],
            ),
            ("all there", &with_both, false, all, vec![]),
            (
                "one there",
                &with_both[..3],
                false,
                all,
                vec!["-I DOCKER-USER -i"],
            ),
            (
                "twice there",
                &[&with_both[..], &[docker_back.as_str()]].concat(),
                false,
                all,
                vec!["-D DOCKER-USER -i"],
            ),
            (
                "at the end",
                &with_both,
                false,
                none,
                vec!["-D DOCKER-USER -o", "-D DOCKER-USER -i"],
            ),
            (
                "Docker came later",
                &[docker[0], docker[1], &out, &back],
                false,
                all,
                vec![
                    "-D FORWARD -o",
                    "-D FORWARD -i",
                    "-I DOCKER-USER -o",
                    "-I DOCKER-USER -i",
                ],
            ),
            ("of another instance", &[stranger], false, none, vec![]),
        ] {
            let steps = plan(&tables(lines), ufw, &names, wants);
            let short = |step: &Step| match step {
                Step::Run(_, args) => args[2..5].join(" "),
                Step::Nft(script) => script.clone(),
            };
            assert_eq!(steps.iter().map(short).collect::<Vec<_>>(), want, "{name}");
        }
    }
}
