//! Chunked bodies: strict reading, and writing. Used for requests and responses.
//!
//! What two readers could understand differently is an error: bare line feeds, signs and spaces in sizes, sizes beyond
//! 64 bits, and missing line ends are how requests are smuggled past load balancers.

/// Longest line with a chunk's size and extensions, and longest trailer section.
const MAX_SIZE_LINE_BYTES: usize = 4 * 1024;
const MAX_TRAILER_BYTES: usize = 32 * 1024;

/// The body is no valid chunked body.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the chunked body is malformed")]
pub struct Malformed;

/// What the next bytes of the input are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// So many bytes of framing: to be skipped.
    Skip(usize),
    /// So many bytes of data.
    Data(usize),
    /// More input is needed.
    More,
    /// The body ended before these bytes.
    End,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// At the start of a size.
    Size,
    SizeDigits {
        digits: u8,
    },
    /// After the digits: extensions, which mean nothing to us.
    Extension,
    SizeLf,
    Data,
    DataCr,
    DataLf,
    /// At the start of a trailer's line, or of the empty one that ends the body.
    TrailerStart,
    Trailer,
    TrailerLf,
    EndLf,
    End,
}

/// Reads a chunked body piece by piece.
#[derive(Clone, Debug)]
pub struct Decoder {
    state: State,
    /// Of the chunk's data, still to come.
    left: u64,
    line_bytes: usize,
}

impl Default for Decoder {
    fn default() -> Self {
        Self {
            state: State::Size,
            left: 0,
            line_bytes: 0,
        }
    }
}

impl Decoder {
    /// Looks at the next input. What is skipped or taken as data must be removed before the next call.
    pub fn step(&mut self, input: &[u8]) -> Result<Step, Malformed> {
        if self.state == State::End {
            return Ok(Step::End);
        }
        let mut used = 0;
        for &byte in input {
            if self.state == State::Data {
                break;
            }
            self.take(byte)?;
            used += 1;
            if self.state == State::End {
                break;
            }
        }
        if used > 0 {
            return Ok(Step::Skip(used));
        }
        if self.state == State::Data && !input.is_empty() {
            let count = usize::try_from(self.left)
                .unwrap_or(usize::MAX)
                .min(input.len());
            self.left -= count as u64;
            if self.left == 0 {
                self.state = State::DataCr;
            }
            return Ok(Step::Data(count));
        }
        Ok(Step::More)
    }

    pub fn is_at_end(&self) -> bool {
        self.state == State::End
    }

    fn take(&mut self, byte: u8) -> Result<(), Malformed> {
        self.state = match (self.state, byte) {
            (State::Size, _) => {
                self.left = digit(byte)?;
                self.line_bytes = 0;
                State::SizeDigits { digits: 1 }
            }
            (State::SizeDigits { .. } | State::Extension, b'\r') => State::SizeLf,
            (State::SizeDigits { .. }, b';') => State::Extension,
            // RFC 9112 allows spaces and tabs before the semicolon of an extension, but names them bad.
            (State::SizeDigits { digits }, _) => {
                // 16 digits fill 64 bits.
                if digits == 16 {
                    return Err(Malformed);
                }
                self.left = self.left << 4 | digit(byte)?;
                State::SizeDigits { digits: digits + 1 }
            }
            (State::Extension, b'\t' | b' '..=b'~' | 0x80..) => {
                self.count_line(MAX_SIZE_LINE_BYTES)?;
                State::Extension
            }
            (State::SizeLf, b'\n') if self.left == 0 => {
                self.line_bytes = 0;
                State::TrailerStart
            }
            (State::SizeLf, b'\n') => State::Data,
            (State::DataCr, b'\r') => State::DataLf,
            (State::DataLf, b'\n') => State::Size,
            (State::TrailerStart, b'\r') => State::EndLf,
            (State::Trailer, b'\r') => State::TrailerLf,
            (State::TrailerStart | State::Trailer, b'\t' | b' '..=b'~' | 0x80..) => {
                self.count_line(MAX_TRAILER_BYTES)?;
                State::Trailer
            }
            (State::TrailerLf, b'\n') => State::TrailerStart,
            (State::EndLf, b'\n') => State::End,
            _ => return Err(Malformed),
        };
        Ok(())
    }

    fn count_line(&mut self, limit: usize) -> Result<(), Malformed> {
        self.line_bytes += 1;
        if self.line_bytes > limit {
            Err(Malformed)
        } else {
            Ok(())
        }
    }
}

fn digit(byte: u8) -> Result<u64, Malformed> {
    char::from(byte)
        .to_digit(16)
        .map(u64::from)
        .ok_or(Malformed)
}

