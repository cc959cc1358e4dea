//! `neargate doctor`: what this machine has of what tasks need.

use std::path::Path;
use std::process::{Command, ExitCode};

use neargate_cgroup::Layout;

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
            Ok(found) => println!("ok       {}: {found}", check.what),
            Err(problem) => {
                missing += 1;
                println!("missing  {}: {problem}", check.what);
            }
        }
    }
    if missing == 0 {
        println!("This machine can run tasks.");
        ExitCode::SUCCESS
    } else {
        println!(
            "{missing} of {} checks failed; tasks will not run until they pass.",
            checks.len()
        );
        ExitCode::FAILURE
    }
}

fn root() -> Result<String, String> {
    if nix::unistd::geteuid().is_root() {
        Ok("running as root".to_owned())
    } else {
        Err("containers, networks and mounts need root; run neargate with sudo".to_owned())
    }
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
