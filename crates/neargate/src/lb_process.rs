//! The load balancer that a server keeps beside it, and its node too.

use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::kept_process::KeptProcess;

/// How long the load balancer may take to end once it is told to.
const STOP_TIMEOUT: Duration = Duration::from_secs(30);

/// The load balancers of this machine. Their addresses are in namespaces that the node makes.
pub fn lb_process(data_dir: &Path, server_socket: &Path, node_data_dir: &Path) -> KeptProcess {
    let arguments = vec![
        "--data-dir".into(),
        data_dir.into(),
        "--server-socket".into(),
        server_socket.into(),
        "--node-data-dir".into(),
        node_data_dir.into(),
    ];
    KeptProcess::new("lb", data_dir.to_owned(), arguments, STOP_TIMEOUT)
}

/// Directory of the load balancer below the server's.
pub fn data_dir(server_data_dir: &Path) -> PathBuf {
    server_data_dir.join("lb")
}
