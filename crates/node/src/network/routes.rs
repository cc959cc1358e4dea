//! Routes and routing rules, by netlink.

use super::{
    error::{Doing, Result, errno},
    links::{LOOPBACK_INDEX, Links},
    uplink::Uplink,
};
use futures_util::TryStreamExt;
use ipnet::Ipv4Net;
use nix::errno::Errno;
use rtnetlink::{
    RouteMessageBuilder,
    packet_route::{
        AddressFamily,
        route::{
            RouteAddress, RouteAttribute, RouteHeader, RouteMessage, RouteProtocol, RouteScope,
            RouteType,
        },
        rule::{RuleAction, RuleAttribute, RuleMessage},
    },
};
use std::net::Ipv4Addr;

/// Where in the order of routing rules ours are: before the machine's main table (32766).
const RULE_PRIORITY: u32 = 0x4e47;
/// "N": tells our routes and rules from other programs'.
const PROTOCOL: RouteProtocol = RouteProtocol::Other(0x4e);

/// The table of what a namespace takes in for others, in that namespace.
const TAKEN_IN_TABLE: u32 = 0x4e47;

/// What the machine itself would do with a packet to an address.
#[derive(Debug, Clone, PartialEq)]
pub enum HostRoute {
    /// Nothing, or send it to a router far away.
    Elsewhere,
    /// The address is the machine's own.
    Own,
    /// The address is on a network that the machine is connected to.
    Connected,
    /// Hand it to our router.
    Uplink,
}

impl Links {
    /// Leads an address to a device in one routing table.
    pub async fn add_task_route(&self, address: Ipv4Addr, index: u32, table: u32) -> Result<()> {
        let route = task_route(address, index).table_id(table).build();
        let request = self.handle.route().add(route).replace();
        request
            .execute()
            .await
            .doing(|| format!("add a route to {address}"))
    }

    /// Leads an address to a device for what has no mark: in the router, what comes from the machine. False: another
    /// device has the address already.
    pub async fn add_unmarked_route(&self, address: Ipv4Addr, index: u32) -> Result<bool> {
        let route = task_route(address, index).build();
        let what = || format!("add an unmarked route to {address}");
        if self.add_new_route(route, what).await? {
            return Ok(true);
        }
        let there = self.route_to(address).await?;
        Ok(there.is_some_and(|route| device_of(&route) == Some(index)))
    }

    async fn add_new_route(
        &self,
        route: RouteMessage,
        what: impl FnOnce() -> String,
    ) -> Result<bool> {
        match self.handle.route().add(route).execute().await {
            Ok(()) => Ok(true),
            Err(error) if errno(&error) == Some(Errno::EEXIST) => Ok(false),
            Err(error) => Err(error).doing(what),
        }
    }

    /// Leads to the one neighbour behind a device.
    pub async fn lead_to_neighbour(&self, address: Ipv4Addr, index: u32) -> Result<()> {
        let request = self
            .handle
            .route()
            .add(task_route(address, index).build())
            .replace();
        request
            .execute()
            .await
            .doing(|| format!("add a route to {address}"))
    }

    /// On the machine: leads a range to the router. False: the machine has a route to exactly that range.
    pub async fn lead_to_router(&self, range: Ipv4Net, uplink: &Uplink) -> Result<bool> {
        let route = by_uplink(range, uplink).pref_source(uplink.machine).build();
        self.add_new_route(route, || format!("add the machine's route to {range}"))
            .await
    }

    /// Undoes [`Links::lead_to_router`]; gone already is fine.
    pub async fn unlead(&self, range: Ipv4Net, uplink: &Uplink) -> Result<()> {
        let route = by_uplink(range, uplink).build();
        match self.handle.route().del(route).execute().await {
            Err(error) if errno(&error) == Some(Errno::ESRCH) => Ok(()),
            done => done.doing(|| format!("remove the machine's route to {range}")),
        }
    }

