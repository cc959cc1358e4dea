//! Devices and addresses, by netlink.

use super::{
    error::{Doing, NetworkError, Result, errno},
    model::Mac,
    routes::route,
};
use futures_util::TryStreamExt;
use nix::errno::Errno;
use rtnetlink::{
    Handle, LinkMessageBuilder, LinkUnspec, LinkVeth,
    packet_route::{
        address::{AddressAttribute, AddressFlags},
        link::{InfoData, InfoKind, InfoVeth, LinkAttribute, LinkInfo, LinkMessage, State},
    },
};
use std::{
    net::{IpAddr, Ipv4Addr},
    os::fd::AsRawFd,
    time::{Duration, Instant},
};
use tokio::task::JoinHandle;

/// The task's end of its veth pair; the other end is in the router. Fargate's own statistics call it eth1 (task metadata endpoint version 4, `networks.eth1`).
pub const TASK_DEVICE: &str = "eth1";
/// No larger than what the way out of a usual machine carries, so that no packet of a task needs splitting.
pub const MTU: u32 = 1500;
/// All ends in the router have the same address: each is alone on its link with one task.
pub const GATEWAY_MAC: Mac = Mac([0x02, 0x4e, 0x47, 0x00, 0x00, 0x01]);
pub(super) const LOOPBACK_INDEX: u32 = 1;
/// How long a device may take to start on a busy machine.
const MAX_START: Duration = Duration::from_secs(5);
const START_POLL: Duration = Duration::from_millis(1);

/// A netlink connection into one network namespace.
pub struct Links {
    pub(super) handle: Handle,
    connection: JoinHandle<()>,
}

impl Drop for Links {
    fn drop(&mut self) {
        self.connection.abort();
    }
}

/// A device as the kernel lists it.
#[derive(Debug, Clone, PartialEq)]
pub struct Link {
    pub index: u32,
    pub name: String,
    pub group: u32,
    pub alias: Option<String>,
    /// Packets pass.
    pub running: bool,
    pub kind: Option<InfoKind>,
}

impl Links {
    /// Connects to the network namespace of the calling thread. Needs a runtime's context.
    pub fn connect() -> Result<Links> {
        let (connection, handle, _) =
            rtnetlink::new_connection().doing(|| "open a netlink socket".into())?;
        Ok(Links {
            handle,
            connection: tokio::spawn(connection),
        })
    }

    pub async fn find(&self, name: &str) -> Result<Option<Link>> {
        let mut found = self
            .handle
            .link()
            .get()
            .match_name(name.to_owned())
            .execute();
        match found.try_next().await {
            Ok(message) => Ok(message.map(link)),
            Err(error) if errno(&error) == Some(Errno::ENODEV) => Ok(None),
            Err(error) => Err(error).doing(|| format!("look for device {name}")),
        }
    }

    pub async fn index(&self, name: &str) -> Result<u32> {
        let missing = || NetworkError::Netlink {
            doing: format!("look for device {name}"),
            message: "it is gone".into(),
        };
        Ok(self.find(name).await?.ok_or_else(missing)?.index)
    }

    /// All devices of a group.
    pub async fn group(&self, group: u32) -> Result<Vec<Link>> {
        let links = self.handle.link().get().execute().map_ok(link);
        let links: Vec<Link> = links.try_collect().await.doing(|| "list devices".into())?;
        Ok(links
            .into_iter()
            .filter(|link| link.group == group)
            .collect())
    }

    /// Makes a veth pair: one end here, the other (its name and hardware address) in `netns`, both down.
    pub async fn add_veth(
        &self,
        name: &str,
        group: u32,
        netns: &impl AsRawFd,
        (peer, mac): (&str, Mac),
    ) -> Result<u32> {
        let there = LinkMessageBuilder::<LinkUnspec>::default()
            .name(peer)
            .address(mac.0.to_vec())
            .mtu(MTU)
            .setns_by_fd(netns.as_raw_fd())
            .build();
        let veth = LinkVeth::new(name, peer)
            .set_info_data(InfoData::Veth(InfoVeth::Peer(there)))
            .address(GATEWAY_MAC.0.to_vec())
            .mtu(MTU)
            .link_group(group)
            .build();
        self.handle
            .link()
            .add(veth)
            .execute()
            .await
            .doing(|| format!("create veth {name}"))?;
        self.index(name).await
    }

    pub async fn up(&self, index: u32, alias: &str) -> Result<()> {
        let mut change = LinkUnspec::new_with_index(index).up();
        if !alias.is_empty() {
            change = change.alias(alias);
        }
        self.handle
            .link()
            .change(change.build())
            .execute()
            .await
            .doing(|| format!("bring device {index} up"))
    }

    /// Deletes one device; gone already is fine.
    pub async fn delete_one(&self, index: u32) -> Result<()> {
        match self.handle.link().del(index).execute().await {
            Err(error) if errno(&error) == Some(Errno::ENODEV) => Ok(()),
            done => done.doing(|| format!("delete device {index}")),
        }
    }

