//! What has to go: segments above a limit, and segments whose time has come.

use std::collections::{BinaryHeap, HashMap};

use crate::disk::Disk;
use crate::index::FoundSegment;
use crate::names::{GroupId, StreamId};
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
            if let Some(times) = self.stream_full.say() {
                tracing::warn!(times, "log streams are full: their oldest events go");
            }
            self.drop_segments(disk, id, &dropped);
        }
    }

    /// Makes room until a tenth of it is free again: the group that has most gives up the segment that was not written to
    /// for the longest time, and again. So a flood takes the room of its own group and of nobody with less.
    pub(crate) fn trim_store(&self, disk: &mut Disk) {
        let found = match self.index.find_all() {
            Ok(found) => found,
            Err(error) => {
                tracing::error!(%error, "log segments could not be listed");
                return;
            }
        };
        let goal = self.limits.store_bytes / 10 * 9;
        let total: u64 = found.iter().map(|segment| segment.bytes).sum();
        if let Some(times) = self.store_full.say() {
            tracing::warn!(
                total,
                times,
                "the log store is full: the oldest events of the largest groups go"
            );
        }
        // The journal would bring back what is dirty.
        let is_dirty = |segment: &FoundSegment| {
            disk.dirty
                .contains(&(segment.stream, segment.first_sequence))
        };
        let dropped = what_goes(found, total.saturating_sub(goal), is_dirty);
        for segment in dropped {
            let dropped = Segment {
                bytes: segment.bytes,
                ..Segment::new(segment.first_sequence)
            };
            self.drop_segments(disk, segment.stream, &[dropped]);
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

/// Which segments to drop for this many bytes.
fn what_goes(
    found: Vec<FoundSegment>,
    mut excess: u64,
    stays: impl Fn(&FoundSegment) -> bool,
) -> Vec<FoundSegment> {
    let mut groups: HashMap<GroupId, (u64, Vec<FoundSegment>)> = HashMap::new();
    for segment in found {
        let (bytes, segments) = groups.entry(segment.stream.group).or_default();
        *bytes += segment.bytes;
        segments.push(segment);
    }
    let mut largest = BinaryHeap::new();
    for (group, (bytes, segments)) in &mut groups {
        // The oldest at the end.
        segments.sort_by_key(|segment| std::cmp::Reverse(segment.modified));
        largest.push((*bytes, *group));
    }
    let mut gone = Vec::new();
    while excess > 0
        && let Some((bytes, group)) = largest.pop()
    {
        let oldest = groups
            .get_mut(&group)
            .and_then(|(_, segments)| segments.pop());
        let Some(segment) = oldest else { continue };
        if stays(&segment) {
            largest.push((bytes, group));
            continue;
        }
        excess = excess.saturating_sub(segment.bytes);
        largest.push((bytes.saturating_sub(segment.bytes), group));
        gone.push(segment);
    }
    gone
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, SystemTime};

    use super::*;
    use crate::StreamKey;

    #[test]
    fn the_largest_group_gives_up_its_oldest() {
        let segment = |group: &str, age: u64, bytes: u64| FoundSegment {
            stream: StreamKey {
                group: GroupKey {
                    account: "1".to_owned(),
                    region: "r".to_owned(),
                    group: group.to_owned(),
                },
                stream: "s".to_owned(),
            }
            .id(),
            first_sequence: age,
            bytes,
            modified: SystemTime::UNIX_EPOCH + Duration::from_secs(1000 - age),
        };
        let all = || {
            let flood = (0..10).map(|age| segment("flood", age, 100));
            flood.chain([segment("quiet", 900, 150), segment("small", 999, 10)])
        };
        for (excess, dirty, want) in [
            (0, 99, vec![]),
            (50, 99, vec![9]),
            (250, 99, vec![9, 8, 7]),
            (250, 8, vec![9, 7, 6]),
            // All of them down to what the next one has.
            (950, 99, vec![9, 8, 7, 6, 5, 4, 3, 2, 1, 900]),
        ] {
            let gone = what_goes(all().collect(), excess, |s| s.first_sequence == dirty);
            let gone: Vec<u64> = gone.iter().map(|segment| segment.first_sequence).collect();
            assert_eq!(gone, want, "{excess} bytes");
        }
    }
}