/// Writes data as one chunk. Empty data would end the body and is left out.
pub fn write_chunk(data: &[u8], out: &mut Vec<u8>) {
    if data.is_empty() {
        return;
    }
    let mut digits = [0; 16];
    let mut at = digits.len();
    let mut size = data.len();
    while size > 0 {
        at -= 1;
        digits[at] = b"0123456789abcdef"[size & 15];
        size >>= 4;
    }
    out.extend_from_slice(&digits[at..]);
    out.extend_from_slice(b"\r\n");
    out.extend_from_slice(data);
    out.extend_from_slice(b"\r\n");
}

/// The end of a chunked body, without trailers.
pub const LAST_CHUNK: &[u8] = b"0\r\n\r\n";

#[cfg(test)]
mod tests {
    use super::*;

    /// Decodes `input` in pieces of `piece` bytes. Answers the data and how much input was used.
    fn decode(input: &[u8], piece: usize) -> Result<(Vec<u8>, usize, bool), Malformed> {
        let mut decoder = Decoder::default();
        let (mut data, mut at) = (Vec::new(), 0);
        while at < input.len() {
            let next = &input[at..input.len().min(at + piece)];
            match decoder.step(next)? {
                Step::Skip(count) => at += count,
                Step::Data(count) => {
                    data.extend_from_slice(&next[..count]);
                    at += count;
                }
                Step::More | Step::End => break,
            }
        }
        Ok((data, at, decoder.is_at_end()))
    }

    #[test]
    fn bodies_are_read_in_pieces_of_any_size() {
        for (name, input, data, rest) in [
            ("empty", "0\r\n\r\n", "", ""),
            ("one chunk", "3\r\nabc\r\n0\r\n\r\n", "abc", ""),
            (
                "two chunks, big letters",
                "3\r\nabc\r\nA\r\n0123456789\r\n0\r\n\r\n",
                "abc0123456789",
                "",
            ),
            (
                "extension",
                "3;a=b;c=\"d e\"\r\nabc\r\n0;x\r\n\r\n",
                "abc",
                "",
            ),
            ("leading zeros", "0003\r\nabc\r\n000\r\n\r\n", "abc", ""),
            ("trailers", "1\r\na\r\n0\r\nX: y\r\nZ: \r\n\r\n", "a", ""),
            (
                "the next request follows",
                "0\r\n\r\nGET / HTTP/1.1\r\n",
                "",
                "GET / HTTP/1.1\r\n",
            ),
        ] {
            for piece in [1, 2, 3, 1000] {
                let (decoded, used, ended) = decode(input.as_bytes(), piece).expect(name);
                assert_eq!(decoded, data.as_bytes(), "{name}");
                assert_eq!(&input[used..], rest, "{name}");
                assert!(ended, "{name}");
            }
        }
    }

    #[test]
    fn what_could_be_read_two_ways_is_refused() {
        for (name, input) in [
            ("no size", "\r\nabc\r\n"),
            ("sign", "+3\r\nabc\r\n0\r\n\r\n"),
            ("prefix", "0x3\r\nabc\r\n0\r\n\r\n"),
            ("space before the size", " 3\r\nabc\r\n0\r\n\r\n"),
            ("space after the size", "3 \r\nabc\r\n0\r\n\r\n"),
            ("bare line feed after the size", "3\nabc\r\n0\r\n\r\n"),
            ("bare line feed in an extension", "3;a\nabc\r\n0\r\n\r\n"),
            ("bare carriage return", "3\rabc\r\n0\r\n\r\n"),
            ("17 digits", "10000000000000003\r\nabc\r\n0\r\n\r\n"),
            ("data longer than its size", "3\r\nabcd\r\n0\r\n\r\n"),
            ("data ended by a line feed", "3\r\nabc\n0\r\n\r\n"),
            ("control character in a trailer", "0\r\nX: \0\r\n\r\n"),
            ("trailer ended by a line feed", "0\r\nX: y\n\r\n"),
            ("end by a line feed", "0\r\n\n"),
            ("negative", "-1\r\n\r\n"),
        ] {
            for piece in [1, 2, 1000] {
                assert_eq!(decode(input.as_bytes(), piece), Err(Malformed), "{name}");
            }
        }
        let long = format!("1;{}\r\n", "a".repeat(MAX_SIZE_LINE_BYTES + 1));
        assert_eq!(
            decode(long.as_bytes(), 1000),
            Err(Malformed),
            "endless extension"
        );
    }

    #[test]
    fn what_is_written_is_read_again() {
        for length in [1, 15, 16, 255, 4096, 70_000] {
            let data = vec![b'x'; length];
            let mut out = Vec::new();
            write_chunk(&data, &mut out);
            write_chunk(b"", &mut out);
            out.extend_from_slice(LAST_CHUNK);
            let (decoded, used, ended) = decode(&out, 1000).expect("valid");
            assert_eq!((decoded, used, ended), (data, out.len(), true));
        }
    }
}
