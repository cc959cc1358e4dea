//! Whom a target sees as the sender.
//!
//! AWS: the client where the target group preserves client addresses, with its port; else the load balancer. Source:
//! "Edit target group attributes for your Network Load Balancer", client IP preservation.
//!
//! The machine's own programs are no clients in this sense, neither by 127.0.0.1 nor by a load balancer's private
//! address: what answers an address of the machine, the machine takes for itself. For them targets see the load
//! balancer.

use crate::engine::netns::Namespaces;
use crate::table::{Endpoint, TargetGroup};
use std::net::{IpAddr, SocketAddr};

/// The address that a flow of `client` has towards targets; `None`: the load balancer's own.
pub fn sender(
    namespaces: &Namespaces,
    endpoint: &Endpoint,
    group: &TargetGroup,
    client: SocketAddr,
) -> Option<SocketAddr> {
    let interface = endpoint.load_balancer.interfaces.get(endpoint.interface?)?;
    let ip = client.ip().to_canonical();
    let preserves = group.preserve_client_ip && !interface.netns.is_empty();
    let is_client = || {
        matches!(ip, IpAddr::V4(_)) && ip != interface.address && !namespaces.is_machines_own(ip)
    };
    (preserves && is_client()).then(|| SocketAddr::new(ip, client.port()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::table::Table;
    use neargate_lb_api as api;

    #[test]
    fn targets_see_the_client_where_it_is_one() {
        for (name, preserves, netns, by, client, want) in [
            (
                "a task",
                true,
                "eni-1",
                Some(0),
                "10.0.0.9:5",
                Some("10.0.0.9:5"),
            ),
            (
                "the world",
                true,
                "eni-1",
                Some(0),
                "192.0.2.9:5",
                Some("192.0.2.9:5"),
            ),
            ("not preserved", false, "eni-1", Some(0), "10.0.0.9:5", None),
            ("this machine", true, "eni-1", Some(0), "127.0.0.3:5", None),
            ("by loopback", true, "eni-1", None, "10.0.0.9:5", None),
            ("no namespace", true, "", Some(0), "10.0.0.9:5", None),
            (
                "the load balancer",
                true,
                "eni-1",
                Some(0),
                "10.0.0.1:5",
                None,
            ),
            ("IPv6", true, "eni-1", Some(0), "[2001:db8::9]:5", None),
        ] {
            let table = Table::compile(
                &api::Table {
                    target_groups: vec![api::TargetGroup {
                        arn: "group".to_owned(),
                        preserve_client_ip: preserves,
                        ..Default::default()
                    }],
                    load_balancers: vec![api::LoadBalancer {
                        interfaces: vec![api::Interface {
                            netns: netns.to_owned(),
                            address: "10.0.0.1".to_owned(),
                            availability_zone: "a".to_owned(),
                        }],
                        listeners: vec![api::Listener {
                            port: 80,
                            protocol: api::Protocol::Tcp.into(),
                            ..Default::default()
                        }],
                        ..Default::default()
                    }],
                    ..Default::default()
                },
                None,
            );
            let (_, endpoint) = table.sockets().next().expect("a socket");
            let endpoint = Endpoint {
                interface: by,
                ..(**endpoint).clone()
            };
            let group = &table.target_groups["group"];
            let client = client.parse().expect("an address");
            let got = sender(&Namespaces::new(None), &endpoint, group, client);
            assert_eq!(
                got,
                want.map(|want| want.parse().expect("an address")),
                "{name}"
            );
        }
    }
}
