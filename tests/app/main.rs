//! The service that tests run behind load balancers. Without dependencies, so that `rustc` alone makes it:
//! `rustc --edition 2024 -O -C target-feature=+crt-static main.rs`.
//!
//! Every answer has the headers `X-Version` (variable VERSION) and `X-Task` (the host name). Paths: `/` says both,
//! `/bytes?n=` that many bytes, `/slow?ms=` waits first, `/stream?chunks=&ms=` sends chunks with pauses, `/upload`
//! counts the body, `/ws` echoes WebSocket messages, `/health` answers HEALTH_STATUS (200), `/exit?code=` ends it.
//! STARTUP_DELAY_MS: listens only after that. CRASH_AFTER_MS: ends with code 1 after that.

mod sha1;

use std::io::{BufRead, BufReader, Read, Result, Write};
use std::net::{TcpListener, TcpStream};
use std::time::Duration;
use std::{env, process, thread};

fn main() -> Result<()> {
    end_on_sigterm();
    if let Some(delay) = millis("CRASH_AFTER_MS") {
        thread::spawn(move || {
            thread::sleep(delay);
            println!("crashing as told");
            process::exit(1);
        });
    }
    if let Some(delay) = millis("STARTUP_DELAY_MS") {
        thread::sleep(delay);
    }
    let listener = TcpListener::bind(format!("0.0.0.0:{}", variable("PORT", "8080")))?;
    println!("listening");
    for stream in listener.incoming() {
        let stream = stream?;
        // Whoever opens connections must not end the service.
        thread::Builder::new()
            .stack_size(128 << 10)
            .spawn(move || {
                let _ = stream.set_nodelay(true);
                // A client that goes away is its own business.
                let _ = serve(&stream);
            })?;
    }
    Ok(())
}

/// Process 1 of a container gets no signal that it does not ask for.
fn end_on_sigterm() {
    unsafe extern "C" {
        fn signal(number: i32, handler: extern "C" fn(i32)) -> usize;
        fn _exit(code: i32) -> !;
    }
    extern "C" fn end(_: i32) {
        // SAFETY: _exit may be called in a signal handler.
        unsafe { _exit(0) }
    }
    const SIGTERM: i32 = 15;
    // SAFETY: `end` calls nothing but _exit.
    unsafe { signal(SIGTERM, end) };
}

fn variable(name: &str, default: &str) -> String {
    env::var(name).unwrap_or_else(|_| default.to_owned())
}

fn millis(name: &str) -> Option<Duration> {
    env::var(name).ok()?.parse().ok().map(Duration::from_millis)
}

#[derive(Default)]
struct Head {
    method: String,
    target: String,
    length: usize,
    chunked: bool,
    websocket_key: Option<String>,
    close: bool,
}

impl Head {
    fn read(reader: &mut impl BufRead) -> Result<Option<Self>> {
        let mut line = String::new();
        if reader.read_line(&mut line)? == 0 {
            return Ok(None);
        }
        let mut words = line.split_whitespace().map(str::to_owned);
        let mut head = Self {
            method: words.next().unwrap_or_default(),
            target: words.next().unwrap_or_default(),
            ..Self::default()
        };
        loop {
            line.clear();
            if reader.read_line(&mut line)? <= 2 {
                return Ok(Some(head));
            }
            let Some((name, value)) = line.trim_end().split_once(':') else {
                continue;
            };
            let value = value.trim();
            match name.to_ascii_lowercase().as_str() {
                "content-length" => head.length = value.parse().unwrap_or(0),
                "transfer-encoding" => head.chunked = value.eq_ignore_ascii_case("chunked"),
                "sec-websocket-key" => head.websocket_key = Some(value.to_owned()),
                "connection" => head.close = value.eq_ignore_ascii_case("close"),
                _ => {}
            }
        }
    }

    fn path(&self) -> &str {
        self.target.split('?').next().unwrap_or_default()
    }

    fn number(&self, name: &str, default: u64) -> u64 {
        let query = self.target.split_once('?').map_or("", |(_, query)| query);
        query
            .split('&')
            .filter_map(|pair| pair.split_once('='))
            .find(|(key, _)| *key == name)
            .and_then(|(_, value)| value.parse().ok())
            .unwrap_or(default)
    }
}

