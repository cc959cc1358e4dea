//! The load balancer alone, with a fixed table: `serve DATA_DIR CONFIG_FILE`. For profiling without the rest of the
//! program; `neargate lb --config` is the same.

use neargate_lb::process::{Config, run};
use std::path::PathBuf;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut words = std::env::args_os().skip(1).map(PathBuf::from);
    let (Some(data_dir), Some(table)) = (words.next(), words.next()) else {
        return Err("usage: serve DATA_DIR CONFIG_FILE".into());
    };
    let config = Config {
        data_dir,
        server_socket: None,
        node_data_dir: None,
        static_table: Some(table),
        lb_id: "serve".to_owned(),
        workers: None,
        descriptors: 20_000,
    };
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    Ok(runtime.block_on(run(config, std::future::pending()))?)
}
