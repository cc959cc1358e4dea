//! Per-device switches under `/proc/sys/net`.
//!
//! The kernel asks the device a packet came in by whether it forwards. The veths of tasks always do. For tasks with a
//! public address the answers from outside come in by the machine's uplinks, the devices of its default routes: these
//! are switched on when the first such task comes, remembered, and switched back at a clean stop. The global
//! `ip_forward` is left alone, it would open every device of the machine.

use super::error::{Doing, Result};
use std::{collections::BTreeSet, fs, io, path::PathBuf};

/// Of the calling thread, for `/proc/net` is that of the process's first one.
const ROUTES: &str = "/proc/thread-self/net/route";

fn ipv4_conf(device: &str, name: &str) -> PathBuf {
    PathBuf::from(format!("/proc/sys/net/ipv4/conf/{device}/{name}"))
}

fn write(path: PathBuf, value: &str) -> Result<()> {
    fs::write(&path, value).doing(|| format!("write {value} to {}", path.display()))
}

/// Sets up the host's end of a task's veth pair. Blocks.
pub fn prepare_veth(device: &str) -> Result<()> {
    write(ipv4_conf(device, "forwarding"), "1")?;
    // With reverse-path filters on: look the sender up in its VPC's table, not in the machine's.
    write(ipv4_conf(device, "src_valid_mark"), "1")?;
    // And do not ask whether the sender's address leads back to the device: that is the firewall's business, and what
    // leaves a load balancer, or answers it, does not (see `relays`). Of strict (1) and loose (2), the device's word
    // and the machine's, the higher number counts.
    let all = fs::read_to_string(ipv4_conf("all", "rp_filter")).unwrap_or_default();
    let weakest = if all.trim() == "1" { "2" } else { "0" };
    write(ipv4_conf(device, "rp_filter"), weakest)?;
    no_ipv6(device)
}

/// Switches IPv6 off for a device (or `default`, for those to come). Blocks.
pub fn no_ipv6(device: &str) -> Result<()> {
    let path = PathBuf::from(format!("/proc/sys/net/ipv6/conf/{device}/disable_ipv6"));
    match fs::write(&path, "1") {
        // A kernel without IPv6.
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        done => done.doing(|| format!("write 1 to {}", path.display())),
    }
}

/// Makes the uplinks forward; the answer names those that did not before. Blocks.
pub fn open_uplinks() -> Result<BTreeSet<String>> {
    let routes = fs::read_to_string(ROUTES).doing(|| format!("read {ROUTES}"))?;
    let mut opened = BTreeSet::new();
    for device in default_route_devices(&routes) {
        let path = ipv4_conf(device, "forwarding");
        let before = fs::read_to_string(&path).doing(|| format!("read {}", path.display()))?;
        if before.trim() == "0" {
            write(path, "1")?;
            opened.insert(device.to_owned());
        }
    }
    Ok(opened)
}

/// Undoes [`open_uplinks`]. A device that is gone needs nothing. Blocks.
pub fn close_uplinks(devices: &BTreeSet<String>) {
    for device in devices {
        if let Err(error) = fs::write(ipv4_conf(device, "forwarding"), "0") {
            tracing::debug!(device, %error, "uplink not switched back");
        }
    }
}

/// Devices of default routes in the text of `/proc/thread-self/net/route`.
fn default_route_devices(routes: &str) -> impl Iterator<Item = &str> {
    routes.lines().skip(1).filter_map(|line| {
        let mut fields = line.split_ascii_whitespace();
        let device = fields.next()?;
        let destination = fields.next()?;
        let mask = fields.nth(5)?;
        // A quote in a device's name would end the name in the firewall's script.
        (destination == "00000000" && mask == "00000000" && !device.contains('"')).then_some(device)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn uplinks_are_the_devices_of_default_routes() {
        let head =
            "Iface\tDestination\tGateway \tFlags\tRefCnt\tUse\tMetric\tMask\t\tMTU\tWindow\tIRTT\n";
        for (name, rows, want) in [
            ("none", "", vec![]),
            (
                "one",
                "eth0\t00000000\t0101A8C0\t0003\t0\t0\t100\t00000000\t0\t0\t0\n",
                vec!["eth0"],
            ),
            (
                "a subnet is none",
                "eth0\t0001A8C0\t00000000\t0001\t0\t0\t0\t00FFFFFF\t0\t0\t0\n",
                vec![],
            ),
            (
                "half of the world is none",
                "tun0\t00000000\t00000000\t0001\t0\t0\t0\t00000080\t0\t0\t0\n",
                vec![],
            ),
            (
                "a quote",
                "e\"0\t00000000\t0101A8C0\t0003\t0\t0\t100\t00000000\t0\t0\t0\n",
                vec![],
            ),
        ] {
            let text = format!("{head}{rows}");
            assert_eq!(
                default_route_devices(&text).collect::<Vec<_>>(),
                want,
                "{name}"
            );
        }
    }
}
