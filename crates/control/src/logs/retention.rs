//! How long a group keeps its events.

use neargate_aws_api::logs::types::*;
use neargate_aws_wire::error::ApiError;
use neargate_aws_wire::service::RequestContext;
use neargate_domain::Timestamp;
use neargate_log_store::LogStore;

use super::records::GroupRecord;
use super::{errors, groups, keys};
use crate::scope_of;
use crate::state::{State, StateError, decode, prefix_range};

/// The only values that AWS takes (facts §6).
const DAYS: [i32; 22] = [
    1, 3, 5, 7, 14, 30, 60, 90, 120, 150, 180, 365, 400, 545, 731, 1096, 1827, 2192, 2557, 2922,
    3288, 3653,
];

/// <https://docs.aws.amazon.com/AmazonCloudWatchLogs/latest/APIReference/API_PutRetentionPolicy.html>
pub async fn put(
    state: &State,
    context: &RequestContext,
    request: PutRetentionPolicyRequest,
) -> Result<(), ApiError> {
    let days = request.retention_in_days;
    if !DAYS.contains(&days) {
        return Err(errors::invalid_parameter(format!(
            "1 validation error detected: Value '{days}' at 'retentionInDays' failed to satisfy constraint: Member must satisfy enum value set: {DAYS:?}"
        )));
    }
    set(state, context, &request.log_group_name, Some(days)).await
}

/// <https://docs.aws.amazon.com/AmazonCloudWatchLogs/latest/APIReference/API_DeleteRetentionPolicy.html>
pub async fn delete(
    state: &State,
    context: &RequestContext,
    request: DeleteRetentionPolicyRequest,
) -> Result<(), ApiError> {
    set(state, context, &request.log_group_name, None).await
}

async fn set(
    state: &State,
    context: &RequestContext,
    group: &str,
    days: Option<i32>,
) -> Result<(), ApiError> {
    groups::change(state, &scope_of(context), group, |record| {
        record.retention_days = days;
        Ok(())
    })
    .await
}

/// What a sweep did.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct SweepReport {
    pub groups: usize,
    pub freed_bytes: u64,
    /// Groups whose events could not be dropped; the next sweep tries again.
    pub failed: usize,
}

/// Drops the events that have expired, of all accounts and regions. Reads leave them out in any case, so an hourly
/// sweep is enough.
pub async fn sweep(
    state: &State,
    logs: &LogStore,
    now: Timestamp,
) -> Result<SweepReport, StateError> {
    let mut report = SweepReport::default();
    let found = state.store().range(prefix_range(keys::ALL), 0).await?;
    for entry in &found.entries {
        let key = String::from_utf8_lossy(&entry.key);
        let Some(scope) = keys::scope_of_group(&key) else {
            continue;
        };
        let group = decode::<GroupRecord>(entry)?;
        let Some(before_ms) = group.record.expired_before_ms(now) else {
            continue;
        };
        report.groups += 1;
        match logs
            .expire(&keys::group_events(&scope, &group), before_ms)
            .await
        {
            Ok(freed) => report.freed_bytes += freed,
            Err(error) => {
                tracing::warn!(%error, group = group.record.name, "expired log events stay");
                report.failed += 1;
            }
        }
    }
    Ok(report)
}
