//! Where the records of CloudWatch Logs are in the store, and what their events are called in the log store.
//!
//! Names of groups and streams hold slashes, never colons.

use neargate_domain::Scope;
use neargate_log_store::{GroupKey, StreamKey};

use super::records::{GroupRecord, StreamRecord};
use crate::state::Stored;

/// Prefix of everything of Logs, in all accounts and regions.
pub const ALL: &str = "/logs/";

pub fn groups(scope: &Scope) -> String {
    format!("{ALL}{}/{}/groups/", scope.account, scope.region)
}

pub fn group(scope: &Scope, group: &str) -> String {
    format!("{}{group}", groups(scope))
}

pub fn streams(scope: &Scope, group: &str) -> String {
    format!("{ALL}{}/{}/streams/{group}:", scope.account, scope.region)
}

pub fn stream(scope: &Scope, group: &str, stream: &str) -> String {
    format!("{}{stream}", streams(scope, group))
}

/// The account and region of a group's record; `None`: the key is another record's.
pub fn scope_of_group(key: &str) -> Option<Scope> {
    let mut parts = key.strip_prefix(ALL)?.splitn(4, '/');
    let (account, region, kind) = (parts.next()?, parts.next()?, parts.next()?);
    (kind == "groups").then(|| Scope::new(account, region))
}

/// The events of a group. Its name and the revision of its creation: what a deleted group of the same name left behind
/// is another group's.
pub fn group_events(scope: &Scope, group: &Stored<GroupRecord>) -> GroupKey {
    GroupKey {
        account: scope.account.clone(),
        region: scope.region.clone(),
        group: format!("{}:{}", group.record.name, group.create_revision),
    }
}

/// The name of a stream's events inside of its group.
pub fn stream_name(stream: &Stored<StreamRecord>) -> String {
    format!("{}:{}", stream.record.name, stream.create_revision)
}

pub fn stream_events(
    scope: &Scope,
    group: &Stored<GroupRecord>,
    stream: &Stored<StreamRecord>,
) -> StreamKey {
    StreamKey {
        group: group_events(scope, group),
        stream: stream_name(stream),
    }
}
