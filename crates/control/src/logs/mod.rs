//! The CloudWatch Logs API on records, with the events in the log store.

mod errors;
mod filter_events;
mod get_events;
mod groups;
mod keys;
mod lookup;
mod put_events;
mod records;
mod retention;
mod shipping;
mod streams;
mod tags;
#[cfg(test)]
mod tests;

use async_trait::async_trait;
use neargate_aws_api::logs::{Logs, types::*};
use neargate_aws_wire::error::ApiError;
use neargate_aws_wire::service::RequestContext;
use neargate_log_store::LogStore;

pub use retention::{SweepReport, sweep};
pub use shipping::{EnsureStreamError, ensure_stream, ship};

use crate::state::State;

/// CloudWatch Logs. Each method is a line: what it does is in the module of its resource.
pub struct LogsService {
    state: State,
    logs: LogStore,
}

impl LogsService {
    pub fn new(state: State, logs: LogStore) -> Self {
        Self { state, logs }
    }
}

type Answer<T> = Result<T, ApiError>;
type Context = RequestContext;

#[async_trait]
impl Logs for LogsService {
    async fn create_log_group(&self, c: &Context, r: CreateLogGroupRequest) -> Answer<()> {
        groups::create(&self.state, c, r).await
    }

    async fn delete_log_group(&self, c: &Context, r: DeleteLogGroupRequest) -> Answer<()> {
        groups::delete(&self.state, &self.logs, c, r).await
    }

    async fn describe_log_groups(
        &self,
        c: &Context,
        r: DescribeLogGroupsRequest,
    ) -> Answer<DescribeLogGroupsResponse> {
        groups::describe(&self.state, &self.logs, c, r).await
    }

    async fn list_log_groups(
        &self,
        c: &Context,
        r: ListLogGroupsRequest,
    ) -> Answer<ListLogGroupsResponse> {
        groups::list(&self.state, c, r).await
    }

    async fn put_log_group_deletion_protection(
        &self,
        c: &Context,
        r: PutLogGroupDeletionProtectionRequest,
    ) -> Answer<()> {
        groups::put_deletion_protection(&self.state, c, r).await
    }

    async fn put_retention_policy(&self, c: &Context, r: PutRetentionPolicyRequest) -> Answer<()> {
        retention::put(&self.state, c, r).await
    }

    async fn delete_retention_policy(
        &self,
        c: &Context,
        r: DeleteRetentionPolicyRequest,
    ) -> Answer<()> {
        retention::delete(&self.state, c, r).await
    }

    async fn tag_resource(&self, c: &Context, r: TagResourceRequest) -> Answer<()> {
        tags::tag_resource(&self.state, c, r).await
    }

    async fn untag_resource(&self, c: &Context, r: UntagResourceRequest) -> Answer<()> {
        tags::untag_resource(&self.state, c, r).await
    }

    async fn list_tags_for_resource(
        &self,
        c: &Context,
        r: ListTagsForResourceRequest,
    ) -> Answer<ListTagsForResourceResponse> {
        tags::list_for_resource(&self.state, c, r).await
    }

    async fn tag_log_group(&self, c: &Context, r: TagLogGroupRequest) -> Answer<()> {
        tags::tag_log_group(&self.state, c, r).await
    }

    async fn untag_log_group(&self, c: &Context, r: UntagLogGroupRequest) -> Answer<()> {
        tags::untag_log_group(&self.state, c, r).await
    }

    async fn list_tags_log_group(
        &self,
        c: &Context,
        r: ListTagsLogGroupRequest,
    ) -> Answer<ListTagsLogGroupResponse> {
        tags::list_log_group(&self.state, c, r).await
    }

    async fn create_log_stream(&self, c: &Context, r: CreateLogStreamRequest) -> Answer<()> {
        streams::create(&self.state, c, r).await
    }

    async fn delete_log_stream(&self, c: &Context, r: DeleteLogStreamRequest) -> Answer<()> {
        streams::delete(&self.state, &self.logs, c, r).await
    }

    async fn describe_log_streams(
        &self,
        c: &Context,
        r: DescribeLogStreamsRequest,
    ) -> Answer<DescribeLogStreamsResponse> {
        streams::describe(&self.state, &self.logs, c, r).await
    }

    async fn put_log_events(
        &self,
        c: &Context,
        r: PutLogEventsRequest,
    ) -> Answer<PutLogEventsResponse> {
        put_events::put(&self.state, &self.logs, c, r).await
    }

    async fn get_log_events(
        &self,
        c: &Context,
        r: GetLogEventsRequest,
    ) -> Answer<GetLogEventsResponse> {
        get_events::get(&self.state, &self.logs, c, r).await
    }

    async fn filter_log_events(
        &self,
        c: &Context,
        r: FilterLogEventsRequest,
    ) -> Answer<FilterLogEventsResponse> {
        filter_events::filter(&self.state, &self.logs, c, r).await
    }

    async fn test_metric_filter(
        &self,
        _: &Context,
        r: TestMetricFilterRequest,
    ) -> Answer<TestMetricFilterResponse> {
        filter_events::test(r)
    }
}
