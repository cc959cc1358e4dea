//! `X-Amzn-Trace-Id`. Source: ALB/load-balancer-request-tracing.

/// A longer header is replaced. AWS: 7 KB.
const MAX_INCOMING_BYTES: usize = 7 * 1024;
/// `Root=1-` or `Self=1-`, 8 digits, a dash, 24 digits, and perhaps a semicolon.
const MADE_BYTES: usize = 7 + 8 + 1 + 24 + 1;

/// What makes an id of its own: the time and 96 random bits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TraceSeed {
    pub epoch_secs: u32,
    pub random: u128,
}

/// The header's value, as three pieces, so that nothing is copied before it is written.
#[derive(Clone, Copy, Debug)]
pub struct TraceValue<'a> {
    before: &'a [u8],
    made: [u8; MADE_BYTES],
    made_bytes: usize,
    after: &'a [u8],
}

impl<'a> TraceValue<'a> {
    /// No header: a new Root. A Self: its value becomes ours. A Root: our Self goes before it. Neither: a new Root goes
    /// before what is there. Own fields stay.
    pub fn new(incoming: Option<&'a [u8]>, seed: TraceSeed) -> Self {
        let incoming =
            incoming.filter(|value| !value.is_empty() && value.len() <= MAX_INCOMING_BYTES);
        let Some(incoming) = incoming else {
            return Self::made(b"Root=1-", seed, b"", b"", b"");
        };
        if let Some((start, end)) = find(incoming, b"self") {
            return Self::made(b"Self=1-", seed, b"", &incoming[..start], &incoming[end..]);
        }
        match find(incoming, b"root") {
            Some(_) => Self::made(b"Self=1-", seed, b";", b"", incoming),
            None => Self::made(b"Root=1-", seed, b";", b"", incoming),
        }
    }

    fn made(
        field: &[u8; 7],
        seed: TraceSeed,
        end: &[u8],
        before: &'a [u8],
        after: &'a [u8],
    ) -> Self {
        let mut made = [b'-'; MADE_BYTES];
        made[..7].copy_from_slice(field);
        hex(&mut made[7..15], u128::from(seed.epoch_secs));
        hex(&mut made[16..40], seed.random);
        made[40..40 + end.len()].copy_from_slice(end);
        Self {
            before,
            made,
            made_bytes: 40 + end.len(),
            after,
        }
    }

    pub fn parts(&self) -> [&[u8]; 3] {
        [self.before, &self.made[..self.made_bytes], self.after]
    }
}

impl std::fmt::Display for TraceValue<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.parts()
            .iter()
            .try_for_each(|part| f.write_str(&String::from_utf8_lossy(part)))
    }
}

/// Writes the lowest digits of `value`, as many as there is room for.
fn hex(out: &mut [u8], value: u128) {
    for (place, digit) in out.iter_mut().rev().enumerate() {
        *digit = b"0123456789abcdef"[(value >> (4 * place) & 0xf) as usize];
    }
}

/// Where the field of that name stands, without the semicolon after it.
fn find(value: &[u8], name: &[u8]) -> Option<(usize, usize)> {
    let mut start = 0;
    for field in value.split(|byte| *byte == b';') {
        let indent = field.len() - field.trim_ascii_start().len();
        let mut halves = field[indent..].splitn(2, |byte| *byte == b'=');
        if halves
            .next()
            .is_some_and(|key| key.eq_ignore_ascii_case(name))
            && halves.next().is_some()
        {
            return Some((start + indent, start + field.len()));
        }
        start += field.len() + 1;
    }
    None
}
