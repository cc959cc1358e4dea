//! What has to go: segments above a limit, and segments whose time has come.

use crate::disk::Disk;
use crate::names::StreamId;
use crate::stream::Segment;
use crate::writer::Writer;
use crate::{GroupKey, LogError};

impl Writer {
    /// Drops a stream's oldest segments while it is too big.
    pub(crate) fn trim_stream(&self, disk: &mut Disk, id: StreamId) {
        let Ok(stream) = self.index.stream(id) else {
            return;
        };
        let mut excess = stream.bytes().saturating_sub(self.limits.stream_bytes);
        let mut dropped = Vec::new();
        // The newest one is being written to.
        for segment in stream.segments.iter().rev().skip(1).rev() {
            if excess == 0 {
                break;
            }
            excess = excess.saturating_sub(segment.bytes);
            dropped.push(*segment);
        }
        if !dropped.is_empty() {
            tracing::warn!(
                segments = dropped.len(),
                "a log stream is full: its oldest events go"
            );
            self.drop_segments(disk, id, &dropped);
        }
    }

    /// Drops the segments that were not written to for the longest time, until a tenth of the room is free again.
    pub(crate) fn trim_store(&self, disk: &mut Disk) {
        let mut found = match self.index.find_all() {
            Ok(found) => found,
            Err(error) => {
                tracing::error!(%error, "log segments could not be listed");
                return;
            }
        };
        found.sort_by_key(|segment| segment.modified);
        let goal = self.limits.store_bytes / 10 * 9;
        let mut total: u64 = found.iter().map(|segment| segment.bytes).sum();
        tracing::warn!(total, "the log store is full: the oldest events go");
        for segment in found {
            if total <= goal {
                break;
            }
            // The journal would bring back what is dirty.
            if !disk
                .dirty
                .contains(&(segment.stream, segment.first_sequence))
            {
                let dropped = Segment {
                    bytes: segment.bytes,
                    ..Segment::new(segment.first_sequence)
                };
                self.drop_segments(disk, segment.stream, &[dropped]);
                total -= segment.bytes;
            }
        }
    }

    fn drop_segments(&self, disk: &mut Disk, id: StreamId, segments: &[Segment]) {
        let sequences: Vec<u64> = segments.iter().map(|s| s.first_sequence).collect();
        let bytes = segments.iter().map(|s| s.bytes).sum();
        self.index.drop_segments(id, &sequences, bytes);
        for sequence in sequences {
            disk.dirty.remove(&(id, sequence));
            let path = id.segment(&self.index.data, sequence);
            if let Err(error) = std::fs::remove_file(&path) {
                tracing::warn!(%error, path = %path.display(), "a log segment stays");
            }
        }
    }

    /// Drops the segments of a group that end before a time. Answers their bytes.
    pub(crate) fn expire(
        &self,
        disk: &mut Disk,
        group: &GroupKey,
        before_ms: i64,
    ) -> Result<u64, LogError> {
        let mut freed = 0;
        for id in self.index.find_streams(group.id())? {
            let stream = self.index.stream(id)?;
            let old: Vec<Segment> = stream
                .segments
                .iter()
                .filter(|segment| segment.newest_ms < before_ms)
                .copied()
                .collect();
            drop(stream);
            if old
                .iter()
                .any(|s| disk.dirty.contains(&(id, s.first_sequence)))
            {
                // The journal would bring them back.
                disk.journal = None;
                disk.start_journal(&self.index.data)?;
            }
            freed += old.iter().map(|segment| segment.bytes).sum::<u64>();
            self.drop_segments(disk, id, &old);
            self.index.shed();
        }
        Ok(freed)
    }
}
