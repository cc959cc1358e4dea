//! The node that a server keeps beside it.

use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::kept_process::KeptProcess;
use crate::lb_process;

/// How long a node may take to stop its tasks: the longest stopTimeout of Fargate (120 s), and some for the rest.
const STOP_TIMEOUT: Duration = Duration::from_secs(150);

/// A node that stops its tasks and leaves nothing on the machine when it is told to end.
pub fn node_process(
    server_data_dir: &Path,
    server_socket: &Path,
    oci_runtime: Option<&Path>,
) -> KeptProcess {
    let data_dir = data_dir(server_data_dir);
    let mut arguments = vec![
        "--data-dir".into(),
        data_dir.clone().into(),
        "--server-socket".into(),
        server_socket.into(),
        "--keep-lb".into(),
        lb_process::data_dir(server_data_dir).into(),
        "--clean-on-exit".into(),
    ];
    if let Some(runtime) = oci_runtime {
        arguments.extend(["--oci-runtime".into(), runtime.into()]);
    }
    KeptProcess::new("node", data_dir, arguments, STOP_TIMEOUT)
}

/// Directory of the node below the server's.
pub fn data_dir(server_data_dir: &Path) -> PathBuf {
    server_data_dir.join("node")
}
