//! Writer and reader against each other.

use std::fs;
use std::path::Path;

use nix::mount::{MntFlags, MsFlags, mount, umount2};
use proptest::prelude::*;

use super::record::Batch;
use super::*;

fn write(writer: &mut SpoolWriter, messages: &[String]) {
    let mut batch = Batch::default();
    for message in messages {
        batch.push(7, message);
    }
    writer.append(&mut batch).expect("a writable directory");
    assert!(batch.is_empty());
}

fn read_all(reader: &mut SpoolReader, max_bytes: usize) -> Vec<String> {
    let mut messages = Vec::new();
    loop {
        let expected = reader.next_sequence();
        let batch = reader.next_batch(max_bytes).expect("a readable spool");
        if batch.events.is_empty() {
            return messages;
        }
        assert_eq!(batch.first_sequence, expected, "no gaps");
        assert_eq!(batch.next_sequence(), reader.next_sequence());
        messages.extend(batch.events.into_iter().map(|event| event.message));
    }
}

fn numbers(range: std::ops::Range<u64>) -> Vec<String> {
    range.map(|number| format!("event {number}")).collect()
}

fn segment_count(dir: &Path) -> usize {
    let entries = fs::read_dir(dir).expect("a directory").flatten();
    entries
        .filter(|entry| {
            entry
                .file_name()
                .to_str()
                .and_then(parse_segment_name)
                .is_some()
        })
        .count()
}

#[test]
fn a_reader_may_begin_anywhere_and_before_the_writer() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let spool = dir.path().join("logs/app");
    let mut early = SpoolReader::open(&spool, 0);
    assert!(read_all(&mut early, 1000).is_empty() && !early.is_finished());
    let mut writer = SpoolWriter::create(&spool, 200).expect("a writer");
    for first in (0..100).step_by(10) {
        write(&mut writer, &numbers(first..first + 10));
        assert_eq!(read_all(&mut early, 1000), numbers(first..first + 10));
    }
    for from in [0, 1, 9, 10, 55, 99, 100] {
        let mut reader = SpoolReader::open(&spool, from);
        assert_eq!(read_all(&mut reader, 50), numbers(from..100), "from {from}");
        assert!(!reader.is_finished());
    }
    writer.close().expect("a writable directory");
    assert!(early.is_finished());
    assert!(!SpoolReader::open(&spool, 99).is_finished());
}

#[test]
fn acknowledged_segments_go_and_readers_go_on() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let mut writer = SpoolWriter::create(dir.path(), 200).expect("a writer");
    for first in (0..100).step_by(10) {
        write(&mut writer, &numbers(first..first + 10));
    }
    let mut behind = SpoolReader::open(dir.path(), 0);
    assert_eq!(
        behind.next_batch(1).expect("a readable spool").events.len(),
        1
    );
    let before = segment_count(dir.path());
    writer.acknowledge(55);
    let after = segment_count(dir.path());
    assert!(after < before, "{before} segments before, {after} after");
    let mut late = SpoolReader::open(dir.path(), 55);
    assert_eq!(read_all(&mut late, 1000), numbers(55..100));
    let oldest = SpoolReader::open(dir.path(), 0)
        .next_batch(1)
        .expect("a readable spool");
    assert!((1..=55).contains(&oldest.first_sequence), "{oldest:?}");
    writer.acknowledge(u64::MAX);
    assert_eq!(
        (segment_count(dir.path()), writer.unacknowledged_bytes()),
        (1, 0)
    );
    write(&mut writer, &numbers(100..101));
    assert_eq!(read_all(&mut late, 1000), numbers(100..101));
}

#[test]
fn what_is_not_a_record_is_not_read() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    for (name, content) in [
        ("empty", &b""[..]),
        ("half a header", &[5, 0, 0]),
        ("half a record", &[5, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, b'a']),
        ("an impossible length", &[0xff; 40]),
    ] {
        fs::write(segment_path(dir.path(), 0), content).expect("a file");
        let mut reader = SpoolReader::open(dir.path(), 0);
        let batch = reader.next_batch(1000).expect("a readable spool");
        assert!(batch.events.is_empty(), "{name}");
        let mut beyond = SpoolReader::open(dir.path(), 9);
        assert!(
            beyond
                .next_batch(1000)
                .expect("a readable spool")
                .events
                .is_empty(),
            "{name}"
        );
    }
}

