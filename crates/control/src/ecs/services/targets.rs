//! What services ask of load balancers: register and deregister tasks, and how they fare.

use async_trait::async_trait;
use neargate_domain::Timestamp;

use super::reconcile::{TargetHealth, TargetHealthBoard};
use crate::ecs::records::{TaskRecord, TaskTargetRecord};
use crate::state::{Changes, State, StateError};

/// For a server without load balancers: no service has a target group there.
pub struct NoTargetGroups;

#[async_trait]
impl TargetHealthBoard for NoTargetGroups {
    fn health(&self, _target_group_arn: &str, _target_id: &str, _port: u16) -> TargetHealth {
        TargetHealth::Unknown
    }

    async fn changed(&self) -> Vec<String> {
        std::future::pending().await
    }

    async fn register(
        &self,
        _state: &State,
        _task: &TaskRecord,
        _target: &TaskTargetRecord,
        _changes: &mut Changes,
    ) -> Result<(), StateError> {
        Ok(())
    }

    async fn deregister(
        &self,
        state: &State,
        _task: &TaskRecord,
        _target: &TaskTargetRecord,
        _changes: &mut Changes,
    ) -> Result<Timestamp, StateError> {
        Ok(state.now())
    }
}
