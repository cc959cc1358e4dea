//! One load balancer process's connection.

use std::sync::atomic::{AtomicU64, Ordering};

use neargate_lb_api as api;
use neargate_lb_api::lb_message::Message as FromLb;
use tokio::sync::mpsc;
use tonic::{Status, Streaming};

use super::LbControl;

type Outbound = mpsc::Sender<Result<api::ServerMessage, Status>>;

/// Numbers the sessions of this process.
static SESSIONS: AtomicU64 = AtomicU64::new(1);

impl LbControl {
    /// Serves a process until it or the server is gone.
    pub(super) async fn serve_process(
        &self,
        mut inbound: Streaming<api::LbMessage>,
        outbound: &Outbound,
    ) -> Result<(), Status> {
        let Some(FromLb::Hello(hello)) = next(&mut inbound).await? else {
            return Err(Status::invalid_argument(
                "the first message of a load balancer is Hello",
            ));
        };
        let Some(FromLb::Observed(observed)) = next(&mut inbound).await? else {
            return Err(Status::invalid_argument(
                "the second message of a load balancer is all that it observes",
            ));
        };
        let session = SESSIONS.fetch_add(1, Ordering::Relaxed);
        tracing::info!(
            lb = hello.lb_id,
            session,
            table = observed.table_version,
            "a load balancer has connected"
        );
        self.board.take(&observed);
        self.sessions.lock().insert(hello.lb_id.clone(), session);
        self.connections.send_modify(|count| *count += 1);
        let result = self
            .converse(&hello.lb_id, session, &mut inbound, outbound)
            .await;
        let mut sessions = self.sessions.lock();
        if sessions.get(&hello.lb_id) == Some(&session) {
            sessions.remove(&hello.lb_id);
        }
        drop(sessions);
        self.connections.send_modify(|count| *count -= 1);
        tracing::info!(lb = hello.lb_id, session, "a load balancer has gone");
        result
    }

    async fn converse(
        &self,
        lb_id: &str,
        session: u64,
        inbound: &mut Streaming<api::LbMessage>,
        outbound: &Outbound,
    ) -> Result<(), Status> {
        let mut table = self.table.subscribe();
        // What is there already counts as changed.
        table.mark_changed();
        loop {
            tokio::select! {
                message = next(inbound) => match message? {
                    Some(FromLb::Observed(observed)) => self.board.take(&observed),
                    Some(FromLb::Hello(_)) => return Err(Status::invalid_argument("Hello comes once")),
                    None => return Ok(()),
                },
                changed = table.changed() => {
                    if changed.is_err() {
                        return Ok(());
                    }
                    let newest = table.borrow_and_update().clone();
                    if let Some(table) = newest {
                        let message = api::ServerMessage { table: Some((*table).clone()) };
                        outbound
                            .send(Ok(message))
                            .await
                            .map_err(|_| Status::cancelled("the load balancer has closed its stream"))?;
                    }
                }
            }
            // A process that connected again is served by its newer session.
            if self.sessions.lock().get(lb_id) != Some(&session) {
                return Ok(());
            }
        }
    }
}

async fn next(inbound: &mut Streaming<api::LbMessage>) -> Result<Option<FromLb>, Status> {
    loop {
        match inbound.message().await? {
            // A message of a newer process that this server does not know.
            Some(api::LbMessage { message: None }) => {}
            Some(api::LbMessage { message }) => return Ok(message),
            None => return Ok(None),
        }
    }
}
