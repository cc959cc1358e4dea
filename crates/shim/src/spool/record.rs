//! One event in a segment: length of the text (u32), timestamp in ms since the epoch (i64), both little-endian, text.

/// What CloudWatch Logs counts for an event beside its text. More than a gRPC message needs for its time and lengths, so
/// that what is counted with it also bounds what is sent (a test of the node's log shipper compares them).
///
/// Source: CloudWatch Logs API, PutLogEvents, constraints.
pub const EVENT_OVERHEAD_BYTES: usize = 26;
/// The awslogs driver splits lines that are longer than an event of 256 KiB.
pub const MAX_EVENT_BYTES: usize = 256 * 1024 - EVENT_OVERHEAD_BYTES;

const HEADER_BYTES: usize = 12;

/// What an event of this length takes in a segment.
pub(crate) fn record_bytes(text_bytes: usize) -> u64 {
    (HEADER_BYTES + text_bytes) as u64
}

/// Records that are ready to be appended, in one piece.
#[derive(Default)]
pub(crate) struct Batch {
    bytes: Vec<u8>,
    events: u64,
}

impl Batch {
    /// `text` is at most [`MAX_EVENT_BYTES`] long.
    pub fn push(&mut self, timestamp_millis: i64, text: &str) {
        let length = u32::try_from(text.len()).unwrap_or(u32::MAX);
        self.bytes.extend_from_slice(&length.to_le_bytes());
        self.bytes
            .extend_from_slice(&timestamp_millis.to_le_bytes());
        self.bytes.extend_from_slice(text.as_bytes());
        self.events += 1;
    }

    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    pub fn len(&self) -> u64 {
        self.bytes.len() as u64
    }

    pub fn events(&self) -> u64 {
        self.events
    }

    pub fn is_empty(&self) -> bool {
        self.events == 0
    }

    /// Forgets everything, and gives back memory that one long event took.
    pub fn clear(&mut self) {
        self.bytes.clear();
        self.bytes.shrink_to(64 * 1024);
        self.events = 0;
    }

    /// How many whole records the first `limit` bytes hold: (events, bytes).
    pub fn whole_records(&self, limit: usize) -> (u64, usize) {
        let (mut events, mut end) = (0, 0);
        while let Some(record) = Record::read(&self.bytes[end..])
            && end + record.size <= limit
        {
            end += record.size;
            events += 1;
        }
        (events, end)
    }

    /// Forgets the first records, as counted by [`Batch::whole_records`].
    pub fn remove_front(&mut self, events: u64, bytes: usize) {
        self.bytes.drain(..bytes);
        self.events -= events;
    }
}

/// A record at the start of some bytes.
pub(crate) struct Record<'a> {
    pub timestamp_millis: i64,
    pub text: &'a [u8],
    /// Of header and text.
    pub size: usize,
}

impl<'a> Record<'a> {
    /// `None` if the bytes end before the record does, or are no record.
    pub fn read(bytes: &'a [u8]) -> Option<Self> {
        let (length, rest) = bytes.split_first_chunk::<4>()?;
        let (timestamp, rest) = rest.split_first_chunk::<8>()?;
        let length = u32::from_le_bytes(*length) as usize;
        if length > MAX_EVENT_BYTES {
            return None;
        }
        Some(Self {
            timestamp_millis: i64::from_le_bytes(*timestamp),
            text: rest.get(..length)?,
            size: HEADER_BYTES + length,
        })
    }
}
