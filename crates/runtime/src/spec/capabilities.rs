//! Linux capabilities of a container.

use super::SpecError;

/// Docker's default set. AWS, "Linux capabilities for Fargate": the same, and SYS_PTRACE is all that may be added.
const DEFAULT: [&str; 14] = [
    "CAP_AUDIT_WRITE",
    "CAP_CHOWN",
    "CAP_DAC_OVERRIDE",
    "CAP_FOWNER",
    "CAP_FSETID",
    "CAP_KILL",
    "CAP_MKNOD",
    "CAP_NET_BIND_SERVICE",
    "CAP_NET_RAW",
    "CAP_SETFCAP",
    "CAP_SETGID",
    "CAP_SETPCAP",
    "CAP_SETUID",
    "CAP_SYS_CHROOT",
];
const ADDABLE: &str = "CAP_SYS_PTRACE";

/// Every other name that `linuxParameters.capabilities` knows (ECS API, KernelCapabilities); dropping one is allowed
/// and changes nothing.
const NOT_GRANTED: [&str; 24] = [
    "CAP_AUDIT_CONTROL",
    "CAP_AUDIT_READ",
    "CAP_BLOCK_SUSPEND",
    "CAP_BPF",
    "CAP_CHECKPOINT_RESTORE",
    "CAP_DAC_READ_SEARCH",
    "CAP_IPC_LOCK",
    "CAP_IPC_OWNER",
    "CAP_LEASE",
    "CAP_LINUX_IMMUTABLE",
    "CAP_MAC_ADMIN",
    "CAP_MAC_OVERRIDE",
    "CAP_NET_ADMIN",
    "CAP_NET_BROADCAST",
    "CAP_SYSLOG",
    "CAP_SYS_ADMIN",
    "CAP_SYS_BOOT",
    "CAP_SYS_MODULE",
    "CAP_SYS_NICE",
    "CAP_SYS_PACCT",
    "CAP_SYS_RAWIO",
    "CAP_SYS_RESOURCE",
    "CAP_SYS_TIME",
    "CAP_SYS_TTY_CONFIG",
];

/// The default set without `drop`, with `add`; `ALL` is a name for every one. Sorted.
pub(super) fn granted(add: &[String], drop: &[String]) -> Result<Vec<&'static str>, SpecError> {
    let mut set: Vec<&'static str> = DEFAULT.to_vec();
    for name in drop {
        let full = full_name(name);
        if full == "CAP_ALL" {
            set.clear();
        } else if set.contains(&full.as_str()) {
            set.retain(|held| *held != full);
        } else if !is_known(&full) {
            return Err(SpecError::UnknownCapability(name.clone()));
        }
    }
    // Docker adds after it has dropped, so that ["ALL"] with an addition leaves just that.
    for name in add {
        if full_name(name) != ADDABLE {
            return Err(SpecError::CapabilityNotAllowed(name.clone()));
        }
        if !set.contains(&ADDABLE) {
            set.push(ADDABLE);
        }
    }
    set.sort_unstable();
    Ok(set)
}

fn full_name(name: &str) -> String {
    let upper = name.to_ascii_uppercase();
    match upper.starts_with("CAP_") {
        true => upper,
        false => format!("CAP_{upper}"),
    }
}

fn is_known(full: &str) -> bool {
    full == ADDABLE
        || full == "CAP_WAKE_ALARM"
        || DEFAULT.contains(&full)
        || NOT_GRANTED.contains(&full)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(list: &[&str]) -> Vec<String> {
        list.iter().map(|name| (*name).to_owned()).collect()
    }

    #[test]
    fn capabilities_are_dropped_and_then_added() {
        let without_raw: Vec<&str> = DEFAULT
            .into_iter()
            .filter(|name| *name != "CAP_NET_RAW")
            .collect();
        let mut with_ptrace = DEFAULT.to_vec();
        with_ptrace.push(ADDABLE);
        for (name, add, drop, want) in [
            ("default", &[][..], &[][..], DEFAULT.to_vec()),
            ("drop one", &[], &["NET_RAW"], without_raw.clone()),
            (
                "drop one in full",
                &[],
                &["cap_net_raw", "NET_RAW"],
                without_raw,
            ),
            ("drop all", &[], &["ALL"], vec![]),
            ("only ptrace", &["SYS_PTRACE"], &["ALL"], vec![ADDABLE]),
            (
                "and ptrace",
                &["SYS_PTRACE", "CAP_SYS_PTRACE"],
                &[],
                with_ptrace,
            ),
            (
                "drop what nobody has",
                &[],
                &["SYS_ADMIN", "WAKE_ALARM"],
                DEFAULT.to_vec(),
            ),
        ] {
            assert_eq!(granted(&names(add), &names(drop)), Ok(want), "{name}");
        }
        let refused = granted(&names(&["NET_ADMIN"]), &[]);
        assert_eq!(
            refused,
            Err(SpecError::CapabilityNotAllowed("NET_ADMIN".to_owned()))
        );
        let unknown = granted(&[], &names(&["FLY"]));
        assert_eq!(unknown, Err(SpecError::UnknownCapability("FLY".to_owned())));
    }
}
