//! Per-device switches under `/proc/sys/net`.
//!
//! The kernel asks the device a packet came in by whether it forwards. All devices of the router do, and the machine's
//! end of the pair that leads there. For tasks with a public address the answers from outside come in by the machine's
//! uplinks, the devices of its default routes: these are switched on when the first such task comes, remembered, and
//! switched back at a clean stop. The machine's global `ip_forward` is left alone, it would open every device.

use super::error::{Doing, Result};
use serde::{Deserialize, Serialize};
use std::{
    collections::{BTreeMap, BTreeSet},
    fs, io,
    path::PathBuf,
};

/// Of the calling thread, for `/proc/net` is that of the process's first one.
const ROUTES: &str = "/proc/thread-self/net/route";

const GLOBAL: &str = "/proc/sys/net/ipv4/ip_forward";

fn ipv4_conf(device: &str, name: &str) -> PathBuf {
    PathBuf::from(format!("/proc/sys/net/ipv4/conf/{device}/{name}"))
}

fn write(path: PathBuf, value: &str) -> Result<()> {
    fs::write(&path, value).doing(|| format!("write {value} to {}", path.display()))
}

/// Lets a device of ours on the machine forward. Blocks.
pub fn forward(device: &str) -> Result<()> {
    write(ipv4_conf(device, "forwarding"), "1")
}

/// Sets up the namespace of the calling thread as the router, for all devices to come. Blocks.
pub fn prepare_router() -> Result<()> {
    write(GLOBAL.into(), "1")?;
    for devices in ["all", "default"] {
        // Whether a sender's address leads back to its device is the firewall's business, and what leaves a load
        // balancer, or answers it, does not (see `relays`).
        write(ipv4_conf(devices, "rp_filter"), "0")?;
    }
    no_ipv6("default")
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

/// Uplinks that forward because of us, and whether the machine's global switch was on when we made them.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Opened(pub BTreeMap<String, bool>);

impl Opened {
    /// Earlier releases did not ask for the global switch: what it is now, it was.
    pub fn of_earlier(devices: BTreeSet<String>) -> Opened {
        let global = is_on(GLOBAL.into()).unwrap_or_default();
        Opened(devices.into_iter().map(|device| (device, global)).collect())
    }

    /// Who has switched forwarding on for the whole machine since (Docker does) wants those devices to forward too.
    fn forget_others(&mut self, global: bool) {
        self.0.retain(|_, was_global| *was_global || !global);
    }
}

fn is_on(path: PathBuf) -> Result<bool> {
    let text = fs::read_to_string(&path).doing(|| format!("read {}", path.display()))?;
    Ok(text.trim() != "0")
}

/// Makes the uplinks forward. Blocks.
pub fn open_uplinks(mut opened: Opened) -> Result<Opened> {
    let routes = fs::read_to_string(ROUTES).doing(|| format!("read {ROUTES}"))?;
    let global = is_on(GLOBAL.into())?;
    opened.forget_others(global);
    for device in default_route_devices(&routes) {
        let path = ipv4_conf(device, "forwarding");
        if !is_on(path.clone())? {
            write(path, "1")?;
            opened.0.insert(device.to_owned(), global);
        }
    }
    Ok(opened)
}

/// Undoes [`open_uplinks`]. A device that is gone needs nothing. Blocks.
pub fn close_uplinks(mut opened: Opened) {
    opened.forget_others(is_on(GLOBAL.into()).unwrap_or_default());
    for device in opened.0.keys() {
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
    fn what_somebody_switched_on_for_all_devices_stays_on() {
        for (name, was_global, global, kept) in [
            ("nobody did", false, false, true),
            ("somebody did since", false, true, false),
            ("it was on, but not for the device", true, true, true),
            ("it was on and is off", true, false, true),
        ] {
            let mut opened = Opened(BTreeMap::from([("eth0".into(), was_global)]));
            opened.forget_others(global);
            assert_eq!(!opened.0.is_empty(), kept, "{name}");
        }
    }

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
