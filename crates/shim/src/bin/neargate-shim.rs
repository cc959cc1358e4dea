//! The shim as a program of its own; `neargate shim` is the same thing inside the one binary.

use std::process::ExitCode;

fn main() -> ExitCode {
    neargate_shim::main(std::env::args_os().skip(1))
}
