//! What is left of a body that is being read, in either direction.

use super::chunked::{Decoder, Malformed, Step};
use crate::desync::body::Body;
use crate::engine::buffer::Buffer;

/// Finds a body's bytes in what was read.
#[derive(Clone, Debug)]
pub enum BodyReader {
    /// No head was read yet.
    Before,
    Length(u64),
    Chunked(Decoder),
    /// Until the sender closes.
    UntilClose,
    Done,
}

impl BodyReader {
    pub fn new(body: Body) -> Self {
        match body {
            Body::None | Body::Length(0) => Self::Done,
            Body::Length(length) => Self::Length(length),
            Body::Chunked => Self::Chunked(Decoder::default()),
            Body::UntilClose | Body::Upgraded => Self::UntilClose,
        }
    }

    pub fn is_done(&self) -> bool {
        matches!(self, Self::Done)
    }

    /// How many bytes at the start of `input` are the body's next. They count as taken, and must be consumed before the
    /// next call. `None`: more must be read, or the body is done.
    pub fn ready(&mut self, input: &mut Buffer) -> Result<Option<usize>, Malformed> {
        loop {
            if input.is_empty() {
                return Ok(None);
            }
            match self {
                Self::Before | Self::Done => return Ok(None),
                Self::UntilClose => return Ok(Some(input.len())),
                Self::Length(left) => {
                    let count = usize::try_from(*left)
                        .unwrap_or(usize::MAX)
                        .min(input.len());
                    *left -= count as u64;
                    if *left == 0 {
                        *self = Self::Done;
                    }
                    return Ok(Some(count));
                }
                Self::Chunked(decoder) => match decoder.step(input.filled())? {
                    Step::Data(count) => return Ok(Some(count)),
                    Step::More => return Ok(None),
                    Step::Skip(count) => {
                        let ended = decoder.is_at_end();
                        input.consume(count);
                        if ended {
                            *self = Self::Done;
                            return Ok(None);
                        }
                    }
                    Step::End => {
                        *self = Self::Done;
                        return Ok(None);
                    }
                },
            }
        }
    }
}
