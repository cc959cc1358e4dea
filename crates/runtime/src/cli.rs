//! The command line: what runc 1.1 and crun take, as far as a containerd-like caller uses it.

use std::ffi::OsString;
use std::io::Write as _;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, Parser, Subcommand};

use crate::error::{ErrorKind, RuntimeError};
use crate::{commands, exec, pause};

/// Where states of containers are kept when `--root` is not given.
const DEFAULT_ROOT: &str = "/run/neargate/oci";

#[derive(Parser)]
#[command(
    name = "neargate oci-runtime",
    about = "Create and run containers according to the OCI specification"
)]
struct Cli {
    #[command(flatten)]
    global: Global,
    #[command(subcommand)]
    command: Command,
}

#[derive(Args)]
pub(crate) struct Global {
    /// Directory for the state of containers (should be on a tmpfs).
    #[arg(long, default_value = DEFAULT_ROOT)]
    pub root: PathBuf,
    /// A file that the error line is appended to, besides stderr.
    #[arg(long)]
    pub log: Option<PathBuf>,
    /// Accepted for compatibility; the log is always JSON.
    #[arg(long, hide = true)]
    log_format: Option<String>,
    /// Accepted for compatibility.
    #[arg(long, hide = true)]
    debug: bool,
}

#[derive(Subcommand)]
enum Command {
    /// Create a container and wait with its command for `start`.
    Create(Create),
    /// Run the command of a created container.
    Start { id: String },
    /// Create and start in one step.
    Run(Run),
    /// Print the state of a container as JSON.
    State { id: String },
    /// Send a signal to the container's first process.
    Kill(Kill),
    /// Remove a stopped container's state and cgroup.
    Delete {
        /// Kill it first if it still runs; a container that does not exist is no error.
        #[arg(short, long)]
        force: bool,
        id: String,
    },
    /// Start a process that holds a pid namespace for the containers of a task (not in runc).
    Pause {
        /// Written when the namespace may be joined, at `/proc/PID/ns/pid`.
        #[arg(long)]
        pid_file: PathBuf,
    },
    /// Run another process in a running container.
    Exec(Exec),
}

#[derive(Args)]
pub(crate) struct Create {
    /// Directory with config.json.
    #[arg(short, long, default_value = ".")]
    pub bundle: PathBuf,
    /// Write the pid of the container's first process to this file.
    #[arg(long)]
    pub pid_file: Option<PathBuf>,
    /// Unix socket that receives the terminal of a container with `terminal: true`.
    #[arg(long)]
    pub console_socket: Option<PathBuf>,
    /// Pass this many descriptors from 3 on to the container.
    #[arg(long, default_value_t = 0)]
    pub preserve_fds: i32,
    /// Use MS_MOVE and chroot in place of pivot_root.
    #[arg(long)]
    pub no_pivot: bool,
    /// Accepted for compatibility: no session keyring is made.
    #[arg(long, hide = true)]
    no_new_keyring: bool,
    pub id: String,
}

#[derive(Args)]
pub(crate) struct Run {
    /// Return when the command runs instead of waiting for its end.
    #[arg(short, long)]
    pub detach: bool,
    /// Keep the container's state after its end (only without --detach).
    #[arg(long)]
    pub keep: bool,
    #[command(flatten)]
    pub create: Create,
}

#[derive(Args)]
pub(crate) struct Kill {
    /// Signal every process in the container's cgroup.
    #[arg(short, long)]
    pub all: bool,
    pub id: String,
    /// Name, with or without SIG, or number.
    #[arg(default_value = "SIGTERM")]
    pub signal: String,
}

#[derive(Args)]
pub(crate) struct Exec {
    /// File with the OCI process object; without it the container's own process with COMMAND is used.
    #[arg(short, long)]
    pub process: Option<PathBuf>,
    /// Return when the command runs instead of waiting for its end.
    #[arg(short, long)]
    pub detach: bool,
    #[arg(long)]
    pub pid_file: Option<PathBuf>,
    #[arg(long)]
    pub console_socket: Option<PathBuf>,
    /// Allocate a terminal (needs --console-socket).
    #[arg(short, long)]
    pub tty: bool,
    #[arg(long)]
    pub cwd: Option<PathBuf>,
    /// NAME=VALUE, may be repeated.
    #[arg(short, long)]
    pub env: Vec<String>,
    /// Numeric UID, or UID:GID.
    #[arg(short, long)]
    pub user: Option<String>,
    pub id: String,
    #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
    pub command: Vec<String>,
}

/// `neargate oci-runtime ARGS`. `args` is without the program's name and the subcommand's.
///
/// To be called before the process has started any thread: it forks and joins namespaces. Returns in the calling
/// process only; the container's processes never come back here.
pub fn main(args: impl Iterator<Item = OsString>) -> ExitCode {
    // Mount points that are made, and files of the container's processes, are not Neargate's own.
    neargate_files::private::usual_umask();
    let args = std::iter::once(OsString::from("neargate oci-runtime")).chain(args);
    let cli = match Cli::try_parse_from(args) {
        Ok(cli) => cli,
        Err(error) if !error.use_stderr() => {
            let _ = write!(std::io::stdout(), "{error}");
            return ExitCode::SUCCESS;
        }
        Err(error) => {
            return fail(
                &RuntimeError::new(
                    ErrorKind::Usage,
                    error.to_string().trim().replace('\n', " "),
                ),
                None,
            );
        }
    };
    let global = cli.global;
    let result = match cli.command {
        Command::Create(create) => commands::create(&global, create).map(|()| ExitCode::SUCCESS),
        Command::Start { id } => commands::start(&global, &id).map(|()| ExitCode::SUCCESS),
        Command::Run(run) => commands::run(&global, run),
        Command::State { id } => commands::state(&global, &id).map(|()| ExitCode::SUCCESS),
        Command::Kill(kill) => commands::kill(&global, &kill).map(|()| ExitCode::SUCCESS),
        Command::Delete { force, id } => {
            commands::delete(&global, &id, force).map(|()| ExitCode::SUCCESS)
        }
        Command::Pause { pid_file } => {
            pause::start(&global.root, &pid_file).map(|()| ExitCode::SUCCESS)
        }
        Command::Exec(args) => exec::exec(&global, args),
    };
    result.unwrap_or_else(|error| fail(&error, global.log.as_deref()))
}

fn fail(error: &RuntimeError, log: Option<&std::path::Path>) -> ExitCode {
    // An error of two strings always serialises.
    let line = serde_json::to_string(error).unwrap_or_default();
    let _ = writeln!(std::io::stderr(), "{line}");
    if let Some(log) = log
        && let Ok(mut file) = std::fs::OpenOptions::new()
            .create(true)
            .append(true)
            .open(log)
    {
        let _ = writeln!(file, "{line}");
    }
    ExitCode::from(error.kind.exit_code())
}
