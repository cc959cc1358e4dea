//! How far an HTTP answer has come.

use anyhow::{Result, bail, ensure};

const MAX_HEADERS: usize = 64;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Answer {
    Partial,
    /// All of it is there.
    Whole {
        closes: bool,
    },
}

/// Reads the answer that `received` begins with. `ended` says that the server closed the connection.
pub fn read(received: &[u8], ended: bool) -> Result<Answer> {
    let mut headers = [httparse::EMPTY_HEADER; MAX_HEADERS];
    let mut response = httparse::Response::new(&mut headers);
    let httparse::Status::Complete(head) = response.parse(received)? else {
        ensure!(!ended, "the connection ended within an answer");
        return Ok(Answer::Partial);
    };
    let body = &received[head..];
    if response.code != Some(200) {
        bail!(
            "answered {:?}: {}",
            response.code,
            String::from_utf8_lossy(body)
        );
    }
    let header = |name: &str| {
        let found = response
            .headers
            .iter()
            .find(|h| h.name.eq_ignore_ascii_case(name));
        found.map(|h| String::from_utf8_lossy(h.value).to_ascii_lowercase())
    };
    let closes = response.version == Some(0) || header("connection").is_some_and(|c| c == "close");
    let whole = match (header("content-length"), header("transfer-encoding")) {
        (Some(length), _) => body.len() >= length.parse()?,
        // The answers are JSON, so this is in no chunk's data.
        (None, Some(_)) => body.ends_with(b"\r\n0\r\n\r\n"),
        (None, None) => ended,
    };
    ensure!(whole || !ended, "the connection ended within an answer");
    Ok(if whole {
        Answer::Whole {
            closes: closes || ended,
        }
    } else {
        Answer::Partial
    })
}

#[cfg(test)]
mod tests {
    use super::{Answer, read};

    #[test]
    fn an_answer_is_whole_when_its_length_says_so() {
        const KEEP: Answer = Answer::Whole { closes: false };
        const CLOSE: Answer = Answer::Whole { closes: true };
        for (name, text, ended, want) in [
            (
                "half a head",
                "HTTP/1.1 200 OK\r\nCont",
                false,
                Answer::Partial,
            ),
            (
                "half a body",
                "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n1",
                false,
                Answer::Partial,
            ),
            (
                "whole",
                "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n12",
                false,
                KEEP,
            ),
            (
                "asks to close",
                "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 0\r\n\r\n",
                false,
                CLOSE,
            ),
            (
                "old",
                "HTTP/1.0 200 OK\r\nContent-Length: 0\r\n\r\n",
                false,
                CLOSE,
            ),
            (
                "chunks to come",
                "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\na",
                false,
                Answer::Partial,
            ),
            (
                "chunks",
                "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\na\r\n0\r\n\r\n",
                false,
                KEEP,
            ),
            ("until the end", "HTTP/1.1 200 OK\r\n\r\nabc", true, CLOSE),
        ] {
            assert_eq!(read(text.as_bytes(), ended).expect(name), want, "{name}");
        }
    }

    #[test]
    fn an_answer_that_is_none_ends_the_run() {
        for (name, text, ended) in [
            (
                "an error",
                "HTTP/1.1 400 Bad\r\nContent-Length: 0\r\n\r\n",
                false,
            ),
            (
                "cut off",
                "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n1",
                true,
            ),
            ("no HTTP", "hello\r\n\r\n", false),
        ] {
            assert!(read(text.as_bytes(), ended).is_err(), "{name}");
        }
    }
}
