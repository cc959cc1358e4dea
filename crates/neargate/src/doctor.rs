//! `neargate doctor`: what this machine has of what tasks need.

use std::path::Path;
use std::process::{Command, ExitCode};

use neargate_cgroup::Layout;

use crate::say;

/// `close_range` is the newest system call that tasks cannot do without.
const OLDEST_KERNEL: (u32, u32) = (5, 9);
/// From here on (`mount_setattr`) containers share the one binary as their runtime; before, each gets a copy in memory.
const FIT_KERNEL: (u32, u32) = (5, 12);

/// One thing that a machine must have.
struct Check {
    what: &'static str,
    /// `Err`: what is wrong and what to do about it.
    outcome: Result<String, String>,
}

pub fn main() -> ExitCode {
    let checks = [
        Check {
            what: "root",
            outcome: root(),
        },
        Check {
            what: "kernel",
            outcome: kernel(),
        },
        Check {
            what: "cgroups",
            outcome: cgroups(),
        },
        Check {
            what: "overlayfs",
            outcome: filesystem("overlay", "load it with `modprobe overlay`"),
        },
        Check {
            what: "namespaces",
            outcome: namespaces(),
        },
        Check {
            what: "nft",
            outcome: program("nft", &["--version"], "install the package nftables"),
        },
        Check {
            what: "nftables in the kernel",
            outcome: nftables(),
        },
        Check {
            what: "veth",
            outcome: veth(),
        },
    ];
    let mut missing = 0;
    for check in &checks {
        match &check.outcome {
            Ok(found) => say::out(format_args!("ok       {}: {found}", check.what)),
            Err(problem) => {
                missing += 1;
                say::out(format_args!("missing  {}: {problem}", check.what));
            }
        }
    }
    for note in notes() {
        say::out(format_args!("note     {note}"));
    }
    if missing == 0 {
        say::out(format_args!("This machine can run tasks."));
        ExitCode::SUCCESS
    } else {
        say::out(format_args!(
            "{missing} of {} checks failed; tasks will not run until they pass.",
            checks.len()
        ));
        ExitCode::FAILURE
    }
}

pub fn root() -> Result<String, String> {
    if nix::unistd::geteuid().is_root() {
        Ok("running as root".to_owned())
    } else {
        Err("containers, networks and mounts need root; run neargate with sudo".to_owned())
    }
}

fn kernel() -> Result<String, String> {
    let release = nix::sys::utsname::uname()
        .map(|name| name.release().to_string_lossy().into_owned())
        .map_err(|errno| errno.to_string())?;
    if version_of(&release) >= Some(OLDEST_KERNEL) {
        Ok(release)
    } else {
        let (major, minor) = OLDEST_KERNEL;
        Err(format!(
            "{release} is older than {major}.{minor}; install a newer kernel"
        ))
    }
}

/// Major and minor version: `6.1.0-18-amd64` is 6.1.
fn version_of(release: &str) -> Option<(u32, u32)> {
    let mut numbers = release.split(|c: char| !c.is_ascii_digit());
    let major = numbers.next()?.parse().ok()?;
    let minor = numbers.next()?.parse().ok()?;
    Some((major, minor))
}

/// What does not keep tasks from running, but surprises those who do not know it.
fn notes() -> Vec<String> {
    let mut notes = Vec::new();
    let release = kernel().unwrap_or_default();
    if version_of(&release).is_some_and(|version| version < FIT_KERNEL) {
        let (major, minor) = FIT_KERNEL;
        notes.push(format!(
            "kernel {release}: before {major}.{minor}, each start of a container copies the runtime into memory"
        ));
    }
    // Where nft is missing, the checks above have said so.
    let firewalls = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map(|runtime| runtime.block_on(neargate_node::network::firewalls()));
    notes.push(network_note(&match firewalls {
        Ok(Ok(firewalls)) => firewalls,
        _ => Vec::new(),
    }));
    notes.extend(load_balancers_names());
    notes.extend(crate::host_limits::notes());
    notes.push(
        "ephemeral storage: what tasks write is on the data directory's disk; it is counted every 30 s, every 5 s when that is nearly full, and no hard quota, so leave room there"
            .to_owned(),
    );
    notes
}

/// A name that a load balancer could have. curl and browsers know the whole domain, everybody else asks the resolver.
const LOAD_BALANCER: &str = "name-1234567890.us-east-1.elb.localhost";

/// Asks as programs do: by the modules of nsswitch.conf, which a program without glibc does not have.
fn load_balancers_names() -> Option<String> {
    let asked = Command::new("getent")
        .args(["ahosts", LOAD_BALANCER])
        .output()
        .ok()?;
    let found = String::from_utf8_lossy(&asked.stdout).into_owned();
    is_unknown(asked.status.success(), &found).then(|| {
        "the resolver does not know names below .localhost, so Python, Node.js, Java and Go do not find load balancers by \
         their DNS names (curl and browsers do): `apt-get install libnss-myhostname` (other distributions than Debian and \
         Ubuntu: `myhostname` after `files` in the line `hosts:` of /etc/nsswitch.conf)"
            .to_owned()
    })
}

