//! Limits of a container: cgroup resources and process limits.

use serde_json::{Value, json};

use super::{ContainerSettings, Placement, SpecError, Ulimit};

const MIB: u64 = 1024 * 1024;
/// ECS, container `cpu`: "null, 0 and 1 are passed to Docker as 2 CPU shares", the kernel's minimum.
const MIN_CPU_SHARES: u64 = 2;
/// The kernel's maximum.
const MAX_CPU_SHARES: u64 = 262_144;
/// ECS, `ulimits`: "the default nofile soft and hard limit is 65535" on Fargate.
pub const DEFAULT_NOFILE: u64 = 65_535;

pub(super) fn resources(container: &ContainerSettings, placement: &Placement) -> Value {
    let shares = container.cpu_units.clamp(MIN_CPU_SHARES, MAX_CPU_SHARES);
    let mut resources = json!({
        // Nothing but the devices that every OCI runtime allows by itself: null, zero, full, random, tty, pts.
        "devices": [{ "allow": false, "access": "rwm" }],
        "cpu": { "shares": shares },
    });
    let mut memory = serde_json::Map::new();
    if container.memory_mib > 0 {
        let bytes = bytes_of(container.memory_mib);
        memory.insert("limit".to_owned(), json!(bytes));
        if placement.swap_accounting {
            // Memory and swap together: no swap on top.
            memory.insert("swap".to_owned(), json!(bytes));
        }
    }
    if container.memory_reservation_mib > 0 {
        memory.insert(
            "reservation".to_owned(),
            json!(bytes_of(container.memory_reservation_mib)),
        );
    }
    if !memory.is_empty() {
        resources["memory"] = Value::Object(memory);
    }
    if let Some(limit) = placement.pids_limit {
        resources["pids"] = json!({ "limit": limit });
    }
    resources
}

/// Saturates far above any machine's memory, in the sign that OCI uses.
fn bytes_of(mib: u64) -> i64 {
    i64::try_from(mib.saturating_mul(MIB)).unwrap_or(i64::MAX)
}

pub(super) fn rlimits(wanted: &[Ulimit]) -> Result<Vec<Value>, SpecError> {
    const NAMES: [&str; 15] = [
        "core",
        "cpu",
        "data",
        "fsize",
        "locks",
        "memlock",
        "msgqueue",
        "nice",
        "nofile",
        "nproc",
        "rss",
        "rtprio",
        "rttime",
        "sigpending",
        "stack",
    ];
    let mut limits = Vec::new();
    for limit in wanted {
        if !NAMES.contains(&limit.name.as_str()) {
            return Err(SpecError::UnknownUlimit(limit.name.clone()));
        }
        let (soft, hard) = (value_of(limit.soft), value_of(limit.hard));
        if soft > hard {
            return Err(SpecError::UlimitOrder(limit.name.clone()));
        }
        let kind = format!("RLIMIT_{}", limit.name.to_ascii_uppercase());
        limits.push(json!({ "type": kind, "soft": soft, "hard": hard }));
    }
    if !wanted.iter().any(|limit| limit.name == "nofile") {
        limits.push(
            json!({ "type": "RLIMIT_NOFILE", "soft": DEFAULT_NOFILE, "hard": DEFAULT_NOFILE }),
        );
    }
    Ok(limits)
}

/// RLIM_INFINITY for -1 (and, as Docker, any other negative number).
fn value_of(limit: i64) -> u64 {
    u64::try_from(limit).unwrap_or(u64::MAX)
}
