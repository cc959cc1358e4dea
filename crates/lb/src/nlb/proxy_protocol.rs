//! The header of the PROXY protocol, version 2, by which targets learn the client's address.
//!
//! Source: the HAProxy project's specification, section 2.2; AWS: "Target groups for your Network Load Balancers",
//! Proxy protocol.

use std::net::{IpAddr, SocketAddr};

const SIGNATURE: &[u8; 12] = b"\r\n\r\n\0\r\nQUIT\n";
/// Version 2, command PROXY.
const PROXY: u8 = 0x21;
const TCP_OVER_IPV4: u8 = 0x11;
const TCP_OVER_IPV6: u8 = 0x21;

/// The header for a connection of `client` to `local`. An address of IPv4 that came in IPv6's clothes is IPv4's.
pub fn header(client: SocketAddr, local: SocketAddr) -> Vec<u8> {
    let mut header = Vec::with_capacity(52);
    header.extend_from_slice(SIGNATURE);
    header.push(PROXY);
    match (client.ip().to_canonical(), local.ip().to_canonical()) {
        (IpAddr::V4(from), IpAddr::V4(to)) => {
            header.push(TCP_OVER_IPV4);
            header.extend_from_slice(&12u16.to_be_bytes());
            header.extend_from_slice(&from.octets());
            header.extend_from_slice(&to.octets());
        }
        (from, to) => {
            header.push(TCP_OVER_IPV6);
            header.extend_from_slice(&36u16.to_be_bytes());
            header.extend_from_slice(&in_ipv6(from));
            header.extend_from_slice(&in_ipv6(to));
        }
    }
    header.extend_from_slice(&client.port().to_be_bytes());
    header.extend_from_slice(&local.port().to_be_bytes());
    header
}

fn in_ipv6(ip: IpAddr) -> [u8; 16] {
    match ip {
        IpAddr::V4(ip) => ip.to_ipv6_mapped().octets(),
        IpAddr::V6(ip) => ip.octets(),
    }
}

#[cfg(test)]
mod tests {
    use super::header;

    #[test]
    fn addresses_and_ports_are_in_network_order() {
        let start = b"\r\n\r\n\0\r\nQUIT\n\x21";
        for (name, client, local, want) in [
            (
                "IPv4",
                "192.0.2.1:513",
                "10.0.0.9:443",
                &b"\x11\0\x0c\xc0\0\x02\x01\x0a\0\0\x09\x02\x01\x01\xbb"[..],
            ),
            (
                "IPv4 mapped",
                "[::ffff:192.0.2.1]:513",
                "10.0.0.9:443",
                b"\x11\0\x0c\xc0\0\x02\x01\x0a\0\0\x09\x02\x01\x01\xbb",
            ),
            (
                "IPv6",
                "[2001:db8::1]:1",
                "[::2]:2",
                b"\x21\0\x24\x20\x01\x0d\xb8\0\0\0\0\0\0\0\0\0\0\0\x01\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\x02\0\x01\0\x02",
            ),
        ] {
            let got = header(client.parse().expect("address"), local.parse().expect("address"));
            assert_eq!(got, [start, want].concat(), "{name}");
        }
    }
}