/// Whether the resolver's answer leads elsewhere than to this machine.
fn is_unknown(answered: bool, answer: &str) -> bool {
    let mut addresses = answer
        .lines()
        .filter_map(|line| line.split_whitespace().next());
    let loopback = addresses.any(|address| {
        address
            .parse::<std::net::IpAddr>()
            .is_ok_and(|address| address.is_loopback())
    });
    !(answered && loopback)
}

/// What a node changes of this machine's network, given the firewalls that must let tasks pass.
fn network_note(firewalls: &[String]) -> String {
    let firewalls = match firewalls {
        [] => "no other firewall here needs a rule".to_owned(),
        some => format!(
            "this machine's firewalls get a rule each: {}",
            some.join(", ")
        ),
    };
    format!(
        "network: tasks are in namespaces of their own; on the machine itself there are one device (ngn…), routes to VPCs \
         by it and, once a task has a public address, a table (neargate-…) and forwarding on the uplink; {firewalls}; \
         a clean stop removes all of it"
    )
}

fn cgroups() -> Result<String, String> {
    let layout = Layout::detect().map_err(|error| error.to_string())?;
    Ok(layout.name().to_owned())
}

fn filesystem(name: &str, advice: &str) -> Result<String, String> {
    let known = std::fs::read_to_string("/proc/filesystems")
        .map_err(|e| format!("/proc/filesystems: {e}"))?;
    if known
        .lines()
        .any(|line| line.split_whitespace().last() == Some(name))
    {
        Ok("known to the kernel".to_owned())
    } else {
        Err(format!("the kernel does not know {name}; {advice}"))
    }
}

fn namespaces() -> Result<String, String> {
    let missing: Vec<&str> = ["net", "mnt", "pid", "ipc", "uts", "cgroup"]
        .into_iter()
        .filter(|name| !Path::new("/proc/self/ns").join(name).exists())
        .collect();
    if missing.is_empty() {
        Ok("net, mnt, pid, ipc, uts, cgroup".to_owned())
    } else {
        Err(format!(
            "the kernel was built without {}",
            missing.join(", ")
        ))
    }
}

fn program(name: &str, arguments: &[&str], advice: &str) -> Result<String, String> {
    let output = Command::new(name)
        .args(arguments)
        .output()
        .map_err(|_| format!("not found; {advice}"))?;
    let text = String::from_utf8_lossy(&output.stdout);
    Ok(text.lines().next().unwrap_or_default().to_owned())
}

fn nftables() -> Result<String, String> {
    let output = Command::new("nft")
        .args(["list", "tables"])
        .output()
        .map_err(|_| "nft is missing".to_owned())?;
    if output.status.success() {
        Ok("answers".to_owned())
    } else {
        Err(format!(
            "{}; load it with `modprobe nf_tables`",
            String::from_utf8_lossy(&output.stderr).trim()
        ))
    }
}

/// Makes a pair in a network namespace of its own, which ends with the command and takes the pair with it.
fn veth() -> Result<String, String> {
    let output = Command::new("unshare")
        .args([
            "--net",
            "ip",
            "link",
            "add",
            "ngdoctor",
            "type",
            "veth",
            "peer",
            "name",
            "ngdoctor1",
        ])
        .output()
        .map_err(|_| {
            "unshare is missing; install the packages util-linux and iproute2".to_owned()
        })?;
    if output.status.success() {
        Ok("can be made".to_owned())
    } else {
        Err(format!(
            "{}; load it with `modprobe veth`",
            String::from_utf8_lossy(&output.stderr).trim()
        ))
    }
}

#[cfg(test)]
mod tests {
    use super::{OLDEST_KERNEL, is_unknown, network_note, version_of};

    #[test]
    fn only_loopback_is_where_load_balancers_are() {
        for (name, answered, answer, unknown) in [
            (
                "both",
                true,
                "::1 STREAM localhost\n127.0.0.1 STREAM\n",
                false,
            ),
            (
                "a provider's search page",
                true,
                "203.0.113.7 STREAM x\n",
                true,
            ),
            ("not found", false, "", true),
        ] {
            assert_eq!(is_unknown(answered, answer), unknown, "{name}");
        }
    }

    #[test]
    fn it_is_said_what_is_touched() {
        assert!(network_note(&[]).contains("no other firewall here needs a rule"));
        let some = [
            "ufw (a route rule)".to_owned(),
            "nftables (rules in inet a b)".to_owned(),
        ];
        let note = network_note(&some);
        assert!(
            note.contains("get a rule each: ufw (a route rule), nftables (rules in inet a b);"),
            "{note}"
        );
    }

    #[test]
    fn kernels_are_told_apart_by_their_first_two_numbers() {
        for (release, want, enough) in [
            ("6.1.0-18-amd64", Some((6, 1)), true),
            ("5.12.0", Some((5, 12)), true),
            ("5.9.1-generic", Some((5, 9)), true),
            ("5.8.0", Some((5, 8)), false),
            ("4.19", Some((4, 19)), false),
            ("6", None, false),
            ("", None, false),
        ] {
            let version = version_of(release);
            assert_eq!(version, want, "{release}");
            assert_eq!(version >= Some(OLDEST_KERNEL), enough, "{release}");
        }
    }
}
