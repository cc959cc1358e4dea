//! Connections that come to be accepted together with their first bytes.
//!
//! A client of HTTP speaks first. A thread that is woken when the request is here instead of when the handshake ends
//! wakes once less for each connection. The client does not notice: its side of the handshake has ended. One that says
//! nothing is handed over after a second, which the deadlines for idle connections do not notice either.

use std::io;
use std::mem::size_of;
use std::net::TcpListener;
use std::os::fd::AsRawFd;

use neargate_lb_api::Protocol;

use super::front::Entry;
use crate::table::Table;

/// Until the kernel hands over a silent connection: one retransmission of its answer to SYN. Source: tcp(7).
const SILENCE_SECONDS: libc::c_int = 1;

/// Whether all clients that `entry` is for speak first.
pub fn applies(table: &Table, entry: &Entry) -> bool {
    entry
        .endpoints(table)
        .all(|endpoint| matches!(endpoint.listener.protocol, Protocol::Http | Protocol::Https))
}

/// Begins or ends it for the connections to come.
pub fn set(listener: &TcpListener, deferred: bool) -> io::Result<()> {
    let seconds = if deferred { SILENCE_SECONDS } else { 0 };
    // SAFETY: the descriptor is open, and the kernel reads as many bytes of `seconds` as it has.
    let result = unsafe {
        libc::setsockopt(
            listener.as_raw_fd(),
            libc::IPPROTO_TCP,
            libc::TCP_DEFER_ACCEPT,
            (&raw const seconds).cast(),
            size_of::<libc::c_int>() as libc::socklen_t,
        )
    };
    match result {
        0 => Ok(()),
        _ => Err(io::Error::last_os_error()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::netns::loopback;
    use crate::table::{Transport, fixture};
    use std::io::{ErrorKind, Write};
    use std::net::TcpStream;
    use std::time::{Duration, Instant};

    const PATIENCE: Duration = Duration::from_secs(10);
    /// Less than the kernel waits.
    const AT_ONCE: Duration = Duration::from_millis(900);

    fn accept(listener: &TcpListener, within: Duration) -> io::Result<TcpStream> {
        let until = Instant::now() + within;
        loop {
            match listener.accept() {
                Err(error) if error.kind() == ErrorKind::WouldBlock && Instant::now() < until => {
                    std::thread::yield_now();
                }
                other => return other.map(|(stream, _)| stream),
            }
        }
    }

    #[test]
    fn a_connection_comes_with_its_first_bytes() {
        let listener = TcpListener::bind(loopback(0)).expect("a free port");
        listener.set_nonblocking(true).expect("a socket");
        let address = listener.local_addr().expect("it is bound");
        set(&listener, true).expect("Linux has it");
        let mut silent = TcpStream::connect(address).expect("the handshake ends");
        let waits = listener.accept().map(drop).map_err(|error| error.kind());
        assert_eq!(waits, Err(ErrorKind::WouldBlock));
        silent.write_all(b"GET").expect("it is connected");
        accept(&listener, PATIENCE).expect("it has said something");
        let _never_speaks = TcpStream::connect(address).expect("the handshake ends");
        accept(&listener, PATIENCE).expect("it is not forgotten");

        set(&listener, false).expect("Linux has it");
        let _silent = TcpStream::connect(address).expect("the handshake ends");
        accept(&listener, AT_ONCE).expect("nobody waits for its bytes");
    }

    #[test]
    fn clients_must_speak_first() {
        let entry = Entry::Loopback {
            port: fixture::LISTENER_PORT,
            transport: Transport::Tcp,
        };
        for (protocols, want) in [
            (&[Protocol::Http][..], true),
            (&[Protocol::Https], true),
            (&[Protocol::Tcp], false),
            (&[Protocol::Tls], false),
            (&[Protocol::Http, Protocol::Tcp], false),
        ] {
            let mut table = fixture::table(Vec::new(), Vec::new());
            let first = table.load_balancers.remove(0);
            for (number, protocol) in protocols.iter().enumerate() {
                let mut balancer = first.clone();
                balancer.arn = format!("lb-{number}");
                balancer.listeners[0].arn = format!("listener-{number}");
                balancer.listeners[0].protocol = (*protocol).into();
                table.load_balancers.push(balancer);
            }
            let compiled = Table::compile(&table, None);
            assert_eq!(entry.endpoints(&compiled).count(), protocols.len());
            assert_eq!(applies(&compiled, &entry), want, "{protocols:?}");
        }
    }
}
