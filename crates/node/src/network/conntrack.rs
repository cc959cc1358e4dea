//! Flows that the kernel remembers, listed and ended in the messages of linux/netfilter/nfnetlink_conntrack.h.

use super::error::{Doing, Result};
use nix::{
    errno::Errno,
    sys::{
        socket::{
            AddressFamily, MsgFlags, NetlinkAddr, SockFlag, SockProtocol, SockType, recv, sendto,
            setsockopt, socket, sockopt,
        },
        time::{TimeVal, TimeValLike},
    },
};
use std::{
    net::Ipv4Addr,
    os::fd::{AsRawFd, OwnedFd},
};

/// One flow, from its beginner's first packet.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Flow {
    /// Of the VPC; 0: of none.
    pub zone: u16,
    pub original: Tuple,
    /// What answers look like; not the reverse, where addresses are translated.
    pub reply: Tuple,
}

#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Tuple {
    pub from: Option<Ipv4Addr>,
    pub to: Option<Ipv4Addr>,
    pub protocol: u8,
    pub from_port: u16,
    pub to_port: u16,
}

impl Flow {
    pub fn addresses(&self) -> impl Iterator<Item = Ipv4Addr> {
        let [there, back] = [self.original, self.reply];
        [there.from, there.to, back.from, back.to]
            .into_iter()
            .flatten()
    }
}

const HEADER: usize = 16;
/// After the header: family, version, resource (`struct nfgenmsg`).
const FAMILY: [u8; 4] = [2, 0, 0, 0];
const NLM_F_REQUEST: u16 = 1;
const NLM_F_ACK: u16 = 4;
const NLM_F_DUMP: u16 = 0x300;
const NLMSG_ERROR: u16 = 2;
const NLMSG_DONE: u16 = 3;
/// NFNL_SUBSYS_CTNETLINK, with the messages of it.
const CT_NEW: u16 = 0x100;
const CT_GET: u16 = 0x101;
const CT_DELETE: u16 = 0x102;
const CTA_TUPLE_ORIG: u16 = 1;
const CTA_TUPLE_REPLY: u16 = 2;
const CTA_ID: u16 = 12;
const CTA_ZONE: u16 = 18;
const CTA_TUPLE_IP: u16 = 1;
const CTA_TUPLE_PROTO: u16 = 2;
const CTA_TUPLE_ZONE: u16 = 3;
/// Bits of an attribute's type that are none of its number.
const NUMBER: u16 = 0x3fff;
/// As large as the kernel makes one part of a listing.
const BUFFER: usize = 64 * 1024;
/// The kernel answers while it is asked; this only ends a wait that would never end.
const PATIENCE_SECS: i64 = 5;

/// Ends flows, and says which. In the caller's namespace. Blocks.
pub fn end(is_over: impl Fn(&Flow) -> bool) -> Result<Vec<Flow>> {
    let doing = || "end flows of tasks that are gone".to_owned();
    let mut over = Vec::new();
    list(|flow, attributes| {
        if is_over(flow) {
            over.push((flow.clone(), identity(attributes)));
        }
    })?;
    let kill = Socket::open().doing(doing)?;
    for (_, identity) in &over {
        kill.send(CT_DELETE, NLM_F_REQUEST | NLM_F_ACK, identity)
            .doing(doing)?;
        match kill.receive(|_, _| {}) {
            // It ended by itself.
            Ok(()) | Err(Errno::ENOENT) => {}
            Err(errno) => return Err(errno).doing(doing),
        }
    }
    Ok(over.into_iter().map(|(flow, _)| flow).collect())
}

/// Shows all flows, with what the kernel says of them. In the caller's namespace. Blocks.
pub fn list(mut show: impl FnMut(&Flow, &[u8])) -> Result<()> {
    let doing = || "list flows".to_owned();
    let socket = Socket::open().doing(doing)?;
    socket
        .send(CT_GET, NLM_F_REQUEST | NLM_F_DUMP, &[])
        .doing(doing)?;
    socket
        .receive(|kind, body| {
            let attributes = body.get(FAMILY.len()..).unwrap_or_default();
            if kind == CT_NEW {
                show(&flow(attributes), attributes);
            }
        })
        .doing(doing)
}

