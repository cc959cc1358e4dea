//! Steady load on one service, of all the kinds of clients that a load balancer has at once, which counts every
//! request that failed or was cut: `neargate-load --url http://web.elb.localhost:80 --rate 1000`.
//!
//! It prints one line of JSON per second (see [`report`]) and, after `--seconds` or when its standard input ends, a
//! summary; it exits with 1 if anything failed. Failures are never retried: what a client would see is what counts.

mod connect;
mod http1;
mod http2;
mod report;
mod stream;
mod websocket;

use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, bail};
use clap::Parser;
use tokio::sync::watch;
use tokio::task::JoinSet;

use crate::connect::Target;
use crate::report::{Kind, Report};

#[derive(Debug, Clone, Parser)]
#[command(version, about)]
struct Args {
    /// Where requests go: http://HOST:PORT/PATH. Names under `.localhost` are 127.0.0.1.
    #[arg(long)]
    url: String,
    /// https://HOST:PORT/PATH for the HTTP/2 clients; without it there are none. The certificate is not checked.
    #[arg(long)]
    https_url: Option<String>,
    /// Short requests per second, of all kinds together.
    #[arg(long, default_value_t = 1000)]
    rate: u32,
    /// Ends after this; 0 runs until the standard input ends.
    #[arg(long, default_value_t = 0.0)]
    seconds: f64,
    /// Connections that are kept and used for most of the requests.
    #[arg(long, default_value_t = 16)]
    keep_alive: u32,
    /// Clients that open a connection for each request, with a tenth of the rate together; 0 for none.
    #[arg(long, default_value_t = 4)]
    new_connections: u32,
    /// HTTP/2 connections, with a fifth of the rate together.
    #[arg(long, default_value_t = 2)]
    http2: u32,
    /// WebSockets that send and expect a message ten times a second, each for two seconds, on /ws.
    #[arg(long, default_value_t = 4)]
    websockets: u32,
    /// Clients that read answers of about two seconds, on /stream.
    #[arg(long, default_value_t = 4)]
    streams: u32,
    /// A request without a whole answer after this has failed.
    #[arg(long, default_value_t = 10.0)]
    timeout: f64,
}

/// What a client has to know.
#[derive(Clone)]
struct Client {
    target: Arc<Target>,
    report: Report,
    timeout: Duration,
    /// Time between two requests of this client.
    pause: Duration,
    /// Becomes true at the end: clients finish what they began and return.
    end: watch::Receiver<bool>,
}

impl Client {
    fn ending(&self) -> bool {
        *self.end.borrow()
    }

    /// Waits for the turn of the next request. False: there is none any more.
    async fn next(&mut self, interval: &mut tokio::time::Interval) -> bool {
        tokio::select! {
            biased;
            // The sender lives until all clients have ended.
            _ = self.end.wait_for(|end| *end) => false,
            _ = interval.tick() => true,
        }
    }

    fn interval(&self) -> tokio::time::Interval {
        // Clients begin at different times, or they would all send at once.
        let start = self.pause.mul_f64(rand::random::<f64>());
        let mut interval =
            tokio::time::interval_at(tokio::time::Instant::now() + start, self.pause);
        interval.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Burst);
        interval
    }
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let args = Args::parse();
    if args.rate == 0 || args.keep_alive == 0 {
        bail!("--rate and --keep-alive must be at least 1");
    }
    let target = Arc::new(Target::parse(&args.url)?);
    let https = args
        .https_url
        .as_deref()
        .map(Target::parse)
        .transpose()?
        .map(Arc::new);
    let report = Report::default();
    let (ending, end) = watch::channel(false);
    let mut clients = JoinSet::new();

    let http2 = if https.is_some() { args.http2 } else { 0 };
    let share = |part: f64, clients: u32| {
        if clients == 0 {
            0.0
        } else {
            f64::from(args.rate) * part
        }
    };
    let (new_rate, http2_rate) = (share(0.1, args.new_connections), share(0.2, http2));
    let keep_rate = f64::from(args.rate) - new_rate - http2_rate;
    let client = |rate: f64, number: u32, target: &Arc<Target>| Client {
        target: target.clone(),
        report: report.clone(),
        timeout: Duration::from_secs_f64(args.timeout),
        pause: Duration::from_secs_f64(f64::from(number) / rate),
        end: end.clone(),
    };
    for _ in 0..args.keep_alive {
        clients.spawn(http1::keep_alive(client(
            keep_rate,
            args.keep_alive,
            &target,
        )));
    }
    for _ in 0..args.new_connections {
        clients.spawn(http1::new_connections(client(
            new_rate,
            args.new_connections,
            &target,
        )));
    }
    if let Some(https) = &https {
        for _ in 0..http2 {
            clients.spawn(http2::run(client(http2_rate, http2, https)));
        }
    }
    for _ in 0..args.websockets {
        clients.spawn(websocket::run(client(10.0, 1, &target)));
    }
    for _ in 0..args.streams {
        clients.spawn(stream::run(client(1.0, 1, &target)));
    }

    let printer = tokio::spawn(report::print_each_second(report.clone()));
    if args.seconds > 0.0 {
        tokio::time::sleep(Duration::from_secs_f64(args.seconds)).await;
    } else {
        tokio::task::spawn_blocking(|| std::io::copy(&mut std::io::stdin(), &mut std::io::sink()))
            .await??;
    }
    // Fails only when no client is left, and then there is nobody to tell.
    let _ = ending.send(true);
    while let Some(ended) = clients.join_next().await {
        ended.context("a client of the load generator has failed")?;
    }
    printer.abort();
    let failed = report.print_summary();
    std::process::exit(i32::from(failed > 0));
}

/// Runs one exchange under the client's timeout and counts how it ended.
async fn count<F>(client: &Client, kind: Kind, exchange: F) -> bool
where
    F: Future<Output = anyhow::Result<connect::Served>>,
{
    let begun = std::time::Instant::now();
    match tokio::time::timeout(client.timeout, exchange).await {
        Ok(Ok(served)) => {
            client.report.served(kind, &served, begun.elapsed());
            true
        }
        Ok(Err(error)) => {
            client.report.failed(kind, &format!("{error:#}"));
            false
        }
        Err(_) => {
            client.report.failed(kind, "no whole answer in time");
            false
        }
    }
}
