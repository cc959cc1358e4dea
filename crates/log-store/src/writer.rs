//! Writes groups of jobs: into the segments, then into the journal, then into the index, then answers.
//!
//! The segments come first because that is where a full disk shows, and there it can be undone. What is in a segment
//! and not in the index does not exist for readers.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{File, OpenOptions};
use std::io;
use std::path::Path;

use neargate_files::reserve;
use neargate_group_commit::Commit;
use parking_lot::Mutex;

use crate::disk::Disk;
use crate::index::Index;
use crate::journal::{Journal, Record, replay};
use crate::limits::Limits;
use crate::names::{GroupId, StreamId};
use crate::seldom::Seldom;
use crate::staged::Staged;
use crate::stream::Stream;
use crate::{Event, GroupKey, LogError, StreamKey};

#[derive(Debug)]
pub(crate) enum Job {
    Append {
        stream: StreamKey,
        /// The source and the sequence of the first event.
        source: Option<(String, u64)>,
        events: Vec<Event>,
    },
    DeleteStream(StreamKey),
    DeleteGroup(GroupId),
    Expire {
        group: GroupKey,
        before_ms: i64,
    },
}

type Answer = Result<u64, LogError>;

pub(crate) struct Writer {
    pub(crate) index: Index,
    pub(crate) limits: Limits,
    disk: Mutex<Disk>,
    pub(crate) stream_full: Seldom,
    pub(crate) store_full: Seldom,
    refused: Seldom,
}

impl Writer {
    pub(crate) fn open(directory: &Path, limits: Limits) -> io::Result<Self> {
        let data = directory.join("data");
        std::fs::create_dir_all(&data)?;
        let mut disk = Disk {
            journal_path: directory.join("journal"),
            journal: None,
            dirty: BTreeSet::new(),
            dirty_directories: BTreeSet::from([directory.to_owned()]),
        };
        let found = replay(&disk.journal_path.clone(), |record| {
            disk.replay(&data, record)
        })?;
        if found {
            disk.start_journal(&data)?;
        }
        Ok(Self {
            index: Index::open(data)?,
            limits,
            disk: Mutex::new(disk),
            stream_full: Seldom::default(),
            store_full: Seldom::default(),
            refused: Seldom::default(),
        })
    }

    fn append_all(&self, disk: &mut Disk, jobs: Vec<Job>) -> Vec<Answer> {
        let count = jobs.len();
        let mut staged = BTreeMap::new();
        let outcome = jobs
            .into_iter()
            .map(|job| self.stage(&mut staged, job))
            .collect::<io::Result<Vec<u64>>>()
            .and_then(|answers| self.write(disk, staged).map(|()| answers));
        match outcome {
            Ok(answers) => answers.into_iter().map(Ok).collect(),
            Err(error) => {
                if let Some(times) = self.refused.say() {
                    tracing::error!(%error, times, "log events were refused");
                }
                vec![Err(error.into()); count]
            }
        }
    }

    /// Decides what an append writes, on top of the appends before it. Answers the source's next sequence.
    fn stage(&self, staged: &mut BTreeMap<StreamId, Staged>, job: Job) -> io::Result<u64> {
        let Job::Append {
            stream: key,
            source,
            mut events,
        } = job
        else {
            return Ok(0);
        };
        let id = key.id();
        let entry = match staged.entry(id) {
            std::collections::btree_map::Entry::Occupied(entry) => entry.into_mut(),
            std::collections::btree_map::Entry::Vacant(entry) => entry.insert(Staged {
                stream: Stream::clone(&*self.index.stream(id)?),
                writes: Vec::new(),
            }),
        };
        let mut next = 0;
        if let Some((name, first)) = &source {
            let stored = entry.stream.source(name).unwrap_or(*first);
            let count = events.len() as u64;
            next = first.saturating_add(count).max(stored);
            // At most all of them, so it fits.
            let known = stored.saturating_sub(*first).min(count) as usize;
            events.drain(..known);
        }
        if !events.is_empty() {
            let source = source.as_ref().map(|(name, _)| (name.as_str(), next));
            entry.append(&key, source, &events, self.limits.segment_bytes);
        }
        Ok(next)
    }

