//! Removes what has had its time: deleted services and client tokens after a day, service deployments after
//! 90.

use std::time::Duration;

use neargate_domain::Timestamp;
use neargate_store::KeyValue;

use super::super::client_token::{self, ServiceTokenRecord};
use super::super::records::{ServiceDeploymentRecord, ServiceRecord};
use super::Reconciler;
use crate::ecs::keys;
use crate::state::{Changes, StateError, decode, prefix_range};

/// How long an INACTIVE service stays describable. AWS says only that it may go.
const INACTIVE_SERVICE_LIFE: Duration = Duration::from_secs(24 * 3600);
/// Source: ListServiceDeployments reference, "90 days".
const SERVICE_DEPLOYMENT_LIFE: Duration = Duration::from_secs(90 * 24 * 3600);
const INTERVAL: Duration = Duration::from_secs(3600);

impl Reconciler {
    pub(super) async fn sweep(&self) -> Result<(), StateError> {
        loop {
            self.state.clock().wait(INTERVAL).await;
            let all = self.state.store().range(prefix_range(keys::ALL), 0).await?;
            for entry in &all.entries {
                let mut changes = Changes::new();
                self.remove_expired(entry, &mut changes)?;
                if changes.is_empty() {
                    continue;
                }
                match self.state.commit(changes).await {
                    Ok(_) | Err(StateError::Conflict) => {}
                    Err(error) => return Err(error),
                }
            }
        }
    }

    fn remove_expired(&self, entry: &KeyValue, changes: &mut Changes) -> Result<(), StateError> {
        let key = String::from_utf8_lossy(&entry.key);
        if keys::is_service(&key) {
            let read = decode::<ServiceRecord>(entry)?;
            let service = &read.record;
            if self.is_over(service.inactive_since, INACTIVE_SERVICE_LIFE) {
                let (scope, cluster, name) = (&service.scope, &service.cluster, &service.name);
                changes
                    .remove(&read)
                    .delete(&keys::service_events(scope, cluster, name))
                    .delete_prefix(&keys::service_deployments(scope, cluster, name))
                    .delete_prefix(&keys::service_revisions(scope, cluster, name));
            }
        } else if keys::is_service_deployment(&key) {
            let read = decode::<ServiceDeploymentRecord>(entry)?;
            if self.is_over(read.record.finished_at, SERVICE_DEPLOYMENT_LIFE) {
                changes.remove(&read);
            }
        } else if keys::is_service_client_token(&key) {
            let read = decode::<ServiceTokenRecord>(entry)?;
            if self.is_over(Some(read.record.created_at), client_token::LIFE) {
                changes.remove(&read);
            }
        }
        Ok(())
    }

    fn is_over(&self, since: Option<Timestamp>, life: Duration) -> bool {
        let life = self.state.clock().scaled(life).as_millis();
        since.is_some_and(|at| {
            u128::try_from(self.state.now().millis_since(self.state.clock().past(at)))
                .is_ok_and(|age| age > life)
        })
    }
}
