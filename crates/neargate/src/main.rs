//! The command line, and nothing else: every mode is wired in a module of its own.

mod args;
mod dev;
mod doctor;
mod health;
mod housekeeping;
mod images;
mod kept_process;
mod lb;
mod lb_process;
mod lock;
mod node;
mod node_process;
mod server;

use std::process::ExitCode;

use clap::Parser as _;

use crate::args::{Cli, Command};

fn main() -> ExitCode {
    let mut words = std::env::args_os().skip(1);
    // Both fork and so must run before anything starts a thread; both read their arguments themselves.
    match words.next().as_deref().and_then(|word| word.to_str()) {
        Some("shim") => return neargate_shim::main(words),
        Some("oci-runtime") => return neargate_runtime::main(words),
        _ => {}
    }
    let outcome = match Cli::parse().command {
        Command::Dev(args) => dev::main(&args),
        Command::Node(args) => node::main(&args),
        Command::Lb(args) => lb::main(&args),
        Command::Doctor => return doctor::main(),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("neargate: {error:#}");
            ExitCode::FAILURE
        }
    }
}

/// Logs to standard error: `NEARGATE_LOG=debug`, or a filter such as `neargate_node=trace,info`.
fn start_logging(default: &str) {
    let filter = tracing_subscriber::EnvFilter::try_from_env("NEARGATE_LOG")
        .unwrap_or_else(|_| tracing_subscriber::EnvFilter::new(default));
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .with_ansi(false)
        .init();
}
