//! One load balancer process's connection.

use std::sync::atomic::{AtomicU64, Ordering};

use neargate_lb_api as api;
use neargate_lb_api::lb_message::Message as FromLb;
use prost::Message as _;
use tokio::sync::mpsc;
use tonic::{Status, Streaming};

use super::LbControl;

type Outbound = mpsc::Sender<Result<api::ServerMessage, Status>>;

/// A message is its table and a few bytes around it.
const MAX_TABLE_BYTES: usize = api::MAX_TABLE_BYTES - 64;

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
                    if let Some(table) = newest.filter(|table| fits(table)) {
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

/// A table that the process would not take would end the session, and each one after it. It keeps the one that it has.
fn fits(table: &api::Table) -> bool {
    let bytes = table.encoded_len();
    let fits = bytes <= MAX_TABLE_BYTES;
    if !fits {
        tracing::error!(
            bytes,
            limit = MAX_TABLE_BYTES,
            "the load balancers of all accounts are too many for one process, which keeps the table that it has"
        );
    }
    fits
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
