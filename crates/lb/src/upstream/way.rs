//! A request's way to a target, and to another one where the first cannot be connected to.
//!
//! AWS answers 502 or 504 when the chosen target does not accept a connection. As long as nothing was sent nobody can
//! tell who would have answered, so we try others first and give AWS's answer when they do not accept either: a task
//! that was just killed fails the requests that it had, and no later one.

use super::{ConnectError, Towards};
use crate::engine::vigil::Watched;
use crate::select::{self, Chosen};
use crate::table::{Endpoint, TargetGroup, TargetKey};
use std::sync::Arc;
use std::time::Duration;
use tokio::time::timeout;

/// Targets that are tried for one request.
const MAX_TARGETS_TRIED: usize = 3;
/// How long a target may take to accept while there are others: a round trip in one region takes a few milliseconds,
/// and a lost SYN is repeated after a second.
const PATIENCE: Duration = Duration::from_millis(900);

/// Who was chosen, and how to get there.
#[derive(Debug)]
pub struct Way {
    pub group: Arc<TargetGroup>,
    pub chosen: Chosen,
    pub towards: Towards,
}

impl Way {
    /// Connects by `connect`, to another target of the group if need be. `watched` attends to the one that is tried.
    pub async fn reach<T>(
        &mut self,
        endpoint: &Endpoint,
        watched: &Watched,
        mut connect: impl AsyncFnMut(Towards) -> Result<T, ConnectError>,
    ) -> Result<T, ConnectError> {
        let mut tried: Vec<TargetKey> = Vec::new();
        loop {
            let attempt = connect(self.towards.clone());
            let others = tried.len() + 1 < MAX_TARGETS_TRIED
                && select::has_other(&self.group, endpoint.zone(), |key| {
                    *key == self.towards.target || tried.contains(key)
                });
            // A TLS handshake takes as long as it takes: the target is there.
            let error = if others && !self.towards.secure {
                match timeout(PATIENCE, attempt).await {
                    Ok(Ok(reached)) => return Ok(reached),
                    Ok(Err(error)) => error,
                    Err(_) => ConnectError::TimedOut,
                }
            } else {
                match attempt.await {
                    Ok(reached) => return Ok(reached),
                    Err(error) => error,
                }
            };
            self.chosen.target.state.request_failed();
            tracing::debug!(%error, target = %self.towards.address, "no connection to a target");
            tried.push(self.towards.target);
            let another =
                select::choose_other(&self.group, endpoint.zone(), |key| tried.contains(key));
            let Some(another) = another.filter(|_| others) else {
                return Err(error);
            };
            self.towards = Towards::new(endpoint, &self.group, &another.target, self.towards.tls13);
            self.chosen = another;
            watched.attend(self.towards.target);
        }
    }
}
