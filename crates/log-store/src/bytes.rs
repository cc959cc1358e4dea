//! Reading numbers and texts out of bytes that may be damaged, and the frame that tells whether they are.

/// Longest frame that is believed; ours are one request of 1 MiB and its numbers.
const MAX_FRAME_BYTES: usize = 64 << 20;

/// Length and checksum before each frame.
pub(crate) const FRAME_HEADER_BYTES: usize = 8;

/// Appends a frame around what `fill` writes.
pub(crate) fn push_frame(out: &mut Vec<u8>, fill: impl FnOnce(&mut Vec<u8>)) {
    let start = out.len();
    out.extend_from_slice(&[0; FRAME_HEADER_BYTES]);
    fill(out);
    let payload = start + FRAME_HEADER_BYTES;
    // Payloads are bounded far below 4 GiB by the requests they come from.
    let length = (out.len() - payload) as u32;
    let checksum = crc32fast::hash(&out[payload..]);
    out[start..start + 4].copy_from_slice(&length.to_le_bytes());
    out[start + 4..payload].copy_from_slice(&checksum.to_le_bytes());
}

/// Splits the first frame off. `None`: none there, cut off, or damaged.
pub(crate) fn split_frame(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let mut reader = Reader(bytes);
    let length = usize::try_from(reader.u32()?).ok()?;
    let checksum = reader.u32()?;
    // An empty frame would make a run of zeros valid.
    if length == 0 || length > MAX_FRAME_BYTES {
        return None;
    }
    let payload = reader.take(length)?;
    (crc32fast::hash(payload) == checksum).then_some((payload, reader.0))
}

pub(crate) struct Reader<'a>(pub(crate) &'a [u8]);

impl<'a> Reader<'a> {
    pub(crate) fn take(&mut self, count: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.0.split_at_checked(count)?;
        self.0 = rest;
        Some(taken)
    }

    fn array<const N: usize>(&mut self) -> Option<[u8; N]> {
        let (taken, rest) = self.0.split_first_chunk()?;
        self.0 = rest;
        Some(*taken)
    }

    pub(crate) fn u8(&mut self) -> Option<u8> {
        self.array::<1>().map(|[byte]| byte)
    }

    pub(crate) fn u32(&mut self) -> Option<u32> {
        self.array().map(u32::from_le_bytes)
    }

    pub(crate) fn u64(&mut self) -> Option<u64> {
        self.array().map(u64::from_le_bytes)
    }

    pub(crate) fn i64(&mut self) -> Option<i64> {
        self.array().map(i64::from_le_bytes)
    }

    pub(crate) fn hash(&mut self) -> Option<[u8; 16]> {
        self.array()
    }

    /// A text with its length before it.
    pub(crate) fn text(&mut self) -> Option<&'a str> {
        let length = usize::try_from(self.u32()?).ok()?;
        std::str::from_utf8(self.take(length)?).ok()
    }
}

pub(crate) fn push_text(out: &mut Vec<u8>, text: &str) {
    out.extend_from_slice(&(text.len() as u32).to_le_bytes());
    out.extend_from_slice(text.as_bytes());
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_frame_is_whole_or_not_there() {
        let mut bytes = Vec::new();
        push_frame(&mut bytes, |out| out.extend_from_slice(b"hello"));
        push_frame(&mut bytes, |out| out.extend_from_slice(b"world"));
        let (first, rest) = split_frame(&bytes).expect("whole");
        assert_eq!(first, b"hello");
        assert_eq!(split_frame(rest).expect("whole"), (&b"world"[..], &b""[..]));
        for length in 0..FRAME_HEADER_BYTES + 5 {
            assert_eq!(split_frame(&bytes[..length]), None, "cut at {length}");
        }
        for position in 0..FRAME_HEADER_BYTES + 5 {
            let mut damaged = bytes.clone();
            damaged[position] ^= 0x10;
            assert_eq!(split_frame(&damaged), None, "damaged at {position}");
        }
        assert_eq!(split_frame(&[0; 100]), None, "zeros");
        assert_eq!(split_frame(&[0xff; 100]), None, "far too long");
    }
}
