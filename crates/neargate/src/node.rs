//! `neargate node`.

use anyhow::{Context as _, bail};
use neargate_door::descriptors;
use neargate_files::private;
use neargate_node::agent::{self, config::AgentConfig};
use tokio::signal::unix::{SignalKind, signal};

use crate::args::NodeArgs;
use crate::kept_process::{Keep, KeptProcess, LOCK, log_path};
use crate::lb_process::lb_process;
use crate::lock::PidLock;

pub fn main(args: &NodeArgs) -> anyhow::Result<()> {
    crate::say::start_logging("info", Some(log_path(&args.data_dir, "node")));
    descriptors::raise_limit();
    private::make_dir(&args.data_dir)
        .with_context(|| format!("making {}", args.data_dir.display()))?;
    let lock = match PidLock::take(&args.data_dir.join(LOCK))? {
        Ok(lock) => lock,
        Err(pid) => bail!("process {pid} is the node of {}", args.data_dir.display()),
    };
    let config = AgentConfig {
        // Shims are found by it, by whoever starts the next node wherever.
        data_dir: std::path::absolute(&args.data_dir)?,
        server_socket: args.server_socket.clone(),
        program: std::env::current_exe().context("finding this program")?,
        oci_runtime: args.oci_runtime.clone(),
        clean_on_exit: args.clean_on_exit,
    };
    let lb = args
        .keep_lb
        .as_ref()
        .map(|dir| lb_process(dir, &args.server_socket, &args.data_dir));
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()?;
    let outcome = runtime.block_on(async {
        let (mut terminate, mut interrupt) = (
            signal(SignalKind::terminate())?,
            signal(SignalKind::interrupt())?,
        );
        let shutdown = async {
            tokio::select! {
                _ = terminate.recv() => {}
                _ = interrupt.recv() => {}
            }
        };
        tokio::select! {
            ended = agent::run(config, shutdown) => ended?,
            () = keep_alive(lb.as_ref()) => {}
        }
        // Its addresses are gone.
        if let Some(lb) = lb.as_ref().filter(|_| args.clean_on_exit) {
            lb.stop().await?;
        }
        anyhow::Ok(())
    });
    // Blocking work that waits for the load balancer must not hold up the end.
    runtime.shutdown_background();
    outcome?;
    Ok(lock.release()?)
}

/// Starts the load balancer again when it has died, for as long as the node runs: the server may be away.
async fn keep_alive(lb: Option<&KeptProcess>) {
    let Some(lb) = lb else {
        return std::future::pending().await;
    };
    lb.keep(Keep::Alive).await
}
