//! Finds events in order of their ids across segments, with bounded memory: a page of the best candidates, and one
//! segment at a time.
//!
//! Segments are visited by the time of their oldest event, so once the page is full and the next segment begins after
//! its last event, nothing better can come. (Backwards the same, mirrored.)

use std::fs::File;
use std::io::{self, Read};
use std::path::Path;
use std::sync::Arc;

use crate::block::{split_block, split_header};
use crate::limits::MAX_SCAN_BYTES;
use crate::read::{Order, Query, QueryResult, StoredEvent};
use crate::stream::{Segment, Stream};
use crate::{Event, EventId};

struct Scan<'a> {
    query: &'a Query,
    matches: &'a (dyn Fn(&str) -> bool + Send + Sync),
    /// The best so far; sorted and cut to the page and one more by [`Scan::cut`].
    candidates: Vec<StoredEvent>,
    /// Bytes of the candidates' messages.
    bytes: usize,
    /// The worst candidate that is on the page and one more; better ones only, once it is known.
    full_at: Option<EventId>,
}

/// Streams are told by their place in `streams`.
pub(crate) fn scan(
    data: &Path,
    streams: &[Arc<Stream>],
    query: &Query,
    matches: &(dyn Fn(&str) -> bool + Send + Sync),
) -> io::Result<QueryResult> {
    let mut segments: Vec<(usize, Segment)> = streams
        .iter()
        .enumerate()
        .flat_map(|(place, stream)| stream.segments.iter().map(move |segment| (place, *segment)))
        .filter(|(_, segment)| query.may_contain(segment))
        .collect();
    match query.order {
        Order::OldestFirst => segments.sort_by_key(|(_, s)| s.oldest_ms),
        Order::NewestFirst => segments.sort_by_key(|(_, s)| std::cmp::Reverse(s.newest_ms)),
    }
    let mut scan = Scan {
        query,
        matches,
        candidates: Vec::new(),
        bytes: 0,
        full_at: None,
    };
    let mut scanned = 0;
    // Where a scan that grew too long stops, as a time that is not yet answered for.
    let mut horizon = None;
    for (place, segment) in segments {
        if scan.is_done_before(&segment) {
            break;
        }
        if scanned > MAX_SCAN_BYTES && query.advances_at(segment.oldest_ms) {
            horizon = Some(segment.oldest_ms);
            break;
        }
        scanned += segment.bytes;
        let stream = &streams[place];
        let path = stream.id.segment(data, segment.first_sequence);
        if let Some(bytes) = read_segment(&path, segment.bytes)? {
            scan.look_through(place, stream.id.tag(), &bytes);
            scan.cut();
        }
    }
    Ok(scan.finish(horizon))
}

/// Only what is acknowledged: the file may hold more. `None`: dropped since the index was looked at.
fn read_segment(path: &Path, acknowledged: u64) -> io::Result<Option<Vec<u8>>> {
    let file = match File::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error),
    };
    let mut bytes = Vec::with_capacity(usize::try_from(acknowledged).unwrap_or(0));
    file.take(acknowledged).read_to_end(&mut bytes)?;
    Ok(Some(bytes))
}

impl Scan<'_> {
    fn is_done_before(&self, segment: &Segment) -> bool {
        self.full_at.is_some_and(|worst| match self.query.order {
            Order::OldestFirst => segment.oldest_ms > worst.timestamp_ms(),
            Order::NewestFirst => segment.newest_ms < worst.timestamp_ms(),
        })
    }

    fn look_through(&mut self, place: usize, tag: u64, segment: &[u8]) {
        let Some((_, mut rest)) = split_header(segment) else {
            return;
        };
        while let Some((block, after)) = split_block(rest) {
            rest = after;
            for (sequence, event) in (block.first_sequence..).zip(block.events()) {
                let id = EventId::new(event.timestamp_ms, event.ingestion_ms, sequence, tag);
                let useful = self.query.contains(event.timestamp_ms, id)
                    && self.full_at.is_none_or(|worst| self.is_better(id, worst))
                    && (self.matches)(event.message);
                if useful {
                    self.bytes += event.message.len();
                    self.candidates.push(StoredEvent {
                        id,
                        stream: place,
                        event: Event {
                            timestamp_ms: event.timestamp_ms,
                            ingestion_ms: event.ingestion_ms,
                            message: event.message.to_owned(),
                        },
                    });
                    // Sorting now and then keeps the memory bounded without sorting for each event.
                    if self.candidates.len() > 2 * self.query.max_events + 1
                        || self.bytes > 4 * self.query.max_bytes
                    {
                        self.cut();
                    }
                }
            }
        }
    }

    fn is_better(&self, id: EventId, than: EventId) -> bool {
        match self.query.order {
            Order::OldestFirst => id < than,
            Order::NewestFirst => id > than,
        }
    }

    /// Keeps the page and one more, which tells that there is more.
    fn cut(&mut self) {
        match self.query.order {
            Order::OldestFirst => self.candidates.sort_unstable_by_key(|c| c.id),
            Order::NewestFirst => {
                self.candidates
                    .sort_unstable_by_key(|c| std::cmp::Reverse(c.id));
            }
        }
        let keep = self.page_len() + 1;
        if self.candidates.len() >= keep {
            self.candidates.truncate(keep);
            self.full_at = self.candidates.last().map(|worst| worst.id);
        }
        self.bytes = self.candidates.iter().map(|c| c.event.message.len()).sum();
    }

    /// How many of the sorted candidates fit on the page: at least one, whatever its size.
    fn page_len(&self) -> usize {
        let mut bytes = 0;
        let fits = self.candidates.iter().take_while(|candidate| {
            bytes += candidate.event.message.len() + Query::EVENT_BYTES;
            bytes <= self.query.max_bytes
        });
        fits.count().max(1).min(self.query.max_events)
    }

    fn finish(mut self, horizon: Option<i64>) -> QueryResult {
        self.cut();
        if let Some(horizon) = horizon {
            self.candidates.retain(|c| c.event.timestamp_ms < horizon);
        }
        let page = self.page_len();
        let more = self.candidates.len() > page;
        self.candidates.truncate(page);
        let resume = match more {
            true => self.candidates.last().map(|last| last.id),
            false => horizon.map(EventId::before_time),
        };
        if self.query.order == Order::NewestFirst {
            self.candidates.reverse();
        }
        QueryResult {
            events: self.candidates,
            resume,
        }
    }
}
