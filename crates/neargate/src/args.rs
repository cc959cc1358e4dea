//! The command line's words.

use std::net::SocketAddr;
use std::path::PathBuf;

use clap::{Args, Parser, Subcommand};

/// ECS and Fargate on machines you own.
#[derive(Debug, Parser)]
#[command(name = "neargate", version)]
pub struct Cli {
    #[command(subcommand)]
    pub command: Command,
}

#[derive(Debug, Subcommand)]
pub enum Command {
    /// The AWS APIs and a node on this machine, for development and CI. Any credentials pass.
    Dev(DevArgs),
    /// Runs tasks on this machine for a control plane. `neargate dev` starts one by itself.
    Node(NodeArgs),
    /// The load balancers of this machine. `neargate dev` starts it by itself.
    Lb(LbArgs),
    /// Checks whether this machine has what tasks need, and says what is missing.
    Doctor,
}

#[derive(Debug, Args)]
pub struct DevArgs {
    /// Address of every API and of the registry; loopback only, because any credentials pass.
    #[arg(long, default_value = "127.0.0.1:4566", value_parser = loopback)]
    pub listen: SocketAddr,
    /// Where state, images and logs are kept.
    #[arg(long, default_value = "/var/lib/neargate")]
    pub data_dir: PathBuf,
    /// Keep everything in a directory of its own, which is removed at the end.
    #[arg(long, conflicts_with = "data_dir")]
    pub ephemeral: bool,
    /// Account of callers whose access key id is not an account id itself.
    #[arg(long, default_value = "000000000000", value_parser = account)]
    pub account: String,
    /// Region of unsigned requests.
    #[arg(long, default_value = "us-east-1")]
    pub region: String,
    /// How much faster than AWS's the control plane's clock waits: 60 turns a minute into a second.
    #[arg(long, default_value_t = 1.0, value_parser = time_scale)]
    pub time_scale: f64,
    /// Only the APIs; tasks wait in PROVISIONING.
    #[arg(long)]
    pub no_node: bool,
    /// `docker push` to a repository that does not exist creates it, where AWS refuses.
    #[arg(long)]
    pub create_repositories_on_push: bool,
    /// Run containers with another OCI runtime, such as /usr/bin/runc or /usr/bin/crun.
    #[arg(long, value_name = "PATH")]
    pub oci_runtime: Option<PathBuf>,
    /// What stands behind the Lambda functions that deployment hooks name: a JSON file with a URL or a command per name.
    #[arg(long, value_name = "FILE")]
    pub functions: Option<PathBuf>,
}

#[derive(Debug, Args)]
pub struct NodeArgs {
    /// Where tasks and images are kept.
    #[arg(long)]
    pub data_dir: PathBuf,
    /// Unix socket of the control plane.
    #[arg(long, value_name = "PATH")]
    pub server_socket: PathBuf,
    #[arg(long, value_name = "PATH")]
    pub oci_runtime: Option<PathBuf>,
    /// Data directory of this machine's load balancer. Start that again when it has died; the server does it too, while
    /// that runs.
    #[arg(long, value_name = "DIR")]
    pub keep_lb: Option<PathBuf>,
    /// At the end, stop the tasks and remove everything from the machine. Otherwise tasks go on without the node.
    #[arg(long)]
    pub clean_on_exit: bool,
}

#[derive(Debug, Args)]
pub struct LbArgs {
    /// Where the last configuration is kept.
    #[arg(long)]
    pub data_dir: PathBuf,
    /// Unix socket of the control plane.
    #[arg(long, value_name = "PATH", required_unless_present = "config")]
    pub server_socket: Option<PathBuf>,
    /// Data directory of this machine's node, which makes the load balancers' network namespaces.
    #[arg(long, value_name = "DIR")]
    pub node_data_dir: Option<PathBuf>,
    /// Serve what this JSON file says, without a control plane.
    #[arg(long, value_name = "FILE", conflicts_with = "server_socket")]
    pub config: Option<PathBuf>,
    /// Threads that serve connections; one per core unless given.
    #[arg(long, value_name = "N")]
    pub workers: Option<usize>,
}

fn loopback(text: &str) -> Result<SocketAddr, String> {
    let address: SocketAddr = text
        .parse()
        .map_err(|_| "write it as 127.0.0.1:4566".to_owned())?;
    if !address.ip().is_loopback() {
        return Err("dev mode takes any credentials and so listens on loopback only".to_owned());
    }
    Ok(address)
}

fn account(text: &str) -> Result<String, String> {
    let valid = text.len() == 12 && text.bytes().all(|b| b.is_ascii_digit());
    valid
        .then(|| text.to_owned())
        .ok_or_else(|| "an account has 12 digits".to_owned())
}

fn time_scale(text: &str) -> Result<f64, String> {
    let scale: f64 = text.parse().map_err(|_| "write a number".to_owned())?;
    if !(scale.is_finite() && (0.001..=1_000_000.0).contains(&scale)) {
        return Err("it must be between 0.001 and 1000000".to_owned());
    }
    Ok(scale)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        use clap::CommandFactory as _;
        Cli::command().debug_assert();
    }

    #[test]
    fn bad_values_are_refused() {
        for words in [
            &["neargate", "dev", "--listen", "0.0.0.0:4566"][..],
            &["neargate", "dev", "--listen", "4566"],
            &["neargate", "dev", "--account", "12"],
            &["neargate", "dev", "--time-scale", "0"],
            &["neargate", "dev", "--time-scale", "nan"],
            &["neargate", "dev", "--ephemeral", "--data-dir", "/x"],
            &["neargate", "node"],
            &["neargate", "lb", "--data-dir", "/x"],
            &["neargate"],
        ] {
            assert!(Cli::try_parse_from(words).is_err(), "{words:?}");
        }
    }
}
