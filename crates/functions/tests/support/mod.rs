//! A directory with a functions file, and what stands behind its functions.

use std::future::Future;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use axum::http::{HeaderMap, StatusCode};
use neargate_control::functions::{Functions as _, Invocation, InvokeError};
use neargate_domain::Scope;
use neargate_functions::RegisteredFunctions;
use tempfile::TempDir;
use tokio::net::{TcpListener, TcpStream};

const PATIENCE: Duration = Duration::from_secs(20);

pub struct Registered {
    pub all: RegisteredFunctions,
    pub directory: TempDir,
}

impl Registered {
    /// Names, and the JSON that stands behind each.
    pub fn new(functions: &[(&str, String)]) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("functions.json");
        let entries: Vec<String> = functions
            .iter()
            .map(|(name, function)| format!("\"{name}\": {function}"))
            .collect();
        let text = format!("{{\"functions\": {{{}}}}}", entries.join(","));
        std::fs::write(&path, text).unwrap();
        let endpoint = "http://127.0.0.1:4566".to_owned();
        let all = RegisteredFunctions::open(&path, endpoint).unwrap();
        Self { all, directory }
    }

    pub async fn invoke(&self, function: &str, payload: &str) -> Result<String, InvokeError> {
        self.invoke_within(function, payload, PATIENCE).await
    }

    pub async fn invoke_within(
        &self,
        function: &str,
        payload: &str,
        timeout: Duration,
    ) -> Result<String, InvokeError> {
        let scope = Scope::new("123456789012", "eu-west-1");
        let call = Invocation {
            function,
            scope: &scope,
            payload: payload.to_owned(),
            timeout,
        };
        self.all.invoke(call).await
    }
}

/// A function that is a shell's script, which may have no double quotes.
pub fn shell(script: &str) -> String {
    format!("{{\"command\": [\"sh\", \"-c\", \"{script}\"]}}")
}

pub fn url(address: &str) -> String {
    format!("{{\"url\": \"http://{address}/\"}}")
}

/// A number of seconds that no other process sleeps, so that the sleeper can be found by it.
pub fn mark() -> String {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    let number = NEXT.fetch_add(1, Ordering::Relaxed);
    format!("60.{}{number:02}", std::process::id())
}

/// How many processes sleep this number of seconds.
pub fn running(mark: &str) -> usize {
    sleepers(mark).len()
}

pub fn kill(mark: &str) {
    for pid in sleepers(mark) {
        let _ = nix::sys::signal::kill(
            nix::unistd::Pid::from_raw(pid),
            nix::sys::signal::Signal::SIGKILL,
        );
    }
}

fn sleepers(mark: &str) -> Vec<i32> {
    let wanted = format!("sleep\0{mark}\0");
    std::fs::read_dir("/proc")
        .unwrap()
        .filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok())
        .filter(|pid: &i32| {
            std::fs::read_to_string(format!("/proc/{pid}/cmdline"))
                .is_ok_and(|words| words == wanted)
        })
        .collect()
}

pub async fn wait_until(condition: impl Fn() -> bool) {
    let waiting = async {
        while !condition() {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    tokio::time::timeout(PATIENCE, waiting)
        .await
        .expect("it came to be in time");
}

pub async fn all<F: Future>(calls: impl Iterator<Item = F>) -> Vec<F::Output> {
    futures_util::future::join_all(calls).await
}

/// An HTTP server that answers posts; returns its address.
pub async fn serve<A>(answer: A) -> String
where
    A: Fn(HeaderMap, String) -> (StatusCode, HeaderMap, String) + Clone + Send + Sync + 'static,
{
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let handler = move |headers: HeaderMap, body: String| {
        let answer = answer(headers, body);
        async move { answer }
    };
    let app = axum::Router::new().route("/", axum::routing::post(handler));
    tokio::spawn(async move { axum::serve(listener, app).await });
    address
}

/// A server that does something with each connection; returns its address.
pub async fn accept_and(act: impl Fn(TcpStream) + Send + 'static) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap().to_string();
    tokio::spawn(async move {
        while let Ok((socket, _)) = listener.accept().await {
            act(socket);
        }
    });
    address
}

/// An address where nobody listens any more.
pub async fn closed_address() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    listener.local_addr().unwrap().to_string()
}