/// A file system of a few pages.
struct SmallDisk {
    dir: tempfile::TempDir,
}

impl SmallDisk {
    fn new(size: &str) -> Self {
        let dir = tempfile::tempdir().expect("a temporary directory");
        let source: Option<&str> = None;
        mount(
            source,
            dir.path(),
            Some("tmpfs"),
            MsFlags::empty(),
            Some(format!("size={size}").as_str()),
        )
        .expect("tests run as root");
        Self { dir }
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        let _ = umount2(self.dir.path(), MntFlags::MNT_DETACH);
    }
}

#[test]
fn a_full_disk_takes_whole_records_and_the_rest_later() {
    let disk = SmallDisk::new("64k");
    let spool = disk.dir.path().join("app");
    let filler = disk.dir.path().join("filler");
    let mut writer = SpoolWriter::create(&spool, 1 << 20).expect("a writer");
    fs::write(&filler, [0; 32 * 1024]).expect("there is room");
    let mut batch = Batch::default();
    let messages: Vec<String> = (0..100)
        .map(|number| format!("{number} {}", "x".repeat(1000)))
        .collect();
    messages.iter().for_each(|message| batch.push(7, message));
    writer.append(&mut batch).expect_err("the disk is full");
    let written = writer.next_sequence() as usize;
    assert!(
        written > 0 && written + batch.events() as usize == 100,
        "{written}"
    );
    let mut reader = SpoolReader::open(&spool, 0);
    assert_eq!(read_all(&mut reader, 1 << 20), messages[..written]);

    fs::remove_file(&filler).expect("a file");
    let _ = writer.append(&mut batch);
    let more = writer.next_sequence() as usize;
    assert!(more > written, "there was room again");
    assert_eq!(read_all(&mut reader, 1 << 20), messages[written..more]);
}

#[test]
fn a_spool_leaves_what_is_reserved() {
    let disk = SmallDisk::new("8m");
    let mut writer = SpoolWriter::create(&disk.dir.path().join("app"), 1 << 20).expect("a writer");
    let mut batch = Batch::default();
    let refused = loop {
        batch.push(7, &"x".repeat(16 << 10));
        if let Err(error) = writer.append(&mut batch) {
            break error;
        }
    };
    assert_eq!(refused.kind(), std::io::ErrorKind::StorageFull);
    let found = nix::sys::statvfs::statvfs(disk.dir.path()).expect("a disk");
    let free = found.blocks_available() * found.fragment_size();
    // A twentieth of the disk, but for what the last batch took of it.
    assert!((300 << 10..420 << 10).contains(&free), "{free}");
}

proptest! {
    #[test]
    fn any_mix_of_writes_reads_and_acknowledgements_is_complete(
        steps in prop::collection::vec((0..12_u64, 0..3_u8, 1..400_usize), 1..60),
        segment_bytes in 1..600_u64,
    ) {
        let dir = tempfile::tempdir().expect("a temporary directory");
        let mut writer = SpoolWriter::create(dir.path(), segment_bytes).expect("a writer");
        let mut reader = SpoolReader::open(dir.path(), 0);
        let (mut written, mut seen) = (0, Vec::new());
        for (count, what, max_bytes) in steps {
            match what {
                0 => {
                    write(&mut writer, &numbers(written..written + count));
                    written += count;
                }
                1 => {
                    let batch = reader.next_batch(max_bytes).expect("a readable spool");
                    seen.extend(batch.events.into_iter().map(|event| event.message));
                }
                // Only what was read is acknowledged; sometimes by a reader that begins anew.
                _ => {
                    writer.acknowledge(reader.next_sequence());
                    if count > 6 {
                        reader = SpoolReader::open(dir.path(), reader.next_sequence());
                    }
                }
            }
        }
        writer.close().expect("a writable directory");
        seen.extend(read_all(&mut reader, 100));
        prop_assert_eq!(seen, numbers(0..written));
        prop_assert!(reader.is_finished());
    }
}
