//! The one writer of this node's nftables table.
//!
//! Changes that arrive while `nft` runs are gathered and become the next run, so that two hundred tasks started at
//! once are a few transactions. Each transaction takes the kernel from one whole [`Model`] to the next.

use super::{
    error::{NetworkError, Result},
    model::VpcId,
    policy::Policy,
    rules::{self, Model, Task, Vpc},
    ruleset::Ruleset,
};
use std::{collections::BTreeSet, process::Stdio, sync::Arc, time::Duration};
use tokio::{
    io::AsyncWriteExt,
    process::Command,
    sync::{mpsc, oneshot},
    task::JoinHandle,
};

/// Changes waiting for the writer; further callers wait for room.
const MAX_WAITING: usize = 1024;
/// How long one `nft` may take. It takes milliseconds; a machine that swaps may need longer.
const NFT_TIMEOUT: Duration = Duration::from_secs(30);

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
    OpenedUplinks(BTreeSet<String>),
    RemoveVpcs(Vec<VpcId>),
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
    writer: JoinHandle<()>,
}

impl Drop for Firewall {
    fn drop(&mut self) {
        self.writer.abort();
    }
}

impl Firewall {
    /// Starts the writer. The kernel's table, if there is one from an earlier process, stays as it is until the first
    /// change that is not quiet: then it is replaced whole.
    pub fn start(table: String, model: Model) -> Firewall {
        let (requests, receiver) = mpsc::channel(MAX_WAITING);
        let writer = Writer {
            table,
            model,
            live: None,
        };
        Firewall {
            requests,
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

struct Writer {
    table: String,
    model: Model,
    /// What the kernel has; `None` when that is not known.
    live: Option<Ruleset>,
}

impl Writer {
    async fn run(mut self, mut requests: mpsc::Receiver<Request>) {
        let mut batch = Vec::new();
        while requests.recv_many(&mut batch, MAX_WAITING).await > 0 {
            let quiet = batch.iter().all(|request| request.quiet);
            let mut next = self.model.clone();
            let mut rebuild = false;
            let mut answers = Vec::with_capacity(batch.len());
            for request in batch.drain(..) {
                for change in request.changes {
                    rebuild |= matches!(change, Change::Rebuild);
                    apply(&mut next, change);
                }
                answers.push(request.done);
            }
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
            match run_script(&script).await {
                Ok(()) => {
                    self.live = Some(wanted);
                    return Ok(());
                }
                // Somebody flushed the ruleset, as many firewalls do when they are reloaded.
                Err(error) => {
                    tracing::warn!(%error, "the table is not as we left it; writing it anew")
                }
            }
        }
        run_script(&wanted.script(&self.table)).await?;
        self.live = Some(wanted);
        Ok(())
    }
}

fn apply(model: &mut Model, change: Change) {
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
            model.tasks.remove(&veth);
        }
        Change::Policy(policy) => model.policy = policy,
        Change::OpenedUplinks(devices) => model.opened_uplinks = devices,
        Change::RemoveVpcs(vpcs) => model.vpcs.retain(|id, _| !vpcs.contains(id)),
        Change::Rebuild => {}
    }
}

/// Removes the table, if it is there.
pub async fn remove_table(table: &str) -> Result<()> {
    run_script(&format!("add table {table}\ndelete table {table}\n")).await
}

/// Runs one script as one transaction.
async fn run_script(script: &str) -> Result<()> {
    if script.is_empty() {
        return Ok(());
    }
    let failed = |message: String| NetworkError::Nft(message);
    let mut nft = Command::new("nft")
        .args(["-f", "-"])
        .env("LC_ALL", "C")
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .map_err(|error| {
            failed(format!(
                "cannot be started ({error}); install the package nftables"
            ))
        })?;
    let mut stdin = nft.stdin.take();
    let feed_and_wait = async {
        if let Some(mut stdin) = stdin.take() {
            // nft may end before it has read all; then its message says why.
            let _ = stdin.write_all(script.as_bytes()).await;
        }
        nft.wait_with_output().await
    };
    let output = tokio::time::timeout(NFT_TIMEOUT, feed_and_wait)
        .await
        .map_err(|_| failed(format!("did not end within {} s", NFT_TIMEOUT.as_secs())))?
        .map_err(|error| failed(error.to_string()))?;
    if output.status.success() {
        return Ok(());
    }
    let message = String::from_utf8_lossy(&output.stderr);
    tracing::debug!(script, %message, "nft refused a script");
    Err(failed(
        message.lines().next().unwrap_or("no message").to_owned(),
    ))
}