fn serve(stream: &TcpStream) -> Result<()> {
    let mut reader = BufReader::new(stream);
    let mut out = stream;
    while let Some(head) = Head::read(&mut reader)? {
        let received = skip_body(&mut reader, &head)?;
        match head.path() {
            "/slow" => {
                thread::sleep(Duration::from_millis(head.number("ms", 1000)));
                answer(&mut out, &head, "200 OK", b"slow\n")?;
            }
            "/bytes" => {
                let body = vec![b'x'; head.number("n", 1024) as usize];
                answer(&mut out, &head, "200 OK", &body)?;
            }
            "/stream" => send_chunks(&mut out, &head)?,
            "/upload" => answer(&mut out, &head, "200 OK", received.to_string().as_bytes())?,
            "/health" => {
                let status = variable("HEALTH_STATUS", "200");
                answer(&mut out, &head, &format!("{status} Told"), b"health\n")?;
            }
            "/exit" => process::exit(head.number("code", 1) as i32),
            "/ws" => return echo_messages(reader, out, &head),
            _ => {
                let body = format!(
                    "{} {}\n",
                    variable("VERSION", "1"),
                    variable("HOSTNAME", "?")
                );
                answer(&mut out, &head, "200 OK", body.as_bytes())?;
            }
        }
        if head.close {
            break;
        }
    }
    Ok(())
}

fn identity() -> String {
    format!(
        "X-Version: {}\r\nX-Task: {}\r\n",
        variable("VERSION", "1"),
        variable("HOSTNAME", "?")
    )
}

fn answer(out: &mut impl Write, head: &Head, status: &str, body: &[u8]) -> Result<()> {
    let mut text = format!(
        "HTTP/1.1 {status}\r\n{}Content-Type: text/plain\r\nContent-Length: {}\r\n\r\n",
        identity(),
        body.len()
    )
    .into_bytes();
    if head.method != "HEAD" {
        text.extend_from_slice(body);
    }
    out.write_all(&text)
}

fn send_chunks(out: &mut impl Write, head: &Head) -> Result<()> {
    let identity = identity();
    write!(
        out,
        "HTTP/1.1 200 OK\r\n{identity}Transfer-Encoding: chunked\r\n\r\n"
    )?;
    for number in 0..head.number("chunks", 10) {
        let text = format!("chunk {number}\n");
        write!(out, "{:x}\r\n{text}\r\n", text.len())?;
        thread::sleep(Duration::from_millis(head.number("ms", 100)));
    }
    write!(out, "0\r\n\r\n")
}

/// Reads the body away and counts it.
fn skip_body(reader: &mut impl BufRead, head: &Head) -> Result<u64> {
    if !head.chunked {
        return std::io::copy(&mut reader.take(head.length as u64), &mut std::io::sink());
    }
    let mut total = 0;
    loop {
        let mut line = String::new();
        reader.read_line(&mut line)?;
        let size = u64::from_str_radix(line.trim(), 16).unwrap_or(0);
        total += std::io::copy(&mut reader.by_ref().take(size), &mut std::io::sink())?;
        line.clear();
        reader.read_line(&mut line)?;
        if size == 0 {
            return Ok(total);
        }
    }
}

/// Sends each message back. Messages are short and not fragmented, as the tests' clients send them.
fn echo_messages(mut reader: impl BufRead, mut out: impl Write, head: &Head) -> Result<()> {
    let Some(key) = &head.websocket_key else {
        return answer(&mut out, head, "400 Bad Request", b"no WebSocket\n");
    };
    write!(
        out,
        "HTTP/1.1 101 Switching Protocols\r\n{}Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: {}\r\n\r\n",
        identity(),
        sha1::websocket_accept(key)
    )?;
    loop {
        let mut start = [0; 2];
        reader.read_exact(&mut start)?;
        let length = usize::from(start[1] & 0x7f);
        let mut mask = [0; 4];
        reader.read_exact(&mut mask)?;
        let mut message = vec![0; length];
        reader.read_exact(&mut message)?;
        for (at, byte) in message.iter_mut().enumerate() {
            *byte ^= mask[at % 4];
        }
        let mut frame = vec![start[0], start[1] & 0x7f];
        frame.extend_from_slice(&message);
        out.write_all(&frame)?;
        const CLOSE: u8 = 8;
        if start[0] & 0xf == CLOSE {
            return Ok(());
        }
    }
}
