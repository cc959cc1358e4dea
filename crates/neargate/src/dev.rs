//! `neargate dev`.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail};
use neargate_aws_wire::auth::DevAuthenticator;
use neargate_control::clock::SystemClock;
use neargate_domain::Scope;
use neargate_door::descriptors;
use neargate_files::private;
use neargate_files::tree::remove_tree;
use tokio::signal::unix::{Signal, SignalKind, signal};

use crate::args::DevArgs;
use crate::kept_process::{Keep, KeptProcess};
use crate::lb_process::{self, lb_process};
use crate::lock::PidLock;
use crate::node_process::{self, node_process};
use crate::server::{self, Server, ServerConfig};
use crate::{doctor, say};

/// How long tasks that were told to stop may take to be on record as stopped: the longest stopTimeout of Fargate, and
/// some for the rest.
const STOPPED_WAIT: Duration = Duration::from_secs(150);
/// Nothing is waited for that a node must do which is away for so long, or that must be written while the disk takes
/// nothing for so long.
const HOPELESS_AFTER: Duration = Duration::from_secs(15);
const LOOK_INTERVAL: Duration = Duration::from_millis(500);
/// One of these is in a data directory since its first start. A directory that has others below it and none of these is
/// somebody else's, who would be shut out of it.
const OWN_NAMES: [&str; 3] = ["server.lock", "state.redb", "node"];
/// What a file system of its own has from the beginning.
const LOST_AND_FOUND: &str = "lost+found";

pub fn main(args: &DevArgs) -> anyhow::Result<()> {
    crate::say::start_logging("warn", None);
    if !args.no_node
        && let Err(problem) = doctor::root()
    {
        bail!("{problem}, or with --no-node for the APIs alone");
    }
    let descriptors = descriptors::raise_limit();
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()?;
    let data_dir = match args.ephemeral {
        true => ephemeral_dir()?,
        false => data_dir(&args.data_dir)?,
    };
    let _lock = match PidLock::take(&data_dir.join("server.lock"))? {
        Ok(lock) => lock,
        Err(pid) => bail!(
            "process {pid} already serves {}; give another --data-dir",
            data_dir.display()
        ),
    };
    let of_others = [
        node_process::data_dir(&data_dir),
        lb_process::data_dir(&data_dir),
    ];
    private::tighten(&data_dir, &|path| {
        of_others.iter().any(|other| other == path)
    })
    .with_context(|| format!("shutting others out of {}", data_dir.display()))?;
    let outcome = runtime.block_on(run(args, data_dir.clone(), descriptors));
    // Blocking work that waits for a node of ours must not hold up the end.
    runtime.shutdown_background();
    if args.ephemeral
        && let Err(error) = remove_tree(&data_dir)
    {
        say::err(format_args!(
            "neargate: {} could not be removed: {error}",
            data_dir.display()
        ));
    }
    outcome
}

fn data_dir(given: &Path) -> anyhow::Result<PathBuf> {
    let dir = std::path::absolute(given)?;
    if is_of_somebody_else(&dir).with_context(|| format!("looking at {}", dir.display()))? {
        bail!(
            "{} has directories and nothing of Neargate in it; give a --data-dir of its own, which nobody else can look into",
            dir.display()
        );
    }
    private::make_dir(&dir)
        .with_context(|| format!("making the data directory {}", dir.display()))?;
    // Who had it before could let others in again.
    std::os::unix::fs::chown(&dir, Some(nix::unistd::geteuid().as_raw()), None)
        .with_context(|| format!("taking over the data directory {}", dir.display()))?;
    Ok(dir)
}

fn is_of_somebody_else(dir: &Path) -> std::io::Result<bool> {
    let entries = match std::fs::read_dir(dir) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(false),
        entries => entries?,
    };
    let mut has_directories = false;
    for entry in entries {
        let entry = entry?;
        let name = entry.file_name();
        if OWN_NAMES.iter().any(|own| name == *own) {
            return Ok(false);
        }
        // Files may be what the program was started with: its log, or its functions.
        has_directories |= entry.file_type()?.is_dir() && name != LOST_AND_FOUND;
    }
    Ok(has_directories)
}

/// A directory that nobody could make before us or know the name of.
fn ephemeral_dir() -> anyhow::Result<PathBuf> {
    let parent = std::path::absolute(std::env::temp_dir())?;
    let template = parent.join("neargate-XXXXXX");
    nix::unistd::mkdtemp(&template)
        .with_context(|| format!("making a directory in {}", parent.display()))
}

