//! Running the programs that speak to firewalls: on the machine, or in the router.

use super::{
    error::{NetworkError, Result},
    router::Router,
};
use std::{io, process::Stdio, time::Duration};
use tokio::{
    io::AsyncWriteExt,
    process::{Child, Command},
};

/// How long one may take. They take milliseconds; a machine that swaps, or another program with the lock that they
/// wait for, needs longer.
const TIMEOUT: Duration = Duration::from_secs(30);

/// Runs a program to its end; what it printed. `router`: in there, otherwise on the machine.
pub async fn run(
    router: Option<&Router>,
    (program, args): (&str, &[&str]),
    input: &str,
) -> Result<Vec<u8>> {
    let failed = |message: String| NetworkError::Program {
        program: program.to_owned(),
        message,
    };
    let mut command = Command::new(program);
    command
        .args(args)
        .env("LC_ALL", "C")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true);
    let spawned: io::Result<Child> = match router {
        None => command.spawn(),
        // A process starts in the namespace of the thread that starts it.
        Some(router) => router.within(move || Ok(command.spawn())).await?,
    };
    let mut child = spawned.map_err(|error| {
        failed(format!(
            "cannot be started ({error}); install the package that has it"
        ))
    })?;
    let mut stdin = child.stdin.take();
    let feed_and_wait = async {
        if let Some(mut stdin) = stdin.take() {
            // It may end before it has read all; then its message says why.
            let _ = stdin.write_all(input.as_bytes()).await;
        }
        child.wait_with_output().await
    };
    let output = tokio::time::timeout(TIMEOUT, feed_and_wait)
        .await
        .map_err(|_| failed(format!("did not end within {} s", TIMEOUT.as_secs())))?
        .map_err(|error| failed(error.to_string()))?;
    if output.status.success() {
        return Ok(output.stdout);
    }
    let message = String::from_utf8_lossy(&output.stderr);
    tracing::debug!(program, ?args, input, %message, "a program refused");
    Err(failed(
        message.lines().next().unwrap_or("no message").to_owned(),
    ))
}

/// Runs one script of nft's as one transaction.
pub async fn nft(router: Option<&Router>, script: &str) -> Result<()> {
    if script.is_empty() {
        return Ok(());
    }
    run(router, ("nft", &["-f", "-"]), script).await.map(drop)
}
