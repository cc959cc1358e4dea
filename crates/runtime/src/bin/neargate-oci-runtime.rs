//! The OCI runtime as a program of its own; `neargate oci-runtime` is the same thing inside the one binary.

use std::process::ExitCode;

fn main() -> ExitCode {
    neargate_runtime::main(std::env::args_os().skip(1))
}
