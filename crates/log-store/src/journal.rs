//! The file that makes appends durable: every change since the segments were last synced, in order.
//!
//! A record says which bytes stand where in which segment, so replaying it twice, or on top of what already got there,
//! changes nothing. The journal is emptied once all segments it speaks of are synced.

use std::fs::{File, OpenOptions};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::os::unix::fs::FileExt;
use std::path::Path;

use crate::bytes::{FRAME_HEADER_BYTES, Reader, push_frame, split_frame};
use crate::names::{GroupId, StreamId};

const WRITE: u8 = 1;
const DELETE_STREAM: u8 = 2;
const DELETE_GROUP: u8 = 3;

/// Read at once while replaying.
const READ_BYTES: usize = 4 << 20;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Record<'a> {
    Write {
        stream: StreamId,
        first_sequence: u64,
        offset: u64,
        bytes: &'a [u8],
    },
    DeleteStream(StreamId),
    DeleteGroup(GroupId),
}

#[derive(Debug)]
pub(crate) struct Journal {
    file: File,
    /// Chosen anew whenever the journal is emptied: what an earlier one left behind in the file does not count.
    epoch: u64,
    bytes: u64,
}

impl Journal {
    /// An empty journal, in place of the one that was there.
    pub(crate) fn create(path: &Path) -> io::Result<Self> {
        let mut file = OpenOptions::new()
            .create(true)
            .write(true)
            .truncate(true)
            .open(path)?;
        let epoch = rand::random();
        file.write_all(&u64::to_le_bytes(epoch))?;
        file.sync_all()?;
        if let Some(directory) = path.parent() {
            File::open(directory)?.sync_all()?;
        }
        Ok(Self {
            file,
            epoch,
            bytes: 8,
        })
    }

    pub(crate) fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Makes the records durable. After an error the journal must not be used again.
    pub(crate) fn append<'a>(
        &mut self,
        records: impl Iterator<Item = Record<'a>>,
    ) -> io::Result<()> {
        let mut frames = Vec::new();
        for record in records {
            push_frame(&mut frames, |out| push_record(out, self.epoch, &record));
        }
        self.file.write_all_at(&frames, self.bytes)?;
        self.file.sync_data()?;
        self.bytes += frames.len() as u64;
        Ok(())
    }
}

/// Reads the journal at `path` and hands over its records. Answers whether there was any.
pub(crate) fn replay(
    path: &Path,
    mut apply: impl FnMut(Record<'_>) -> io::Result<()>,
) -> io::Result<bool> {
    let mut file = match File::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(false),
        Err(error) => return Err(error),
    };
    let mut epoch = [0; 8];
    if file.seek(SeekFrom::End(0))? < 8 {
        return Ok(false);
    }
    file.seek(SeekFrom::Start(0))?;
    file.read_exact(&mut epoch)?;
    let epoch = u64::from_le_bytes(epoch);
    let mut buffer = Vec::new();
    let mut found = false;
    loop {
        let used = {
            let mut rest = &buffer[..];
            while let Some((frame, after)) = split_frame(rest) {
                let Some(record) = parse_record(frame, epoch) else {
                    return Ok(found);
                };
                apply(record)?;
                found = true;
                rest = after;
            }
            buffer.len() - rest.len()
        };
        buffer.drain(..used);
        let read = (&mut file)
            .take(READ_BYTES as u64)
            .read_to_end(&mut buffer)?;
        // The rest of a cut frame stays in the buffer; a frame longer than one read gets another.
        if read == 0 || buffer.len() < FRAME_HEADER_BYTES {
            return Ok(found);
        }
    }
}

fn push_record(out: &mut Vec<u8>, epoch: u64, record: &Record<'_>) {
    out.extend_from_slice(&epoch.to_le_bytes());
    match record {
        Record::Write {
            stream,
            first_sequence,
            offset,
            bytes,
        } => {
            out.push(WRITE);
            out.extend_from_slice(&stream.group.0);
            out.extend_from_slice(&stream.stream);
            out.extend_from_slice(&first_sequence.to_le_bytes());
            out.extend_from_slice(&offset.to_le_bytes());
            out.extend_from_slice(bytes);
        }
        Record::DeleteStream(stream) => {
            out.push(DELETE_STREAM);
            out.extend_from_slice(&stream.group.0);
            out.extend_from_slice(&stream.stream);
        }
        Record::DeleteGroup(group) => {
            out.push(DELETE_GROUP);
            out.extend_from_slice(&group.0);
        }
    }
}

fn parse_record(frame: &[u8], epoch: u64) -> Option<Record<'_>> {
    let mut reader = Reader(frame);
    if reader.u64()? != epoch {
        return None;
    }
    let kind = reader.u8()?;
    let group = GroupId(reader.hash()?);
    match kind {
        WRITE => Some(Record::Write {
            stream: StreamId {
                group,
                stream: reader.hash()?,
            },
            first_sequence: reader.u64()?,
            offset: reader.u64()?,
            bytes: reader.0,
        }),
        DELETE_STREAM => Some(Record::DeleteStream(StreamId {
            group,
            stream: reader.hash()?,
        })),
        DELETE_GROUP => Some(Record::DeleteGroup(group)),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const GROUP: GroupId = GroupId([1; 16]);
    const STREAM: StreamId = StreamId {
        group: GROUP,
        stream: [2; 16],
    };

    fn records(bytes: &[u8]) -> [Record<'_>; 3] {
        [
            Record::Write {
                stream: STREAM,
                first_sequence: 3,
                offset: 4,
                bytes,
            },
            Record::DeleteStream(STREAM),
            Record::DeleteGroup(GROUP),
        ]
    }

    fn read(path: &Path) -> Vec<String> {
        let mut read = Vec::new();
        replay(path, |record| {
            read.push(format!("{record:?}"));
            Ok(())
        })
        .expect("the journal can be read");
        read
    }

    #[test]
    fn what_was_appended_is_replayed_up_to_a_cut() {
        let directory = tempfile::tempdir().expect("the temporary directory is writable");
        let path = directory.path().join("journal");
        assert_eq!(read(&path), Vec::<String>::new(), "no journal");
        let big = vec![7; READ_BYTES + 1];
        let mut journal = Journal::create(&path).expect("created");
        assert_eq!(read(&path), Vec::<String>::new(), "an empty journal");
        journal
            .append(records(b"abc").into_iter())
            .expect("written");
        journal.append(records(&big).into_iter()).expect("written");
        let all: Vec<String> = records(b"abc")
            .iter()
            .chain(&records(&big))
            .map(|record| format!("{record:?}"))
            .collect();
        assert_eq!(read(&path), all);

        let file = OpenOptions::new().write(true).open(&path).expect("opened");
        file.set_len(journal.bytes() - 1).expect("cut");
        assert_eq!(read(&path), all[..5], "the last record is cut");

        // A shorter journal over what an earlier one left behind.
        let old = std::fs::read(&path).expect("read");
        let mut journal = Journal::create(&path).expect("created");
        journal
            .append([Record::DeleteGroup(GROUP)].into_iter())
            .expect("written");
        let file = OpenOptions::new().write(true).open(&path).expect("opened");
        let end = journal.bytes();
        file.write_all_at(&old[end as usize..], end)
            .expect("written");
        assert_eq!(read(&path), [format!("{:?}", Record::DeleteGroup(GROUP))]);
    }
}
