//! Process limits that this host does not let us give.
//!
//! Raising a hard limit needs CAP_SYS_RESOURCE. Where Neargate runs without it (in a container, on some CI machines)
//! Fargate's default of 65535 open files would fail every container. There a limit becomes what we have ourselves.

use nix::sys::resource::{Resource, getrlimit};
use oci_spec::runtime::{PosixRlimitBuilder, PosixRlimitType, Process};

use crate::spec::DEFAULT_NOFILE;

/// linux/capability.h
const CAP_SYS_RESOURCE: u32 = 24;

/// Lowers the process's limits to ours where they cannot be raised. Other runtimes take a spec at its word, so the one
/// that they are given has to be lowered before.
pub fn fit_to_host(process: &mut Process) {
    let Some(mut limits) = process.rlimits().clone() else {
        return;
    };
    let mut may_raise = None;
    for limit in &mut limits {
        let Some(ours) = resource_of(limit.typ()).and_then(|resource| getrlimit(resource).ok())
        else {
            continue;
        };
        let hard = ours.1;
        if limit.hard() > hard && !*may_raise.get_or_insert_with(has_sys_resource) {
            let lowered = PosixRlimitBuilder::default()
                .typ(limit.typ())
                .hard(hard)
                .soft(limit.soft().min(hard));
            if let Ok(lowered) = lowered.build() {
                *limit = lowered;
            }
        }
    }
    process.set_rlimits(Some(limits));
}

/// The most open files that a process of a container can have here, where that is less than Fargate's default.
pub fn files_below_default() -> Option<u64> {
    let (_, hard) = getrlimit(Resource::RLIMIT_NOFILE).ok()?;
    (hard < DEFAULT_NOFILE && !has_sys_resource()).then_some(hard)
}

fn has_sys_resource() -> bool {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let effective = status.lines().find_map(|line| line.strip_prefix("CapEff:"));
    effective
        .and_then(|hex| u64::from_str_radix(hex.trim(), 16).ok())
        .is_some_and(|set| set >> CAP_SYS_RESOURCE & 1 == 1)
}

fn resource_of(kind: PosixRlimitType) -> Option<Resource> {
    use PosixRlimitType as Kind;
    Some(match kind {
        Kind::RlimitAs => Resource::RLIMIT_AS,
        Kind::RlimitCore => Resource::RLIMIT_CORE,
        Kind::RlimitCpu => Resource::RLIMIT_CPU,
        Kind::RlimitData => Resource::RLIMIT_DATA,
        Kind::RlimitFsize => Resource::RLIMIT_FSIZE,
        Kind::RlimitLocks => Resource::RLIMIT_LOCKS,
        Kind::RlimitMemlock => Resource::RLIMIT_MEMLOCK,
        Kind::RlimitMsgqueue => Resource::RLIMIT_MSGQUEUE,
        Kind::RlimitNice => Resource::RLIMIT_NICE,
        Kind::RlimitNofile => Resource::RLIMIT_NOFILE,
        Kind::RlimitNproc => Resource::RLIMIT_NPROC,
        Kind::RlimitRss => Resource::RLIMIT_RSS,
        Kind::RlimitRtprio => Resource::RLIMIT_RTPRIO,
        Kind::RlimitRttime => Resource::RLIMIT_RTTIME,
        Kind::RlimitSigpending => Resource::RLIMIT_SIGPENDING,
        Kind::RlimitStack => Resource::RLIMIT_STACK,
    })
}
