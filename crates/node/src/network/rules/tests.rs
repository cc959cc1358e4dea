//! The scripts that reach nft, compared with stored text: `NEARGATE_STORE_EXPECTED=1 cargo test -p neargate-node`
//! rewrites it. Whether the kernel then does what the text says is for `tests/network`.

use super::*;
use crate::network::policy::Member;
use std::path::Path;

const TABLE: &str = "inet neargate-0badcafe";

fn group_ids(ids: &[&str]) -> BTreeSet<GroupId> {
    ids.iter()
        .map(|id| id.parse().expect("a group id"))
        .collect()
}

fn eni(number: u32) -> EniId {
    format!("eni-{number:017x}").parse().expect("an eni id")
}

fn vpc_id(number: u32) -> VpcId {
    format!("vpc-{number}").parse().expect("a vpc id")
}

fn cidr(text: &str) -> Peer {
    Peer::Cidr(text.parse().expect("a range"))
}

fn of_group(id: &str) -> Peer {
    Peer::Group(id.parse().expect("a group id"))
}

fn rule(traffic: Traffic, peer: Peer) -> Rule {
    Rule { traffic, peer }
}

fn tcp(from: u16, to: u16) -> Traffic {
    Traffic::Ports {
        protocol: 6,
        from,
        to,
    }
}

fn task(number: u32, vpc: u32, groups: &[&str]) -> (String, Arc<Task>) {
    let task = Task {
        eni: eni(number),
        vpc: vpc_id(vpc),
        address: Ipv4Addr::from_bits(Ipv4Addr::new(172, 31, 0, 0).to_bits() + number),
        public: false,
        limited: true,
        groups: group_ids(groups),
        relay_mark: None,
    };
    (task.eni.veth(), task.into())
}

fn policy(groups: Vec<(&str, Vec<Rule>, Vec<Rule>)>) -> Arc<Policy> {
    let group = |(id, ingress, egress): (&str, _, _)| {
        (
            id.parse().expect("a group id"),
            Group {
                vpc: vpc_id(1),
                ingress,
                egress,
            },
        )
    };
    Policy {
        groups: groups.into_iter().map(group).collect(),
        ..Policy::default()
    }
    .into()
}

fn empty() -> Model {
    Model {
        device_groups: [7, 8],
        router_address: Ipv4Addr::new(169, 254, 171, 7),
        machine_address: Ipv4Addr::new(169, 254, 171, 6),
        full: BTreeSet::new(),
        policy: Arc::default(),
        vpcs: BTreeMap::new(),
        tasks: BTreeMap::new(),
    }
}

/// A web service that anyone reaches, and its database that only it reaches.
fn two_tiers() -> Model {
    let dns = Some(DnsPorts {
        udp: 40001,
        tcp: 40002,
    });
    let cidr_of_vpc = "172.31.0.0/16".parse().expect("a range");
    Model {
        policy: policy(vec![
            (
                "sg-db",
                vec![rule(tcp(5432, 5432), of_group("sg-web"))],
                vec![],
            ),
            (
                "sg-web",
                vec![rule(tcp(80, 81), cidr("0.0.0.0/0"))],
                vec![rule(Traffic::All, cidr("0.0.0.0/0"))],
            ),
        ]),
        vpcs: BTreeMap::from([(
            vpc_id(1),
            Vpc {
                number: 1,
                cidr: cidr_of_vpc,
                dns,
            },
        )]),
        tasks: BTreeMap::from([task(4, 1, &["sg-web"]), task(5, 1, &["sg-db"])]),
        ..empty()
    }
}

type Make = fn() -> Model;
type Edit = fn(&mut Model);