    /// The routes of the main table by which addresses leave: destination and device.
    pub async fn main_routes(&self) -> Result<Vec<(Ipv4Net, Option<u32>)>> {
        let query = RouteMessageBuilder::<Ipv4Addr>::new().build();
        let all = self.handle.route().get(query).execute();
        let all: Vec<RouteMessage> = all.try_collect().await.doing(|| "list routes".into())?;
        let main = all
            .iter()
            .filter(|message| message.header.table == RouteHeader::RT_TABLE_MAIN);
        let destination = |message: &RouteMessage| {
            let address = message.attributes.iter().find_map(|a| match a {
                RouteAttribute::Destination(RouteAddress::Inet(address)) => Some(*address),
                _ => None,
            });
            let address = address.unwrap_or(Ipv4Addr::UNSPECIFIED);
            Ipv4Net::new(address, message.header.destination_prefix_length).ok()
        };
        Ok(main
            .filter_map(|message| Some((destination(message)?, device_of(message))))
            .collect())
    }

    /// What the machine would do with a packet of its own to `address`.
    pub async fn host_route(&self, address: Ipv4Addr, uplink: &Uplink) -> Result<HostRoute> {
        let Some(answer) = self.route_to(address).await? else {
            return Ok(HostRoute::Elsewhere);
        };
        if answer.header.kind == RouteType::Local {
            return Ok(HostRoute::Own);
        }
        let gateway = answer
            .attributes
            .iter()
            .any(|a| matches!(a, RouteAttribute::Gateway(_) | RouteAttribute::Via(_)));
        Ok(match device_of(&answer) {
            Some(index) if index == uplink.index => HostRoute::Uplink,
            Some(_) if !gateway => HostRoute::Connected,
            _ => HostRoute::Elsewhere,
        })
    }

    /// The route that a packet without a mark would take.
    async fn route_to(&self, address: Ipv4Addr) -> Result<Option<RouteMessage>> {
        let query = RouteMessageBuilder::<Ipv4Addr>::new()
            .destination_prefix(address, 32)
            .build();
        match self.handle.route().get(query).execute().try_next().await {
            Ok(answer) => Ok(answer),
            // No route at all, or one that says "no".
            Err(error) if errno(&error).is_some() => Ok(None),
            Err(error) => Err(error).doing(|| format!("ask for the route to {address}")),
        }
    }

    /// Routes packets with a mark by the table of the same number. False: somebody has that rule already.
    pub async fn add_mark_rule(&self, mark: u32) -> Result<bool> {
        let mut request = self.handle.rule().add().v4();
        *request.message_mut() = mark_rule(mark);
        match request.execute().await {
            Ok(()) => Ok(true),
            Err(error) if errno(&error) == Some(Errno::EEXIST) => Ok(false),
            Err(error) => Err(error).doing(|| format!("add the routing rule for mark {mark:#x}")),
        }
    }

    pub async fn remove_mark_rule(&self, mark: u32) -> Result<()> {
        match self.handle.rule().del(mark_rule(mark)).execute().await {
            Err(error) if errno(&error) == Some(Errno::ENOENT) => Ok(()),
            done => done.doing(|| format!("remove the routing rule for mark {mark:#x}")),
        }
    }

    /// Removes all rules about a mark, whoever made them.
    pub async fn remove_rules_of_mark(&self, mark: u32) -> Result<()> {
        loop {
            let mut rule = RuleMessage::default();
            rule.header.family = AddressFamily::Inet;
            rule.header.action = RuleAction::ToTable;
            rule.attributes = vec![RuleAttribute::FwMark(mark)];
            match self.handle.rule().del(rule).execute().await {
                Ok(()) => {}
                Err(error) if errno(&error) == Some(Errno::ENOENT) => return Ok(()),
                Err(error) => {
                    return Err(error)
                        .doing(|| format!("remove the routing rules for mark {mark:#x}"));
                }
            }
        }
    }

    /// Leads everything in one routing table (or the main one) to the address behind a device.
    pub async fn lead_all(&self, address: Ipv4Addr, index: u32, table: Option<u32>) -> Result<()> {
        let all = route().gateway(address).output_interface(index).onlink();
        let table = table.unwrap_or(RouteHeader::RT_TABLE_MAIN.into());
        let request = self.handle.route().add(all.table_id(table).build());
        request
            .replace()
            .execute()
            .await
            .doing(|| format!("lead table {table:#x} to {address}"))
    }

