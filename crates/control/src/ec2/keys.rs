//! Telling the keys of EC2's records apart, for those who watch them.

use super::kind::{self, Kind};

/// Prefix of everything of EC2, in all accounts and regions.
pub const ALL: &str = "/ec2/";

pub fn is_security_group(key: &str) -> bool {
    is_of(key, &kind::SECURITY_GROUP)
}

pub fn is_network_interface(key: &str) -> bool {
    is_of(key, &kind::NETWORK_INTERFACE)
}

/// `/ec2/<account>/<region>/<directory>/<id>`
fn is_of(key: &str, kind: &Kind) -> bool {
    key.strip_prefix(ALL)
        .and_then(|rest| rest.split('/').nth(2))
        == Some(kind.directory)
}
