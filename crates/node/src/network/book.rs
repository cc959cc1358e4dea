//! Who has what on this node: tasks, VPCs, addresses.

use super::{
    NetworkError, Result, dns,
    model::{Interface, TaskId, VpcId},
    relays,
    router::Router,
    rules::Vpc,
    state::Saved,
    vpc::{self, VpcRecord, mark},
};
use ipnet::Ipv4Net;
use std::{
    collections::{BTreeMap, BTreeSet, HashMap, HashSet},
    net::Ipv4Addr,
    path::Path,
};

/// Who has what.
pub struct Book {
    pub saved: Saved,
    pub resolvers: HashMap<VpcId, dns::Server>,
    pub names: dns::Names,
    pub tasks: HashMap<TaskId, Attached>,
    /// Whose task the machine reaches by an address.
    pub host_routes: HashMap<Ipv4Addr, TaskId>,
}

/// Where the services of a VPC are.
pub struct Place<'a> {
    pub router: &'a Router,
    /// The router's own address.
    pub address: Ipv4Addr,
    pub resolv_conf: &'a Path,
}

#[derive(Clone)]
pub struct Attached {
    pub interface: Interface,
    pub vpc: VpcId,
    /// 0 until the device exists.
    pub index: u32,
}

impl Book {
    /// Starts with what an earlier process saved: its VPCs get their tables and resolvers back.
    pub async fn open(saved: Saved, place: Place<'_>) -> Result<Book> {
        let mut book = Book {
            saved,
            resolvers: HashMap::new(),
            names: dns::Names::default(),
            tasks: HashMap::new(),
            host_routes: HashMap::new(),
        };
        for &number in book.saved.relays.values() {
            relays::restore(&place.router.links, number).await?;
        }
        for (id, record) in &book.saved.vpcs {
            vpc::restore(&place.router.links, record).await?;
            book.resolvers.insert(
                id.clone(),
                resolver((id, record), &place, &book.names).await?,
            );
        }
        Ok(book)
    }

    /// Makes a VPC known on this node.
    pub async fn add_vpc(
        &mut self,
        id: &VpcId,
        interface: &Interface,
        place: Place<'_>,
    ) -> Result<()> {
        let naming = (interface.vpc_cidr, interface.domain.as_str());
        let record = vpc::create(&place.router.links, id, naming, &self.saved.vpcs).await?;
        let server = resolver((id, &record), &place, &self.names).await;
        // In the book even if the resolver failed, so that it is removed with the rest.
        self.saved.vpcs.insert(id.clone(), record);
        self.resolvers.insert(id.clone(), server?);
        Ok(())
    }

    /// A VPC as the firewall needs it.
    pub fn firewall_vpc(&self, id: &VpcId) -> Option<Vpc> {
        let record = self.saved.vpcs.get(id)?;
        let dns = self.resolvers.get(id).map(|server| server.ports);
        Some(Vpc {
            number: record.number,
            cidr: record.cidr,
            dns,
        })
    }

    /// How the flows of a task are known: its address, in its VPC's zone, and in none if the machine and the world mean
    /// it by that address.
    pub fn flows_of(&self, task: &TaskId, attached: &Attached) -> (Ipv4Addr, Vec<u16>) {
        let address = attached.interface.address;
        let vpc = self.saved.vpcs.get(&attached.vpc);
        let own = vpc.map(|vpc| vpc::zone(vpc.number));
        let unmarked = (self.host_routes.get(&address) == Some(task)).then_some(0);
        (address, own.into_iter().chain(unmarked).collect())
    }

    /// The ranges of all VPCs.
    pub fn ranges(&self) -> BTreeSet<Ipv4Net> {
        self.saved.vpcs.values().map(|vpc| vpc.cidr).collect()
    }

    /// The mark of the flows that a relaying interface begins.
    pub fn relay_mark(&self, interface: &Interface) -> Option<u32> {
        let number = self.saved.relays.get(&interface.eni).copied();
        number.map(relays::mark)
    }

    pub fn firewall_vpcs(&self) -> BTreeMap<VpcId, Vpc> {
        let vpcs = self.saved.vpcs.keys();
        vpcs.filter_map(|id| Some((id.clone(), self.firewall_vpc(id)?)))
            .collect()
    }

    /// A task's VPC is that of its security groups.
    pub fn vpc_of(&self, interface: &Interface) -> Result<VpcId> {
        let mut vpcs = HashSet::new();
        for id in &interface.groups {
            let group = self.saved.policy.groups.get(id);
            vpcs.insert(
                &group
                    .ok_or_else(|| NetworkError::UnknownSecurityGroup(id.to_string()))?
                    .vpc,
            );
        }
        let mut vpcs = vpcs.into_iter();
        match (vpcs.next(), vpcs.next()) {
            (Some(vpc), None) => Ok(vpc.clone()),
            _ => Err(NetworkError::Invalid {
                what: "network interface",
                value: interface.eni.to_string(),
                reason: "its security groups must be of one VPC".into(),
            }),
        }
    }
}

async fn resolver(
    (id, record): (&VpcId, &VpcRecord),
    place: &Place<'_>,
    names: &dns::Names,
) -> Result<dns::Server> {
    let zone = dns::Zone::new(record.cidr, &record.domain, names.of(id));
    let mark = mark(record.number);
    dns::Server::start(place.router, place.address, mark, zone, place.resolv_conf).await
}