    /// Takes in whatever comes by a device, to whichever address: for sockets that have those of others.
    pub async fn take_in_all(&self, device: &str) -> Result<()> {
        let all = route()
            .output_interface(LOOPBACK_INDEX)
            .kind(RouteType::Local)
            .scope(RouteScope::Host)
            .table_id(TAKEN_IN_TABLE)
            .build();
        let request = self.handle.route().add(all).replace();
        request
            .execute()
            .await
            .doing(|| "add a route for all addresses".into())?;
        let mut rule = RuleMessage::default();
        rule.header.family = AddressFamily::Inet;
        rule.header.action = RuleAction::ToTable;
        rule.header.table = RouteHeader::RT_TABLE_UNSPEC;
        rule.attributes = vec![
            RuleAttribute::Iifname(device.to_owned()),
            RuleAttribute::Table(TAKEN_IN_TABLE),
            RuleAttribute::Priority(RULE_PRIORITY),
            RuleAttribute::Protocol(PROTOCOL),
        ];
        let mut request = self.handle.rule().add().v4();
        *request.message_mut() = rule;
        request
            .execute()
            .await
            .doing(|| format!("add the routing rule for {device}"))
    }

    /// The rest of a VPC's range leads nowhere, and not to whatever the main table has there: silently as on AWS for
    /// those in the VPC, and with a word to the machine.
    pub async fn close_range(&self, range: Ipv4Net, table: u32) -> Result<()> {
        let silent = closed(range, RouteType::BlackHole).table_id(table).build();
        for route in [silent, closed(range, RouteType::Unreachable).build()] {
            let request = self.handle.route().add(route).replace();
            request
                .execute()
                .await
                .doing(|| format!("close the range {range}"))?;
        }
        Ok(())
    }

    /// Undoes the part of [`Links::close_range`] that is not in the VPC's own table.
    pub async fn reopen_range(&self, range: Ipv4Net) -> Result<()> {
        let route = closed(range, RouteType::Unreachable).build();
        match self.handle.route().del(route).execute().await {
            Err(error) if errno(&error) == Some(Errno::ESRCH) => Ok(()),
            done => done.doing(|| format!("open the range {range}")),
        }
    }

    pub async fn flush_table(&self, table: u32) -> Result<()> {
        let all = self
            .handle
            .route()
            .get(RouteMessageBuilder::<Ipv4Addr>::new().build())
            .execute();
        let all: Vec<RouteMessage> = all.try_collect().await.doing(|| "list routes".into())?;
        for message in all
            .into_iter()
            .filter(|message| message.attributes.contains(&RouteAttribute::Table(table)))
        {
            match self.handle.route().del(message).execute().await {
                Err(error) if errno(&error) == Some(Errno::ESRCH) => {}
                done => done.doing(|| format!("empty routing table {table:#x}"))?,
            }
        }
        Ok(())
    }
}

fn device_of(route: &RouteMessage) -> Option<u32> {
    route.attributes.iter().find_map(|a| match a {
        RouteAttribute::Oif(index) => Some(*index),
        _ => None,
    })
}

pub(super) fn route() -> RouteMessageBuilder<Ipv4Addr> {
    RouteMessageBuilder::<Ipv4Addr>::new().protocol(PROTOCOL)
}

fn closed(range: Ipv4Net, kind: RouteType) -> RouteMessageBuilder<Ipv4Addr> {
    route()
        .destination_prefix(range.network(), range.prefix_len())
        .kind(kind)
}

fn by_uplink(range: Ipv4Net, uplink: &Uplink) -> RouteMessageBuilder<Ipv4Addr> {
    route()
        .destination_prefix(range.network(), range.prefix_len())
        .gateway(uplink.router)
        .output_interface(uplink.index)
        .onlink()
}

fn task_route(address: Ipv4Addr, index: u32) -> RouteMessageBuilder<Ipv4Addr> {
    route()
        .destination_prefix(address, 32)
        .output_interface(index)
        .scope(RouteScope::Link)
}

fn mark_rule(mark: u32) -> RuleMessage {
    let mut rule = RuleMessage::default();
    rule.header.family = AddressFamily::Inet;
    rule.header.action = RuleAction::ToTable;
    rule.attributes = vec![
        RuleAttribute::FwMark(mark),
        RuleAttribute::Table(mark),
        RuleAttribute::Priority(RULE_PRIORITY),
        RuleAttribute::Protocol(PROTOCOL),
    ];
    rule
}
