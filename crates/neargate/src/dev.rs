//! `neargate dev`.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context as _, bail};
use neargate_aws_wire::auth::DevAuthenticator;
use neargate_control::clock::SystemClock;
use neargate_domain::Scope;
use tokio::signal::unix::{Signal, SignalKind, signal};

use crate::args::DevArgs;
use crate::kept_process::{Keep, KeptProcess};
use crate::lb_process::{self, lb_process};
use crate::lock::PidLock;
use crate::node_process::{self, node_process};
use crate::server::{self, Server, ServerConfig};

pub fn main(args: &DevArgs) -> anyhow::Result<()> {
    crate::start_logging("warn");
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()?;
    let (data_dir, ephemeral) = data_dir(args)?;
    let _lock = match PidLock::take(&data_dir.join("server.lock"))? {
        Ok(lock) => lock,
        Err(pid) => bail!(
            "process {pid} already serves {}; give another --data-dir",
            data_dir.display()
        ),
    };
    let outcome = runtime.block_on(run(args, data_dir.clone()));
    // Blocking work that waits for a node of ours must not hold up the end.
    runtime.shutdown_background();
    if ephemeral && let Err(error) = std::fs::remove_dir_all(&data_dir) {
        eprintln!(
            "neargate: {} could not be removed: {error}",
            data_dir.display()
        );
    }
    outcome
}

fn data_dir(args: &DevArgs) -> anyhow::Result<(PathBuf, bool)> {
    let dir = if args.ephemeral {
        std::env::temp_dir().join(format!("neargate-{}", std::process::id()))
    } else {
        std::path::absolute(&args.data_dir)?
    };
    std::fs::create_dir_all(&dir)
        .with_context(|| format!("making the data directory {}", dir.display()))?;
    Ok((dir, args.ephemeral))
}

async fn run(args: &DevArgs, data_dir: PathBuf) -> anyhow::Result<()> {
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
        ended = node.keep(Keep::Running) => return ended,
        ended = lb.keep(Keep::Running) => return ended,
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
    use std::io::Write as _;
    println!("ready http://{}", server.address);
    // Whoever waits for the line reads a pipe, which is not flushed by itself.
    let _ = std::io::stdout().flush();
}

/// Stops the tasks, so that their end is on record, then the load balancer and the node, which removes its addresses. A
/// second signal stops waiting for the tasks.
async fn stop(
    server: &Server,
    node: &KeptProcess,
    lb: &KeptProcess,
    signals: &mut Signals,
) -> anyhow::Result<()> {
    // Or they would replace the tasks that stop.
    let _services = server.services.pause().await;
    server.nodes.stop_all("Neargate was stopped").await?;
    tokio::select! {
        () = server.nodes.wait_until_idle() => {}
        // A node that was killed just now is started again: who else stops the tasks that its successor adopts?
        ended = node.keep(Keep::Running) => return ended,
        () = signals.next() => eprintln!("neargate: not waiting for the tasks to be recorded as stopped"),
    }
    lb.stop().await?;
    node.stop().await
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
