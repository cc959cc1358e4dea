//! `neargate lb`.

use anyhow::{Context as _, bail};
use neargate_door::descriptors;
use neargate_files::private;
use neargate_lb::process::{self, Config};
use tokio::signal::unix::{SignalKind, signal};

use crate::args::LbArgs;
use crate::kept_process::{LOCK, log_path};
use crate::lock::PidLock;

pub fn main(args: &LbArgs) -> anyhow::Result<()> {
    crate::say::start_logging("info", Some(log_path(&args.data_dir, "lb")));
    private::make_dir(&args.data_dir)
        .with_context(|| format!("making {}", args.data_dir.display()))?;
    let lock = match PidLock::take(&args.data_dir.join(LOCK))? {
        Ok(lock) => lock,
        Err(pid) => bail!(
            "process {pid} is the load balancer of {}",
            args.data_dir.display()
        ),
    };
    private::tighten(&args.data_dir, &|_| false)
        .with_context(|| format!("shutting others out of {}", args.data_dir.display()))?;
    let descriptors = descriptors::raise_limit();
    let config = Config {
        data_dir: args.data_dir.clone(),
        server_socket: args.server_socket.clone(),
        node_data_dir: args.node_data_dir.clone(),
        static_table: args.config.clone(),
        lb_id: "lb".to_owned(),
        workers: args.workers,
        descriptors,
    };
    // Only for what belongs to no connection: the workers have runtimes of their own.
    let runtime = tokio::runtime::Builder::new_current_thread()
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
        process::run(config, shutdown).await?;
        anyhow::Ok(())
    })?;
    Ok(lock.release()?)
}
