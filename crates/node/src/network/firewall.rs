//! The one writer of the router's nftables table.
//!
//! Changes that arrive while `nft` runs are gathered and become the next run, so that two hundred tasks started at
//! once are a few transactions. Each transaction takes the kernel from one whole [`Model`] to the next.

use super::{
    error::{NetworkError, Result},
    flows::{self, Table, Tally},
    model::VpcId,
    policy::Policy,
    program,
    router::Router,
    rules::{self, Model, Task, Vpc},
    ruleset::Ruleset,
    vpc,
};
use std::{collections::BTreeSet, sync::Arc};
use tokio::{
    sync::{mpsc, oneshot},
    task::JoinHandle,
};

/// Changes waiting for the writer; further callers wait for room.
const MAX_WAITING: usize = 1024;

/// One step from a model to the next.
pub enum Change {
    AddTask {
        veth: String,
        task: Arc<Task>,
        vpc: (VpcId, Vpc),
    },
    RemoveTask {
        veth: String,
    },
    Policy(Arc<Policy>),
    RemoveVpcs(Vec<VpcId>),
    Flows(Tally),
    /// Write the table anew, whatever the kernel has.
    Rebuild,
}

struct Request {
    changes: Vec<Change>,
    /// Only the model, the kernel follows with the next request.
    quiet: bool,
    done: oneshot::Sender<Result<()>>,
}

/// A handle to the writer.
pub struct Firewall {
    requests: mpsc::Sender<Request>,
    counter: JoinHandle<()>,
    writer: JoinHandle<()>,
}

impl Drop for Firewall {
    fn drop(&mut self) {
        self.counter.abort();
        self.writer.abort();
    }
}

impl Firewall {
    /// Starts the writer. The kernel's table, if there is one from an earlier process, stays as it is until the first
    /// change that is not quiet: then it is replaced whole.
    /// `bound`: of flows per task.
    pub fn start(router: Router, table: String, model: Model, bound: u32) -> Firewall {
        let (requests, receiver) = mpsc::channel(MAX_WAITING);
        let counter = tokio::spawn(count_flows(
            Table::new(router.clone(), bound),
            requests.clone(),
        ));
        let writer = Writer {
            bound,
            router,
            table,
            model,
            live: None,
        };
        Firewall {
            requests,
            counter,
            writer: tokio::spawn(writer.run(receiver)),
        }
    }

    /// Returns when the kernel has the change.
    pub async fn apply(&self, changes: Vec<Change>) -> Result<()> {
        self.send(changes, false).await
    }

    /// Notes a change that the kernel's table already reflects (or that must wait for others).
    pub async fn note(&self, changes: Vec<Change>) -> Result<()> {
        self.send(changes, true).await
    }

    async fn send(&self, changes: Vec<Change>, quiet: bool) -> Result<()> {
        let (done, result) = oneshot::channel();
        self.requests
            .send(Request {
                changes,
                quiet,
                done,
            })
            .await
            .map_err(|_| NetworkError::Closed)?;
        result.await.map_err(|_| NetworkError::Closed)?
    }
}

/// Tells the writer when somebody has too many flows, or no longer.
async fn count_flows(mut table: Table, requests: mpsc::Sender<Request>) {
    loop {
        let changes = vec![Change::Flows(table.next().await)];
        let (done, _) = oneshot::channel();
        let request = Request {
            changes,
            quiet: true,
            done,
        };
        if requests.send(request).await.is_err() {
            return;
        }
    }
}

struct Writer {
    bound: u32,
    router: Router,
    table: String,
    model: Model,
    /// What the kernel has; `None` when that is not known.
    live: Option<Ruleset>,
}

impl Writer {
    async fn run(mut self, mut requests: mpsc::Receiver<Request>) {
        let mut batch = Vec::new();
        while requests.recv_many(&mut batch, MAX_WAITING).await > 0 {
            let mut quiet = batch.iter().all(|request| request.quiet);
            let mut next = self.model.clone();
            let mut rebuild = false;
            let mut answers = Vec::with_capacity(batch.len());
            for request in batch.drain(..) {
                for change in request.changes {
                    rebuild |= matches!(change, Change::Rebuild);
                    apply(&mut next, change, self.bound);
                }
                answers.push(request.done);
            }
            // Unless the kernel's table is that of an earlier process, which may know more tasks.
            quiet &= self.live.is_none() || next.full == self.model.full;
            let result = if quiet {
                Ok(())
            } else {
                self.commit(&next, rebuild).await
            };
            if result.is_ok() {
                self.model = next;
            }
            for done in answers {
                // A caller that gave up does not want the answer.
                let _ = done.send(result.clone());
            }
        }
    }

    async fn commit(&mut self, next: &Model, rebuild: bool) -> Result<()> {
        let wanted = rules::render(next);
        // Until the new state is known to be in the kernel, nothing is.
        if let Some(live) = self.live.take().filter(|_| !rebuild) {
            let script = live.changes(&wanted, &self.table);
            match program::nft(Some(&self.router), &script).await {
                Ok(()) => {
                    self.live = Some(wanted);
                    return Ok(());
                }
                // Somebody was in the router and changed it.
                Err(error) => {
                    tracing::warn!(%error, "the table is not as we left it; writing it anew")
                }
            }
        }
        program::nft(Some(&self.router), &wanted.script(&self.table)).await?;
        self.live = Some(wanted);
        Ok(())
    }
}

/// Whose flows are too many.
fn full(model: &Model, tally: &Tally, bound: u32) -> BTreeSet<String> {
    let is_full = |(veth, task): &(&String, &Arc<Task>)| {
        let vpc = model.vpcs.get(&task.vpc);
        let flows = vpc.and_then(|vpc| tally.get(&(vpc::zone(vpc.number), task.address)));
        let flows = flows.copied().unwrap_or_default();
        task.limited && flows::is_full(flows, bound, model.full.contains(*veth))
    };
    let full = model.tasks.iter().filter(is_full);
    full.map(|(veth, _)| veth.clone()).collect()
}

fn apply(model: &mut Model, change: Change, bound: u32) {
    match change {
        Change::AddTask {
            veth,
            task,
            vpc: (id, vpc),
        } => {
            model.vpcs.entry(id).or_insert(vpc);
            model.tasks.insert(veth, task);
        }
        Change::RemoveTask { veth } => {
            model.full.remove(&veth);
            model.tasks.remove(&veth);
        }
        Change::Flows(tally) => model.full = full(model, &tally, bound),
        Change::Policy(policy) => model.policy = policy,
        Change::RemoveVpcs(vpcs) => model.vpcs.retain(|id, _| !vpcs.contains(id)),
        Change::Rebuild => {}
    }
}