#[test]
fn scripts_are_as_stored() {
    let cases: [(&str, Option<Make>, Edit); 11] = [
        ("a-task-with-too-many-flows", Some(two_tiers), |model| {
            model.full.insert(eni(4).veth());
        }),
        ("nothing-yet", None, |model| *model = empty()),
        ("from-nothing", None, |_| {}),
        ("no-change", Some(two_tiers), |_| {}),
        ("one-more-task-of-a-service", Some(two_tiers), |model| {
            model.tasks.extend([task(6, 1, &["sg-web"])]);
        }),
        ("a-task-less", Some(two_tiers), |model| {
            model.tasks.remove(&eni(4).veth());
        }),
        ("a-public-task", Some(two_tiers), |model| {
            let (veth, task) = task(6, 1, &["sg-web"]);
            let task = Task {
                public: true,
                ..(*task).clone()
            };
            model.tasks.insert(veth, task.into());
        }),
        (
            "a-relay-of-a-group-that-is-referred-to",
            Some(two_tiers),
            |model| {
                let (veth, task) = task(6, 1, &["sg-web"]);
                let task = Task {
                    limited: false,
                    relay_mark: Some(0x4e48_0001),
                    ..(*task).clone()
                };
                model.tasks.insert(veth, task.into());
            },
        ),
        (
            "a-group-gets-rules-of-every-kind",
            Some(two_tiers),
            |model| {
                let traffic = [
                    Traffic::All,
                    Traffic::Protocol(50),
                    tcp(0, u16::MAX),
                    Traffic::Ports {
                        protocol: 17,
                        from: 53,
                        to: 53,
                    },
                    Traffic::Icmp {
                        kind: None,
                        code: None,
                    },
                    Traffic::Icmp {
                        kind: Some(8),
                        code: None,
                    },
                    Traffic::Icmp {
                        kind: Some(3),
                        code: Some(4),
                    },
                ];
                let peers = [cidr("10.0.0.0/8"), of_group("sg-db"), cidr("192.0.2.1/32")];
                let rules = traffic
                    .into_iter()
                    .zip(peers.into_iter().cycle())
                    .map(|(t, p)| rule(t, p));
                let web: Vec<Rule> = rules.collect();
                model.policy = policy(vec![
                    ("sg-db", vec![], vec![]),
                    ("sg-web", web.clone(), web),
                ]);
            },
        ),
        (
            "members-on-another-node-and-changed-groups",
            Some(two_tiers),
            |model| {
                let mut policy = (*model.policy).clone();
                let member = |last, groups: &[&str]| Member {
                    address: Ipv4Addr::new(172, 31, 0, last),
                    groups: group_ids(groups),
                };
                policy
                    .interfaces
                    .insert(eni(4), member(4, &["sg-db", "sg-web"]));
                policy.interfaces.insert(eni(99), member(99, &["sg-web"]));
                model.policy = policy.into();
            },
        ),
        ("another-vpc", Some(two_tiers), |model| {
            let cidr = "172.31.0.0/16".parse().expect("a range");
            model.vpcs.insert(
                vpc_id(2),
                Vpc {
                    number: 2,
                    cidr,
                    dns: None,
                },
            );
            model.tasks.extend([task(0x104, 2, &["sg-web"])]);
        }),
    ];
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("testdata/firewall");
    for (name, before, edit) in cases {
        let mut model = two_tiers();
        edit(&mut model);
        let wanted = render(&model);
        let script = match before {
            Some(before) => render(&before()).changes(&wanted, TABLE),
            None => wanted.script(TABLE),
        };
        let path = directory.join(format!("{name}.nft"));
        if std::env::var_os("NEARGATE_STORE_EXPECTED").is_some() {
            std::fs::write(&path, &script).expect("store");
        }
        let stored = std::fs::read_to_string(&path).unwrap_or_default();
        assert_eq!(script, stored, "{name}");
    }
}

#[test]
fn changes_lead_from_any_model_to_any_other() {
    // Every pair of these, there and back: names of what a script adds and deletes must fit what is there.
    let mut models = vec![empty(), two_tiers()];
    let mut one_task = two_tiers();
    one_task.tasks.remove(&eni(5).veth());
    let mut other_groups = two_tiers();
    other_groups.policy = policy(vec![("sg-web", vec![], vec![])]);
    models.extend([one_task, other_groups]);
    for before in &models {
        for after in &models {
            let (before, after) = (render(before), render(after));
            let script = before.changes(&after, TABLE);
            for (verb, table) in [("add", &after), ("delete", &before), ("flush", &before)] {
                for line in script.lines().filter(|line| line.starts_with(verb)) {
                    let mut words = line.split(' ').skip(1);
                    let (kind, name) = (words.next(), words.nth(2).unwrap_or_default());
                    let known = match kind {
                        Some("chain" | "rule") => table.chains.contains_key(name),
                        _ => table.sets.contains_key(name),
                    };
                    assert!(known, "{line}");
                }
            }
            assert_eq!(script.is_empty(), before == after);
        }
    }
}
