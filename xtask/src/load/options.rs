//! What the load is, from the command line.

use std::fmt::Write as _;
use std::net::SocketAddr;

use anyhow::{Context as _, Result, bail};

/// Replaced by the connection's number in the body, so that connections can write to different things.
const PLACEHOLDER: &str = "{connection}";

#[derive(Debug)]
pub struct Options {
    pub address: SocketAddr,
    pub connections: usize,
    pub seconds: u64,
    headers: Vec<String>,
    body: String,
}

impl Options {
    /// `ADDRESS [--connections N] [--seconds N] [--header 'Name: value']... [--body TEXT]`
    pub fn parse(words: &[&str]) -> Result<Self> {
        let mut options = Self {
            address: SocketAddr::from(([127, 0, 0, 1], 4566)),
            connections: 16,
            seconds: 3,
            headers: Vec::new(),
            body: String::new(),
        };
        let mut words = words.iter();
        while let Some(word) = words.next() {
            if !word.starts_with("--") {
                options.address = word.parse().context("the address is HOST:PORT")?;
                continue;
            }
            let value = words
                .next()
                .with_context(|| format!("{word} takes a value"))?;
            match *word {
                "--connections" => options.connections = value.parse()?,
                "--seconds" => options.seconds = value.parse()?,
                "--header" => options.headers.push((*value).to_owned()),
                "--body" => options.body = (*value).to_owned(),
                _ => bail!("unknown option {word}"),
            }
        }
        Ok(options)
    }

    /// The whole request as connection `number` sends it.
    pub fn request(&self, number: usize) -> Vec<u8> {
        let body = self.body.replace(PLACEHOLDER, &number.to_string());
        let mut text = format!("POST / HTTP/1.1\r\nHost: {}\r\n", self.address);
        for header in &self.headers {
            let _ = write!(text, "{header}\r\n");
        }
        let _ = write!(text, "Content-Length: {}\r\n\r\n{body}", body.len());
        text.into_bytes()
    }
}

#[cfg(test)]
mod tests {
    use super::Options;

    #[test]
    fn a_request_is_written_once_per_connection() {
        let words = [
            "127.0.0.1:80",
            "--header",
            "A: b",
            "--body",
            "x{connection}",
        ];
        let options = Options::parse(&words).expect("the words are options");
        assert_eq!(
            String::from_utf8_lossy(&options.request(12)),
            "POST / HTTP/1.1\r\nHost: 127.0.0.1:80\r\nA: b\r\nContent-Length: 3\r\n\r\nx12"
        );
    }

    #[test]
    fn what_is_no_option_is_refused() {
        for words in [
            &["--seconds"][..],
            &["--seconds", "x"],
            &["--what", "1"],
            &["host"],
        ] {
            assert!(Options::parse(words).is_err(), "{words:?}");
        }
    }
}