struct Socket(OwnedFd);

impl Socket {
    fn open() -> nix::Result<Socket> {
        let made = socket(
            AddressFamily::Netlink,
            SockType::Raw,
            SockFlag::SOCK_CLOEXEC,
            SockProtocol::NetlinkNetFilter,
        )?;
        setsockopt(
            &made,
            sockopt::ReceiveTimeout,
            &TimeVal::seconds(PATIENCE_SECS),
        )?;
        Ok(Socket(made))
    }

    fn send(&self, kind: u16, flags: u16, attributes: &[u8]) -> nix::Result<()> {
        let length = (HEADER + FAMILY.len() + attributes.len()) as u32;
        let mut message = Vec::with_capacity(length as usize);
        message.extend(length.to_ne_bytes());
        message.extend(kind.to_ne_bytes());
        message.extend(flags.to_ne_bytes());
        // Sequence and port: one question at a time, and the kernel knows whose.
        message.extend([0; 8]);
        message.extend(FAMILY);
        message.extend(attributes);
        let kernel = NetlinkAddr::new(0, 0);
        sendto(self.0.as_raw_fd(), &message, &kernel, MsgFlags::empty()).map(drop)
    }

    /// Takes messages until the kernel says that it was the last: type and body of each.
    fn receive(&self, mut take: impl FnMut(u16, &[u8])) -> nix::Result<()> {
        let mut buffer = vec![0; BUFFER];
        loop {
            let length = recv(self.0.as_raw_fd(), &mut buffer, MsgFlags::empty())?;
            let mut rest = &buffer[..length];
            while let Some((kind, body, after)) = message(rest) {
                match kind {
                    NLMSG_DONE => return Ok(()),
                    NLMSG_ERROR => {
                        let code = body.first_chunk().copied().map_or(0, i32::from_ne_bytes);
                        return match code {
                            0 => Ok(()),
                            code => Err(Errno::from_raw(-code)),
                        };
                    }
                    _ => take(kind, body),
                }
                rest = after;
            }
        }
    }
}

/// Type and body of the first message, and what follows it.
fn message(bytes: &[u8]) -> Option<(u16, &[u8], &[u8])> {
    let length = u32::from_ne_bytes(*bytes.first_chunk()?) as usize;
    let kind = u16::from_ne_bytes(*bytes.get(4..)?.first_chunk()?);
    let body = bytes.get(HEADER..length)?;
    let after = bytes.get(length.next_multiple_of(4)..);
    Some((kind, body, after.unwrap_or_default()))
}

/// Number and value of each attribute, with all its bytes.
fn attributes(mut bytes: &[u8]) -> impl Iterator<Item = (u16, &[u8], &[u8])> {
    std::iter::from_fn(move || {
        let length = usize::from(u16::from_ne_bytes(*bytes.first_chunk()?));
        let number = u16::from_ne_bytes(*bytes.get(2..)?.first_chunk()?) & NUMBER;
        let value = bytes.get(4..length)?;
        let whole = &bytes[..length.next_multiple_of(4).min(bytes.len())];
        bytes = &bytes[whole.len()..];
        Some((number, value, whole))
    })
}

fn flow(bytes: &[u8]) -> Flow {
    let mut flow = Flow::default();
    for (number, value, _) in attributes(bytes) {
        match number {
            CTA_ZONE => flow.zone = short(value),
            CTA_TUPLE_ORIG => flow.original = tuple(value, &mut flow.zone),
            CTA_TUPLE_REPLY => flow.reply = tuple(value, &mut flow.zone),
            _ => {}
        }
    }
    flow
}

