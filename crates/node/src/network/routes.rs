//! Routes and routing rules, by netlink.

use super::{
    error::{Doing, Result, errno},
    links::{LOOPBACK_INDEX, Links},
};
use futures_util::TryStreamExt;
use ipnet::Ipv4Net;
use nix::errno::Errno;
use rtnetlink::{
    RouteMessageBuilder,
    packet_route::{
        AddressFamily,
        route::{RouteAttribute, RouteHeader, RouteMessage, RouteProtocol, RouteScope, RouteType},
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
    /// The address is on a network that the machine is connected to, or another task's.
    Connected(u32),
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

    /// Leads an address to a device for the machine itself. False: the machine has another route to exactly it.
    pub async fn add_host_route(
        &self,
        address: Ipv4Addr,
        index: u32,
        source: Ipv4Addr,
    ) -> Result<bool> {
        let route = task_route(address, index).pref_source(source).build();
        match self.handle.route().add(route).execute().await {
            Ok(()) => Ok(true),
            Err(error) if errno(&error) == Some(Errno::EEXIST) => Ok(false),
            Err(error) => Err(error).doing(|| format!("add the host's route to {address}")),
        }
    }

    /// What the machine would do with a packet of its own to `address`.
    pub async fn host_route(&self, address: Ipv4Addr) -> Result<HostRoute> {
        let query = RouteMessageBuilder::<Ipv4Addr>::new()
            .destination_prefix(address, 32)
            .build();
        let answer = match self.handle.route().get(query).execute().try_next().await {
            Ok(answer) => answer,
            // No route at all, or one that says "no".
            Err(error) if errno(&error).is_some() => None,
            Err(error) => return Err(error).doing(|| format!("ask for the route to {address}")),
        };
        let Some(answer) = answer else {
            return Ok(HostRoute::Elsewhere);
        };
        if answer.header.kind == RouteType::Local {
            return Ok(HostRoute::Own);
        }
        let gateway = answer
            .attributes
            .iter()
            .any(|a| matches!(a, RouteAttribute::Gateway(_) | RouteAttribute::Via(_)));
        let device = answer.attributes.iter().find_map(|a| match a {
            RouteAttribute::Oif(index) => Some(*index),
            _ => None,
        });
        Ok(match device {
            Some(index) if !gateway => HostRoute::Connected(index),
            _ => HostRoute::Elsewhere,
        })
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

    /// Routes what comes with a mark by a device by another table than [`Links::add_mark_rule`] says.
    pub async fn add_device_rule(&self, device: &str, mark: u32, table: u32) -> Result<()> {
        let mut request = self.handle.rule().add().v4();
        *request.message_mut() = device_rule(device, mark);
        let table = RuleAttribute::Table(table);
        request.message_mut().attributes.push(table);
        match request.execute().await {
            Err(error) if errno(&error) == Some(Errno::EEXIST) => Ok(()),
            done => done.doing(|| format!("add the routing rule for {device} and mark {mark:#x}")),
        }
    }

    pub async fn remove_device_rule(&self, device: &str, mark: u32) -> Result<()> {
        let rule = device_rule(device, mark);
        match self.handle.rule().del(rule).execute().await {
            Err(error) if errno(&error) == Some(Errno::ENOENT) => Ok(()),
            done => {
                done.doing(|| format!("remove the routing rule for {device} and mark {mark:#x}"))
            }
        }
    }

    /// Leads everything in one routing table to the address behind a device.
    pub async fn lead_all(&self, address: Ipv4Addr, index: u32, table: u32) -> Result<()> {
        let all = route().gateway(address).output_interface(index).onlink();
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

    /// The rest of a VPC's range leads nowhere, silently as on AWS, and not to whatever the machine's main table has there.
    pub async fn close_range(&self, range: Ipv4Net, table: u32) -> Result<()> {
        let route = route()
            .destination_prefix(range.network(), range.prefix_len())
            .kind(RouteType::BlackHole)
            .table_id(table)
            .build();
        let request = self.handle.route().add(route).replace();
        request
            .execute()
            .await
            .doing(|| format!("close the range {range} in table {table:#x}"))
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

pub(super) fn route() -> RouteMessageBuilder<Ipv4Addr> {
    RouteMessageBuilder::<Ipv4Addr>::new().protocol(PROTOCOL)
}

fn task_route(address: Ipv4Addr, index: u32) -> RouteMessageBuilder<Ipv4Addr> {
    route()
        .destination_prefix(address, 32)
        .output_interface(index)
        .scope(RouteScope::Link)
}

/// Before the rule of the mark alone.
fn device_rule(device: &str, mark: u32) -> RuleMessage {
    let mut rule = RuleMessage::default();
    rule.header.family = AddressFamily::Inet;
    rule.header.action = RuleAction::ToTable;
    rule.attributes = vec![
        RuleAttribute::FwMark(mark),
        RuleAttribute::Iifname(device.to_owned()),
        RuleAttribute::Priority(RULE_PRIORITY - 1),
        RuleAttribute::Protocol(PROTOCOL),
    ];
    rule
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