async fn run(args: &DevArgs, data_dir: PathBuf, descriptors: usize) -> anyhow::Result<()> {
    let mut signals = Signals::new()?;
    let server = server::start(ServerConfig {
        data_dir: data_dir.clone(),
        listen: args.listen,
        default_scope: Scope::new(&args.account, &args.region),
        create_repositories_on_push: args.create_repositories_on_push,
        authenticator: Arc::new(DevAuthenticator {
            default_account: args.account.clone(),
            default_region: args.region.clone(),
        }),
        clock: Arc::new(SystemClock::new(args.time_scale)),
        overcommit: true,
        listeners_on_loopback: true,
        has_nodes: !args.no_node,
        functions: args.functions.clone(),
        descriptors,
    })
    .await?;
    let outcome = serve(args, &data_dir, &server, &mut signals).await;
    server.functions.end();
    outcome
}

/// Until a signal comes.
async fn serve(
    args: &DevArgs,
    data_dir: &Path,
    server: &Server,
    signals: &mut Signals,
) -> anyhow::Result<()> {
    if args.no_node {
        ready(server);
        signals.next().await;
        return Ok(());
    }
    let socket = server::node_socket(data_dir);
    let node = node_process(data_dir, &socket, args.oci_runtime.as_deref());
    let lb = lb_process(
        &lb_process::data_dir(data_dir),
        &socket,
        &node_process::data_dir(data_dir),
    );
    tokio::select! {
        () = node.keep(Keep::Running) => {}
        () = lb.keep(Keep::Running) => {}
        () = signals.next() => {}
        () = async {
            tokio::join!(
                server.nodes.wait_for_node(),
                server.load_balancers.wait_for_process(),
            );
            ready(server);
            std::future::pending().await
        } => {}
    }
    stop(server, &node, &lb, signals).await
}

fn ready(server: &Server) {
    say::out(format_args!("ready http://{}", server.address));
}

/// Stops the tasks, so that their end is on record, then the load balancer and the node, which removes its addresses. A
/// second signal stops waiting for the tasks. What cannot be recorded keeps nothing from ending: the node stops its
/// tasks by itself.
async fn stop(
    server: &Server,
    node: &KeptProcess,
    lb: &KeptProcess,
    signals: &mut Signals,
) -> anyhow::Result<()> {
    // Or they would replace the tasks that stop.
    let _services = server.services.pause().await;
    let unrecorded = match server.nodes.stop_all("Neargate was stopped").await {
        Ok(()) => tokio::select! {
            () = server.nodes.wait_until_idle() => None,
            // A node that was killed just now is started again: who else stops the tasks that its successor adopts?
            () = node.keep(Keep::Running) => None,
            () = signals.next() => Some("told to end twice".to_owned()),
            why = hopeless(server) => Some(why.to_owned()),
            () = tokio::time::sleep(STOPPED_WAIT) => Some("they take too long".to_owned()),
        },
        Err(error) => Some(error.to_string()),
    };
    if let Some(why) = unrecorded {
        say::err(format_args!(
            "neargate: not waiting for the tasks to be recorded as stopped: {why}"
        ));
    }
    let lb_ended = lb.stop().await;
    node.stop().await?;
    lb_ended
}

/// Answers why the end of tasks will not be recorded, as soon as that is sure enough.
async fn hopeless(server: &Server) -> &'static str {
    let (mut node_seen, mut written) = (Instant::now(), Instant::now());
    loop {
        if !server.nodes.connected().is_empty() {
            node_seen = Instant::now();
        }
        if !server.store.is_refusing() {
            written = Instant::now();
        }
        if node_seen.elapsed() >= HOPELESS_AFTER {
            return "the node does not run";
        }
        if written.elapsed() >= HOPELESS_AFTER {
            return "the disk takes nothing";
        }
        tokio::time::sleep(LOOK_INTERVAL).await;
    }
}

/// SIGTERM and SIGINT.
struct Signals {
    terminate: Signal,
    interrupt: Signal,
}

impl Signals {
    fn new() -> std::io::Result<Self> {
        Ok(Self {
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
        })
    }

    async fn next(&mut self) {
        tokio::select! {
            _ = self.terminate.recv() => {}
            _ = self.interrupt.recv() => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nobody_else_is_shut_out_of_his_directory() {
        let dir = tempfile::tempdir().expect("a directory");
        let at = |name: &str| dir.path().join(name);
        let of_somebody_else = || is_of_somebody_else(dir.path()).expect("looked at");
        assert!(!is_of_somebody_else(&at("missing")).expect("looked at"));
        assert!(!of_somebody_else(), "empty");
        std::fs::create_dir(at("lost+found")).expect("made");
        assert!(!of_somebody_else(), "a disk of its own");
        std::fs::write(at("log"), "").expect("written");
        assert!(!of_somebody_else(), "what it is started with");
        std::fs::create_dir(at("lib")).expect("made");
        assert!(of_somebody_else());
        std::fs::write(at("server.lock"), "").expect("written");
        assert!(!of_somebody_else(), "used by an earlier version");
    }
}
