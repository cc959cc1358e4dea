//! Names that the control plane gives to tasks beside those that a VPC has by itself: load balancers.
//!
//! One table per VPC, replaced whole, so that a question sees the old names or the new ones.

use crate::network::{
    error::{NetworkError, Result},
    model::{VpcId, is_host_name, parse},
};
use neargate_node_api as proto;
use parking_lot::{Mutex, RwLock};
use std::{
    collections::{BTreeMap, HashMap},
    net::Ipv4Addr,
    sync::Arc,
};

/// The suffix that load balancers' names have in development. Nobody but us knows names below it.
const OWN_SUFFIX: &str = ".elb.localhost";

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Named {
    pub addresses: Vec<Ipv4Addr>,
    pub ttl_secs: u32,
}

type Table = BTreeMap<String, Named>;

/// The names of all VPCs, also of those that have no tasks here yet.
#[derive(Debug, Default)]
pub struct Names(Mutex<HashMap<VpcId, Arc<VpcNames>>>);

/// The names of one VPC, in lower case.
#[derive(Debug, Default)]
pub struct VpcNames(RwLock<Arc<Table>>);

/// What is known of a name.
#[derive(Debug, PartialEq, Eq)]
pub enum Lookup {
    Found(Named),
    /// A name that only we could know, and do not.
    Absent,
    Foreign,
}

impl Names {
    /// Replaces the names of all VPCs.
    pub fn replace(&self, message: &proto::DnsRecords) -> Result<()> {
        let mut tables: HashMap<VpcId, Table> = HashMap::new();
        for record in &message.records {
            let name = record.name.trim_end_matches('.').to_ascii_lowercase();
            if !is_host_name(&name) {
                return Err(NetworkError::Invalid {
                    what: "DNS name",
                    value: record.name.clone(),
                    reason: "it must be letters, digits, dashes and dots".into(),
                });
            }
            let addresses = record
                .ipv4_addresses
                .iter()
                .map(|text| parse("address of a DNS name", text))
                .collect::<Result<_>>()?;
            let named = Named {
                addresses,
                ttl_secs: record.ttl_secs,
            };
            tables
                .entry(record.vpc_id.parse()?)
                .or_default()
                .insert(name, named);
        }
        let mut vpcs = self.0.lock();
        for (id, known) in vpcs.iter() {
            if !tables.contains_key(id) {
                known.set(Table::new());
            }
        }
        for (id, table) in tables {
            vpcs.entry(id).or_default().set(table);
        }
        // A VPC whose resolver is gone and that has no names either needs no table.
        vpcs.retain(|_, known| Arc::strong_count(known) > 1 || !known.0.read().is_empty());
        Ok(())
    }

    /// The names of a VPC, for its resolver: later changes show there.
    pub fn of(&self, vpc: &VpcId) -> Arc<VpcNames> {
        self.0.lock().entry(vpc.clone()).or_default().clone()
    }
}

impl VpcNames {
    fn set(&self, table: Table) {
        *self.0.write() = Arc::new(table);
    }

    /// `name` without the dot at its end, in any case.
    pub fn look_up(&self, name: &str) -> Lookup {
        let name = name.to_ascii_lowercase();
        match self.0.read().get(&name) {
            Some(named) => Lookup::Found(named.clone()),
            None if name.ends_with(OWN_SUFFIX) => Lookup::Absent,
            None => Lookup::Foreign,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(vpc: &str, name: &str, addresses: &[&str]) -> proto::DnsRecord {
        proto::DnsRecord {
            vpc_id: vpc.to_owned(),
            name: name.to_owned(),
            ipv4_addresses: addresses.iter().map(ToString::to_string).collect(),
            ttl_secs: 60,
        }
    }

    #[test]
    fn a_vpc_hears_of_its_own_names_only_and_at_once() {
        let names = Names::default();
        let (one, two) = (
            names.of(&"vpc-1".parse().expect("an id")),
            names.of(&"vpc-2".parse().expect("an id")),
        );
        let found = |addresses: &[&str]| {
            Lookup::Found(Named {
                addresses: addresses.iter().map(|a| a.parse().expect("one")).collect(),
                ttl_secs: 60,
            })
        };
        let web = "web-1.us-east-1.elb.localhost";
        let message = |records| proto::DnsRecords { records };
        for (name, records, question, want_one, want_two) in [
            ("nothing told", vec![], web, Lookup::Absent, Lookup::Absent),
            (
                "in one VPC",
                vec![record("vpc-1", web, &["10.0.0.5", "10.0.1.5"])],
                "Web-1.US-EAST-1.elb.localhost",
                found(&["10.0.0.5", "10.0.1.5"]),
                Lookup::Absent,
            ),
            (
                "moved, and written otherwise",
                vec![record(
                    "vpc-2",
                    "WEB-1.us-east-1.elb.localhost.",
                    &["10.0.0.6"],
                )],
                web,
                Lookup::Absent,
                found(&["10.0.0.6"]),
            ),
            ("gone", vec![], web, Lookup::Absent, Lookup::Absent),
            (
                "the world's",
                vec![],
                "example.com",
                Lookup::Foreign,
                Lookup::Foreign,
            ),
        ] {
            names.replace(&message(records)).expect("valid records");
            assert_eq!(one.look_up(question), want_one, "{name}");
            assert_eq!(two.look_up(question), want_two, "{name}");
        }
    }

    #[test]
    fn a_bad_record_changes_nothing() {
        let names = Names::default();
        let vpc = names.of(&"vpc-1".parse().expect("an id"));
        let good = record("vpc-1", "a.elb.localhost", &["10.0.0.5"]);
        names
            .replace(&proto::DnsRecords {
                records: vec![good.clone()],
            })
            .expect("valid");
        for bad in [
            record("vpc-1", "a b", &[]),
            record("vpc-1", "", &[]),
            record("vpc-1", "b.elb.localhost", &["10.0.0"]),
            record("nowhere", "b.elb.localhost", &["10.0.0.6"]),
        ] {
            let name = format!("{bad:?}");
            names
                .replace(&proto::DnsRecords {
                    records: vec![good.clone(), bad],
                })
                .expect_err(&name);
            assert!(
                matches!(vpc.look_up("a.elb.localhost"), Lookup::Found(_)),
                "{name}"
            );
        }
    }
}
