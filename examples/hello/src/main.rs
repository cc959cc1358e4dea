//! A small web service without dependencies, to deploy on ECS: it says who answers.
//!
//! `GET /` names the version, the task's host name and how many requests this task has had; `GET /health` is for
//! health checks. Every answer has the first two in its headers too. It logs a line per request. Stopping it needs `initProcessEnabled`, as for any program that does not
//! handle SIGTERM as process 1.

use std::env;
use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;

static REQUESTS: AtomicU64 = AtomicU64::new(0);

fn main() -> std::io::Result<()> {
    let port = env::var("PORT").unwrap_or_else(|_| "8080".to_owned());
    let listener = TcpListener::bind(format!("0.0.0.0:{port}"))?;
    println!("listening on port {port}");
    for stream in listener.incoming() {
        let stream = stream?;
        thread::spawn(move || {
            if let Err(error) = serve(&stream) {
                println!("connection ended: {error}");
            }
        });
    }
    Ok(())
}

/// Answers the requests of one connection.
fn serve(stream: &TcpStream) -> std::io::Result<()> {
    let mut reader = BufReader::new(stream);
    loop {
        let mut request = String::new();
        if reader.read_line(&mut request)? == 0 {
            return Ok(());
        }
        let mut header = String::new();
        while reader.read_line(&mut header)? > 2 {
            header.clear();
        }
        let path = request.split_whitespace().nth(1).unwrap_or("/");
        let (status, body) = match path {
            "/health" => ("200 OK", "healthy\n".to_owned()),
            "/" => ("200 OK", greeting()),
            _ => ("404 Not Found", "nothing here\n".to_owned()),
        };
        println!("{} -> {status}", request.trim());
        let head = format!(
            "HTTP/1.1 {status}\r\nContent-Type: text/plain\r\nContent-Length: {}\r\nX-Version: {}\r\nX-Task: {}\r\n\r\n",
            body.len(),
            version(),
            host(),
        );
        // At once: the second of two small writes would wait until the first is acknowledged.
        let mut stream = stream;
        stream.write_all((head + &body).as_bytes())?;
    }
}

fn greeting() -> String {
    let count = REQUESTS.fetch_add(1, Ordering::Relaxed) + 1;
    format!(
        "{} from {} (version {}, request {count})\n",
        variable("GREETING", "Hello"),
        host(),
        version(),
    )
}

fn version() -> String {
    variable("VERSION", env!("CARGO_PKG_VERSION"))
}

fn host() -> String {
    variable("HOSTNAME", "somewhere")
}

fn variable(name: &str, default: &str) -> String {
    env::var(name).unwrap_or_else(|_| default.to_owned())
}
