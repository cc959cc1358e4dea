//! `neargate node`.

use anyhow::{Context as _, bail};
use neargate_node::agent::{self, config::AgentConfig};
use tokio::signal::unix::{SignalKind, signal};

use crate::args::NodeArgs;
use crate::kept_process::LOCK;
use crate::lock::PidLock;

pub fn main(args: &NodeArgs) -> anyhow::Result<()> {
    crate::start_logging("info");
    std::fs::create_dir_all(&args.data_dir)
        .with_context(|| format!("making {}", args.data_dir.display()))?;
    let _lock = match PidLock::take(&args.data_dir.join(LOCK))? {
        Ok(lock) => lock,
        Err(pid) => bail!("process {pid} is the node of {}", args.data_dir.display()),
    };
    let config = AgentConfig {
        data_dir: args.data_dir.clone(),
        server_socket: args.server_socket.clone(),
        program: std::env::current_exe().context("finding this program")?,
        oci_runtime: args.oci_runtime.clone(),
        clean_on_exit: args.clean_on_exit,
    };
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()?;
    runtime.block_on(async {
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
        agent::run(config, shutdown).await?;
        anyhow::Ok(())
    })
}