    /// Moves devices into `trash` and deletes that group: one wait for the kernel's readers, not one for each.
    pub async fn delete(&self, indexes: &[u32], trash: u32) -> Result<()> {
        for &index in indexes {
            let change = LinkUnspec::new_with_index(index).link_group(trash).build();
            match self.handle.link().change(change).execute().await {
                Err(error) if errno(&error) == Some(Errno::ENODEV) => {}
                done => done.doing(|| format!("move device {index}"))?,
            }
        }
        self.delete_group(trash).await
    }

    pub async fn delete_group(&self, group: u32) -> Result<()> {
        let message = LinkMessageBuilder::<LinkUnspec>::default()
            .link_group(group)
            .build();
        match self.handle.link().del_with_message(message).execute().await {
            Err(error) if errno(&error) == Some(Errno::ENODEV) => Ok(()),
            done => done.doing(|| format!("delete the devices of group {group:#x}")),
        }
    }

    /// Moves a device into another namespace. It is down there, and what led to it here is gone.
    pub async fn move_to(&self, index: u32, netns: &impl AsRawFd) -> Result<()> {
        let change = LinkUnspec::new_with_index(index).setns_by_fd(netns.as_raw_fd());
        self.handle
            .link()
            .change(change.build())
            .execute()
            .await
            .doing(|| format!("move device {index}"))
    }

    /// IPv4 addresses with their device's index.
    pub async fn addresses(&self) -> Result<Vec<(u32, Ipv4Addr)>> {
        let messages = self.handle.address().get().execute();
        let messages: Vec<_> = messages
            .try_collect()
            .await
            .doing(|| "list addresses".into())?;
        let local = |attribute: &AddressAttribute| match attribute {
            AddressAttribute::Local(IpAddr::V4(address)) => Some(*address),
            _ => None,
        };
        let of = |message: &rtnetlink::packet_route::address::AddressMessage| {
            Some((
                message.header.index,
                message.attributes.iter().find_map(local)?,
            ))
        };
        Ok(messages.iter().filter_map(of).collect())
    }

    pub async fn add_address(&self, index: u32, address: Ipv4Addr, prefix: u8) -> Result<()> {
        let mut request = self.handle.address().add(index, address.into(), prefix);
        // The range behind the prefix is not on this link: everything goes by the gateway.
        request
            .message_mut()
            .attributes
            .push(AddressAttribute::Flags(AddressFlags::Noprefixroute));
        request
            .execute()
            .await
            .doing(|| format!("add address {address}"))
    }

    /// A neighbour that needs no asking and cannot be changed by an answer.
    pub async fn add_neighbour(&self, index: u32, address: Ipv4Addr, mac: Mac) -> Result<()> {
        let request = self
            .handle
            .neighbours()
            .add(index, address.into())
            .link_layer_address(&mac.0);
        request
            .replace()
            .execute()
            .await
            .doing(|| format!("add neighbour {address}"))
    }

    /// Sets up the inside of a task's namespace.
    pub async fn configure_task(
        &self,
        address: Ipv4Addr,
        prefix: u8,
        gateway: Ipv4Addr,
    ) -> Result<()> {
        self.up(LOOPBACK_INDEX, "").await?;
        let index = self.index(TASK_DEVICE).await?;
        self.add_address(index, address, prefix).await?;
        self.up(index, "").await?;
        self.add_neighbour(index, gateway, GATEWAY_MAC).await?;
        let route = route()
            .gateway(gateway)
            .output_interface(index)
            .onlink()
            .build();
        self.handle
            .route()
            .add(route)
            .execute()
            .await
            .doing(|| format!("add a default route by {gateway}"))
    }

    /// Waits until a device sends packets. The kernel starts its queue some time after the other end came up, and drops
    /// what is sent before; asking about the device makes kernels from 6.8 do it at once, others take a moment that
    /// nothing reports reliably.
    pub async fn await_device(&self, name: &str) -> Result<()> {
        let deadline = Instant::now() + MAX_START;
        while !self.find(name).await?.is_some_and(|link| link.running) {
            if Instant::now() > deadline {
                let message = format!("it does not run after {} s", MAX_START.as_secs());
                return Err(NetworkError::Netlink {
                    doing: format!("start device {name}"),
                    message,
                });
            }
            tokio::time::sleep(START_POLL).await;
        }
        Ok(())
    }
}

fn link(message: LinkMessage) -> Link {
    let mut link = Link {
        index: message.header.index,
        name: String::new(),
        group: 0,
        alias: None,
        running: false,
        kind: None,
    };
    for attribute in message.attributes {
        match attribute {
            LinkAttribute::IfName(name) => link.name = name,
            LinkAttribute::Group(group) => link.group = group,
            LinkAttribute::IfAlias(alias) => link.alias = Some(alias),
            LinkAttribute::OperState(state) => link.running = state == State::Up,
            LinkAttribute::LinkInfo(infos) => {
                link.kind = infos.into_iter().find_map(|info| match info {
                    LinkInfo::Kind(kind) => Some(kind),
                    _ => None,
                });
            }
            _ => {}
        }
    }
    link
}