    fn write(&self, disk: &mut Disk, staged: BTreeMap<StreamId, Staged>) -> io::Result<()> {
        let staged: Vec<Staged> = staged
            .into_values()
            .filter(|staged| !staged.writes.is_empty())
            .collect();
        if staged.is_empty() {
            return Ok(());
        }
        let data = &self.index.data;
        // A group may reach into the reserve: it is small.
        reserve::check_room(File::open(data)?, 0)?;
        let written = disk.journal(data).map(|_| ()).and_then(|()| {
            for staged in &staged {
                disk.write_segments(data, staged)?;
            }
            let records = staged.iter().flat_map(Staged::records);
            disk.journal(data)?.append(records)
        });
        if let Err(error) = written {
            self.undo(disk, &staged);
            return Err(error);
        }
        for Staged { stream, writes } in staged {
            let bytes = writes.iter().map(|write| write.bytes.len() as u64).sum();
            let id = stream.id;
            self.index.publish(stream, bytes);
            self.trim_stream(disk, id);
        }
        self.tidy(disk);
        Ok(())
    }

    /// Takes back what was written of a group that is refused.
    fn undo(&self, disk: &mut Disk, staged: &[Staged]) {
        // What the journal holds at its end is unknown now; the next group starts a new one.
        disk.journal = None;
        for Staged { stream, writes } in staged {
            // The first write to each segment tells where it ended before.
            for write in writes.iter().rev() {
                let path = stream.id.segment(&self.index.data, write.first_sequence);
                let undone = match write.offset {
                    0 => std::fs::remove_file(&path),
                    offset => OpenOptions::new()
                        .write(true)
                        .open(&path)
                        .and_then(|file| file.set_len(offset)),
                };
                if let Err(error) = undone
                    && error.kind() != io::ErrorKind::NotFound
                {
                    tracing::error!(%error, path = %path.display(), "refused log events may stay");
                }
            }
        }
    }

    /// Keeps the journal, the store and the memory within their limits.
    fn tidy(&self, disk: &mut Disk) {
        let journal_bytes = disk.journal.as_ref().map_or(0, Journal::bytes);
        if journal_bytes > self.limits.journal_bytes
            || disk.dirty.len() > self.limits.dirty_segments
        {
            // Appends are refused until it works.
            disk.journal = None;
            if let Err(error) = disk.start_journal(&self.index.data) {
                tracing::error!(%error, "log segments could not be synced");
            }
        }
        if self.index.total_bytes() > self.limits.store_bytes {
            self.trim_store(disk);
        }
        self.index.shed();
    }

    fn delete_stream(&self, disk: &mut Disk, id: StreamId) -> Answer {
        let directory = id.directory(&self.index.data);
        if !directory.exists() {
            self.index.forget_stream(id, 0);
            return Ok(0);
        }
        let found = self.index.find_segments(id)?;
        let bytes = found.iter().map(|segment| segment.bytes).sum();
        let record = Record::DeleteStream(id);
        disk.journal_one(&self.index.data, record)?;
        std::fs::remove_dir_all(&directory)?;
        disk.dirty_directories
            .insert(id.group.directory(&self.index.data));
        self.index.forget_stream(id, bytes);
        disk.forget(|stream| stream == id);
        Ok(bytes)
    }

    fn delete_group(&self, disk: &mut Disk, id: GroupId) -> Answer {
        let directory = id.directory(&self.index.data);
        let bytes = self.index.group_bytes(id);
        if directory.exists() {
            disk.journal_one(&self.index.data, Record::DeleteGroup(id))?;
            std::fs::remove_dir_all(&directory)?;
            disk.dirty_directories.insert(self.index.data.clone());
        }
        self.index.forget_group(id);
        disk.forget(|stream| stream.group == id);
        Ok(bytes)
    }
}

impl Commit for Writer {
    type Job = Job;
    type Answer = Answer;

    fn commit(&self, jobs: Vec<Job>) -> Vec<Answer> {
        let mut disk = self.disk.lock();
        let disk = &mut *disk;
        let mut answers = Vec::with_capacity(jobs.len());
        let mut appends = Vec::new();
        // Appends go together up to the next job of another kind, so that the order stays.
        for job in jobs {
            if let Job::Append { .. } = job {
                appends.push(job);
                continue;
            }
            answers.extend(self.append_all(disk, std::mem::take(&mut appends)));
            answers.push(match &job {
                Job::DeleteStream(stream) => self.delete_stream(disk, stream.id()),
                Job::DeleteGroup(group) => self.delete_group(disk, *group),
                Job::Expire { group, before_ms } => self.expire(disk, group, *before_ms),
                Job::Append { .. } => Ok(0),
            });
        }
        answers.extend(self.append_all(disk, appends));
        answers
    }
}