/// A zone may be of one direction only.
fn tuple(bytes: &[u8], zone: &mut u16) -> Tuple {
    let mut tuple = Tuple::default();
    let address = |value: &[u8]| {
        value
            .first_chunk()
            .copied()
            .map(<[u8; 4] as Into<Ipv4Addr>>::into)
    };
    for (number, value, _) in attributes(bytes) {
        match number {
            CTA_TUPLE_ZONE => *zone = short(value),
            CTA_TUPLE_IP => {
                for (number, value, _) in attributes(value) {
                    match number {
                        1 => tuple.from = address(value),
                        2 => tuple.to = address(value),
                        _ => {}
                    }
                }
            }
            CTA_TUPLE_PROTO => {
                for (number, value, _) in attributes(value) {
                    match number {
                        1 => tuple.protocol = value.first().copied().unwrap_or_default(),
                        2 => tuple.from_port = short(value),
                        3 => tuple.to_port = short(value),
                        _ => {}
                    }
                }
            }
            _ => {}
        }
    }
    tuple
}

fn short(value: &[u8]) -> u16 {
    value.first_chunk().copied().map_or(0, u16::from_be_bytes)
}

/// The attributes by which the kernel knows which one is meant.
fn identity(bytes: &[u8]) -> Vec<u8> {
    attributes(bytes)
        .filter(|(number, _, _)| matches!(*number, CTA_TUPLE_ORIG | CTA_ZONE | CTA_ID))
        .flat_map(|(_, _, whole)| whole.iter().copied())
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn attribute(number: u16, value: &[u8]) -> Vec<u8> {
        let mut bytes = (value.len() as u16 + 4).to_ne_bytes().to_vec();
        bytes.extend(number.to_ne_bytes());
        bytes.extend(value);
        bytes.resize(bytes.len().next_multiple_of(4), 0);
        bytes
    }

    #[test]
    fn flows_are_read_as_the_kernel_writes_them() {
        const NESTED: u16 = 0x8000;
        let tuple = |number, from: [u8; 4], to: [u8; 4], zone: &[u8]| {
            let ip = [attribute(1, &from), attribute(2, &to)].concat();
            let mut parts = attribute(CTA_TUPLE_IP | NESTED, &ip);
            let ports = [
                attribute(1, &[6]),
                attribute(2, &[0, 9]),
                attribute(3, &[0, 80]),
            ];
            parts.extend(attribute(CTA_TUPLE_PROTO | NESTED, &ports.concat()));
            if !zone.is_empty() {
                parts.extend(attribute(CTA_TUPLE_ZONE, zone));
            }
            attribute(number | NESTED, &parts)
        };
        let there = tuple(CTA_TUPLE_ORIG, [10, 0, 0, 1], [10, 0, 0, 2], &[]);
        let back = tuple(CTA_TUPLE_REPLY, [10, 0, 0, 3], [10, 0, 0, 1], &[]);
        let (status, zone) = (attribute(3, &[0; 4]), attribute(CTA_ZONE, &[0, 7]));
        let bytes = [&there[..], &back, &status, &zone].concat();
        let addresses = [1, 2, 3, 1].map(|last| Ipv4Addr::new(10, 0, 0, last));
        let read = flow(&bytes);
        assert_eq!(read.zone, 7);
        assert_eq!(read.addresses().collect::<Vec<_>>(), addresses);
        let original = read.original;
        let ports = (original.protocol, original.from_port, original.to_port);
        assert_eq!(ports, (6, 9, 80));
        assert_eq!(identity(&bytes), [&there[..], &zone].concat());
        let there = tuple(CTA_TUPLE_ORIG, [10, 0, 0, 1], [10, 0, 0, 2], &[1, 0]);
        assert_eq!(flow(&there).zone, 256);
        // What is cut off ends the reading, and nothing else does.
        for end in 0..bytes.len() {
            flow(&bytes[..end]);
            message(&bytes[..end]);
        }
    }
}
