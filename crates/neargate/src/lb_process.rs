//! The load balancer that a server keeps beside it.

use std::path::Path;
use std::time::Duration;

use crate::kept_process::KeptProcess;
use crate::node_process;

/// How long the load balancer may take to end once it is told to.
const STOP_TIMEOUT: Duration = Duration::from_secs(30);

/// The load balancers of this machine. Their addresses are in namespaces that the node makes.
pub fn lb_process(server_data_dir: &Path, server_socket: &Path) -> KeptProcess {
    let data_dir = server_data_dir.join("lb");
    KeptProcess {
        role: "lb",
        arguments: vec![
            "--data-dir".into(),
            data_dir.clone().into(),
            "--server-socket".into(),
            server_socket.into(),
            "--node-data-dir".into(),
            node_process::data_dir(server_data_dir).into(),
        ],
        data_dir,
        stop_timeout: STOP_TIMEOUT,
    }
}
