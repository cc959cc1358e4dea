//! A load generator for the bench: keep-alive HTTP/1.1 connections in one thread that send the same request over and
//! over, each as soon as its last answer is whole. It does as little as it can, since it shares the machine with what
//! it measures; all servers are measured by the same one.

mod answer;
mod connection;
mod options;

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};
use nix::sys::epoll::{Epoll, EpollCreateFlags, EpollEvent, EpollTimeout};

use connection::{Connection, Progress};
pub use options::Options;

/// At the start connections are made and caches are cold: not counted.
const WARM_UP: Duration = Duration::from_millis(300);

/// A server that answers nothing for so long is broken.
const SILENCE_LIMIT: Duration = Duration::from_secs(10);

/// Runs the load and prints what was measured as one line of JSON.
pub fn run(words: &[&str]) -> Result<()> {
    let options = Options::parse(words)?;
    let measured = hammer(&options)?;
    println!("{}", summary(measured, options.seconds));
    Ok(())
}

/// Latencies of all requests that began after the warm-up, in microseconds.
fn hammer(options: &Options) -> Result<Vec<u64>> {
    let epoll = Epoll::new(EpollCreateFlags::EPOLL_CLOEXEC)?;
    let mut connections = Vec::with_capacity(options.connections);
    for number in 0..options.connections {
        let request = options.request(number);
        connections.push(open(options.address, request, &epoll, number)?);
    }
    let start = Instant::now() + WARM_UP;
    let end = start + Duration::from_secs(options.seconds);
    let mut latencies = Vec::new();
    let mut events = vec![EpollEvent::empty(); options.connections];
    let timeout = EpollTimeout::try_from(SILENCE_LIMIT)?;
    while Instant::now() < end {
        let count = epoll.wait(&mut events, timeout)?;
        anyhow::ensure!(count > 0, "no answer for {SILENCE_LIMIT:?}");
        for event in &events[..count] {
            let number = usize::try_from(event.data())?;
            let connection = &mut connections[number];
            let progress = connection.progress()?;
            if progress == Progress::Waiting {
                continue;
            }
            let began = connection.began();
            if began >= start {
                latencies.push(u64::try_from(began.elapsed().as_micros())?);
            }
            if progress == Progress::Closed {
                // What a server does after each answer is part of what its callers wait for.
                let request = options.request(number);
                *connection = open(options.address, request, &epoll, number)?;
            } else {
                connection.repeat()?;
            }
        }
    }
    Ok(latencies)
}

fn open(address: SocketAddr, request: Vec<u8>, epoll: &Epoll, number: usize) -> Result<Connection> {
    let connection =
        Connection::open(address, request).with_context(|| format!("connecting to {address}"))?;
    connection.register(epoll, number)?;
    Ok(connection)
}

fn summary(mut latencies: Vec<u64>, seconds: u64) -> serde_json::Value {
    latencies.sort_unstable();
    let quantile = |share: f64| {
        let at = (latencies.len() as f64 * share) as usize;
        let micros = latencies.get(at.min(latencies.len().saturating_sub(1)));
        micros.map_or(0.0, |m| *m as f64 / 1_000.0)
    };
    serde_json::json!({
        "requests": latencies.len(),
        "per_second": latencies.len() as f64 / seconds as f64,
        "p50_ms": quantile(0.50),
        "p99_ms": quantile(0.99),
        "p999_ms": quantile(0.999),
        "max_ms": quantile(1.0),
    })
}

#[cfg(test)]
mod tests {
    use super::summary;

    #[test]
    fn quantiles_are_taken_from_the_sorted_latencies() {
        let latencies: Vec<u64> = (1..=1_000).rev().map(|n| n * 1_000).collect();
        let got = summary(latencies, 2);
        assert_eq!(got["requests"], 1_000);
        assert_eq!(got["per_second"], 500.0);
        assert_eq!(got["p50_ms"], 501.0);
        assert_eq!(got["p99_ms"], 991.0);
        assert_eq!(got["max_ms"], 1_000.0);
        assert_eq!(summary(Vec::new(), 1)["p99_ms"], 0.0);
    }
}
