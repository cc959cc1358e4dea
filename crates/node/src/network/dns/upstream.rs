//! Questions that the machine's own resolvers answer.

use std::{
    future::Future,
    io,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
    path::Path,
    time::Duration,
};
use tokio::net::{TcpStream, UdpSocket};

/// How long each of the machine's resolvers has. Clients themselves wait 5 seconds (resolv.conf(5), timeout).
const PATIENCE: Duration = Duration::from_secs(2);
/// As many as the C library reads (resolv.conf(5), MAXNS).
const MAX_RESOLVERS: usize = 3;
/// The largest answer over UDP: what a datagram can hold.
const MAX_ANSWER: usize = 65535;
const PORT: u16 = 53;

/// Asks the machine's resolvers in turn.
pub async fn ask_udp(question: &[u8], resolv_conf: &Path) -> Option<Vec<u8>> {
    ask(resolv_conf, |resolver| exchange_udp(question, resolver)).await
}

/// The same over TCP.
pub async fn ask_tcp(question: &[u8], resolv_conf: &Path) -> Option<Vec<u8>> {
    ask(resolv_conf, |resolver| exchange_tcp(question, resolver)).await
}

async fn ask<F: Future<Output = io::Result<Vec<u8>>>>(
    resolv_conf: &Path,
    exchange: impl Fn(SocketAddr) -> F,
) -> Option<Vec<u8>> {
    // Read each time: laptops change networks.
    let text = tokio::fs::read_to_string(resolv_conf)
        .await
        .unwrap_or_default();
    for resolver in resolvers(&text) {
        match tokio::time::timeout(PATIENCE, exchange(resolver)).await {
            Ok(Ok(answer)) => return Some(answer),
            Ok(Err(error)) => tracing::debug!(%resolver, %error, "resolver failed"),
            Err(_) => tracing::debug!(%resolver, "resolver is silent"),
        }
    }
    None
}

/// Resolvers in the text of a `resolv.conf`; without any, the one on this machine (resolv.conf(5)).
fn resolvers(text: &str) -> Vec<SocketAddr> {
    let address = |line: &str| {
        let mut words = line.split_ascii_whitespace();
        let value = words
            .next()
            .filter(|&word| word == "nameserver")
            .and(words.next())?;
        // A link-local IPv6 address may name its device; such resolvers are passed over.
        Some(SocketAddr::new(value.parse().ok()?, PORT))
    };
    let found: Vec<SocketAddr> = text
        .lines()
        .filter_map(address)
        .take(MAX_RESOLVERS)
        .collect();
    if found.is_empty() {
        vec![SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), PORT)]
    } else {
        found
    }
}

/// A socket for each question: its random port is what makes forging an answer hard.
async fn exchange_udp(question: &[u8], resolver: SocketAddr) -> io::Result<Vec<u8>> {
    let any: IpAddr = if resolver.is_ipv4() {
        Ipv4Addr::UNSPECIFIED.into()
    } else {
        Ipv6Addr::UNSPECIFIED.into()
    };
    let socket = UdpSocket::bind((any, 0)).await?;
    socket.connect(resolver).await?;
    socket.send(question).await?;
    loop {
        // Hundreds of questions may wait; room for an answer is made when there is one.
        socket.readable().await?;
        let mut answer = vec![0; MAX_ANSWER];
        let length = match socket.try_recv(&mut answer) {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => continue,
            received => received?,
        };
        if is_reply(question, &answer[..length]) {
            answer.truncate(length);
            return Ok(answer);
        }
    }
}

async fn exchange_tcp(question: &[u8], resolver: SocketAddr) -> io::Result<Vec<u8>> {
    let mut stream = TcpStream::connect(resolver).await?;
    super::write_message(&mut stream, question).await?;
    let answer = super::read_message(&mut stream).await?;
    if is_reply(question, &answer) {
        Ok(answer)
    } else {
        Err(io::ErrorKind::InvalidData.into())
    }
}

/// The same number, and the bit that says it is a reply.
fn is_reply(question: &[u8], answer: &[u8]) -> bool {
    answer.len() >= 12
        && question.len() >= 12
        && answer[..2] == question[..2]
        && answer[2] & 0x80 != 0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn resolvers_are_read_as_the_c_library_does() {
        for (name, text, want) in [
            ("none", "search example.com\n", vec!["127.0.0.1:53"]),
            (
                "one",
                "# comment\nnameserver 10.0.0.2\n",
                vec!["10.0.0.2:53"],
            ),
            (
                "IPv6",
                "nameserver 2001:db8::1\nnameserver fe80::1%eth0\n",
                vec!["[2001:db8::1]:53"],
            ),
            (
                "the first three",
                "nameserver 1.1.1.1\nnameserver\t2.2.2.2\nnameserver 3.3.3.3\nnameserver 4.4.4.4\n",
                vec!["1.1.1.1:53", "2.2.2.2:53", "3.3.3.3:53"],
            ),
            (
                "nonsense",
                "nameserver\nnameserver example.com\nnameservers 1.1.1.1\n",
                vec!["127.0.0.1:53"],
            ),
        ] {
            let found: Vec<String> = resolvers(text).iter().map(SocketAddr::to_string).collect();
            assert_eq!(found, want, "{name}");
        }
    }
}
