//! The command line, and nothing else: every mode is wired in a module of its own.

// Both panic where nobody reads: `say` does not.
#![deny(clippy::print_stdout, clippy::print_stderr)]

mod args;
mod controllers;
mod dev;
mod doctor;
mod front_door;
mod health;
mod host_limits;
mod housekeeping;
mod images;
mod kept_process;
mod lb;
mod lb_process;
mod localstack;
mod lock;
mod node;
mod node_process;
mod say;
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
    neargate_files::private::own_umask();
    let command = Cli::parse().command;
    if !matches!(command, Command::Doctor) {
        host_limits::be_spared();
    }
    let outcome = match command {
        Command::Dev(args) => dev::main(&args),
        Command::Node(args) => node::main(&args),
        Command::Lb(args) => lb::main(&args),
        Command::Doctor => return doctor::main(),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            say::err(format_args!("neargate: {error:#}"));
            ExitCode::FAILURE
        }
    }
}
