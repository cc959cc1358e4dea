//! The state on disk: three redb tables, written one group at a time.
//!
//! redb refuses to go on after a failed write, and whether a commit that failed reached the disk is not known. So a
//! failed write closes the database, and the next one opens it again and, where the failed group did get through,
//! writes back what the view says. A caller who was told that the disk is full can rely on it.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::time::Duration;

use bytes::Bytes;
use redb::{Database, ReadableDatabase, ReadableTable, TableDefinition, TableError};
use tokio::time::Instant;

use super::draft::Draft;
use super::view::{Lease, View};
use crate::{KeyValue, LeaseId, StoreError};

/// Key to entry, see [`encode`].
const ENTRIES: TableDefinition<&[u8], &[u8]> = TableDefinition::new("entries");
/// Lease to its time to live in seconds.
const LEASES: TableDefinition<i64, u64> = TableDefinition::new("leases");
const META: TableDefinition<&str, i64> = TableDefinition::new("meta");

/// Keys of [`META`].
const FORMAT: &str = "format";
const REVISION: &str = "revision";
const NEXT_LEASE: &str = "next-lease";
/// Grows with every write; tells whether a failed one got through.
const WRITES: &str = "writes";

/// Layout of the tables. A database with another one was written by another version of Neargate.
const FORMAT_VERSION: i64 = 1;

/// redb's page cache. The view has all entries, so redb only needs the upper pages of its trees.
const CACHE_BYTES: usize = 1 << 20;

#[derive(Debug)]
pub(super) struct Disk {
    path: PathBuf,
    /// `None` after a failed write.
    database: Option<Database>,
    /// Writes that were acknowledged.
    writes: i64,
    /// Keys and leases of failed groups, which may be on disk with values that they must not have.
    suspect_keys: BTreeSet<Bytes>,
    suspect_leases: BTreeSet<LeaseId>,
}

impl Disk {
    pub(super) fn open(path: &Path) -> Result<(Self, View), StoreError> {
        if !path.exists() {
            make_database(path)?;
        }
        let database = open_database(path)?;
        let (view, writes) = load(&database)?;
        let disk = Self {
            path: path.to_owned(),
            database: Some(database),
            writes,
            suspect_keys: BTreeSet::new(),
            suspect_leases: BTreeSet::new(),
        };
        Ok((disk, view))
    }

    /// Makes the draft durable. After an error the disk counts as it was before: `view` is what it shall hold.
    pub(super) fn write(&mut self, view: &View, draft: &Draft) -> Result<(), StoreError> {
        self.recover(view)?;
        let Some(database) = &self.database else {
            return Err(StoreError::Closed);
        };
        let leases = draft
            .leases
            .iter()
            .map(|(id, lease)| (*id, lease.map(|(ttl, _)| ttl)));
        let entries = draft
            .entries
            .iter()
            .map(|(key, entry)| (key, entry.as_ref()));
        let counters = Counters {
            revision: draft.revision,
            next_lease: draft.next_lease,
            writes: self.writes + 1,
        };
        match write_all(database, entries, leases, &counters) {
            Ok(()) => {
                self.writes += 1;
                Ok(())
            }
            Err(error) => {
                self.database = None;
                self.suspect_keys.extend(draft.entries.keys().cloned());
                self.suspect_leases.extend(draft.leases.keys());
                Err(io(error))
            }
        }
    }

    /// Opens the database again after a failed write, and takes back what may have got through of it.
    fn recover(&mut self, view: &View) -> Result<(), StoreError> {
        if self.database.is_some() {
            return Ok(());
        }
        let database = open_database(&self.path)?;
        if read_meta(&database, WRITES).map_err(io)? != self.writes {
            let entries = self
                .suspect_keys
                .iter()
                .map(|key| (key, view.entries.get(key)));
            let leases = self
                .suspect_leases
                .iter()
                .map(|id| (*id, view.leases.get(id).map(|lease| lease.ttl)));
            let counters = Counters {
                revision: view.revision,
                next_lease: view.next_lease,
                writes: self.writes,
            };
            write_all(&database, entries, leases, &counters).map_err(io)?;
        }
        self.suspect_keys.clear();
        self.suspect_leases.clear();
        self.database = Some(database);
        tracing::info!(path = %self.path.display(), "the store writes to disk again");
        Ok(())
    }
}

struct Counters {
    revision: i64,
    next_lease: i64,
    writes: i64,
}

fn open_database(path: &Path) -> Result<Database, StoreError> {
    Database::builder()
        .set_cache_size(CACHE_BYTES)
        .open(path)
        .map_err(io)
}

/// Under another name until it is whole: what a process leaves that is killed meanwhile, redb takes for somebody else's
/// file.
fn make_database(path: &Path) -> Result<(), StoreError> {
    let directory = path.parent().filter(|p| !p.as_os_str().is_empty());
    if let Some(directory) = directory {
        std::fs::create_dir_all(directory).map_err(io)?;
    }
    let unfinished = path.with_extension("new");
    match std::fs::remove_file(&unfinished) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(io(error)),
        _ => {}
    }
    let database = Database::create(&unfinished).map_err(io)?;
    database.close().map_err(io)?;
    std::fs::rename(&unfinished, path).map_err(io)?;
    if let Some(directory) = directory {
        // The file's name has to survive a power cut, too.
        let opened = std::fs::File::open(directory).map_err(io)?;
        opened.sync_all().map_err(io)?;
    }
    Ok(())
}

fn write_all<'a>(
    database: &Database,
    entries: impl Iterator<Item = (&'a Bytes, Option<&'a KeyValue>)>,
    leases: impl Iterator<Item = (LeaseId, Option<Duration>)>,
    counters: &Counters,
) -> Result<(), redb::Error> {
    let transaction = database.begin_write()?;
    {
        let mut table = transaction.open_table(ENTRIES)?;
        let mut buffer = Vec::new();
        for (key, entry) in entries {
            match entry {
                Some(entry) => {
                    encode(entry, &mut buffer);
                    table.insert(&key[..], &buffer[..])?;
                }
                None => {
                    table.remove(&key[..])?;
                }
            }
        }
        let mut table = transaction.open_table(LEASES)?;
        for (id, ttl) in leases {
            match ttl {
                Some(ttl) => table.insert(id, ttl.as_secs())?,
                None => table.remove(id)?,
            };
        }
        let mut table = transaction.open_table(META)?;
        table.insert(FORMAT, FORMAT_VERSION)?;
        table.insert(REVISION, counters.revision)?;
        table.insert(NEXT_LEASE, counters.next_lease)?;
        table.insert(WRITES, counters.writes)?;
    }
    transaction.commit()?;
    Ok(())
}

fn read_meta(database: &Database, key: &str) -> Result<i64, redb::Error> {
    match database.begin_read()?.open_table(META) {
        Ok(table) => Ok(table.get(key)?.map_or(0, |value| value.value())),
        Err(TableError::TableDoesNotExist(_)) => Ok(0),
        Err(error) => Err(error.into()),
    }
}

fn load(database: &Database) -> Result<(View, i64), StoreError> {
    let format = read_meta(database, FORMAT).map_err(io)?;
    if format == 0 {
        return Ok((View::default(), 0));
    }
    if format != FORMAT_VERSION {
        return Err(StoreError::Io(format!(
            "the state has format {format}, this version of Neargate reads format {FORMAT_VERSION}"
        )));
    }
    let mut view = View {
        revision: read_meta(database, REVISION).map_err(io)?,
        next_lease: read_meta(database, NEXT_LEASE).map_err(io)?,
        ..View::default()
    };
    load_tables(database, &mut view)?;
    Ok((view, read_meta(database, WRITES).map_err(io)?))
}

fn load_tables(database: &Database, view: &mut View) -> Result<(), StoreError> {
    let transaction = database.begin_read().map_err(io)?;
    let now = Instant::now();
    for row in transaction
        .open_table(LEASES)
        .map_err(io)?
        .iter()
        .map_err(io)?
    {
        let (id, ttl) = row.map_err(io)?;
        let ttl = Duration::from_secs(ttl.value());
        let lease = Lease {
            ttl,
            deadline: now + ttl,
            keys: BTreeSet::new(),
        };
        view.leases.insert(id.value(), lease);
    }
    for row in transaction
        .open_table(ENTRIES)
        .map_err(io)?
        .iter()
        .map_err(io)?
    {
        let (key, value) = row.map_err(io)?;
        let key = Bytes::copy_from_slice(key.value());
        let entry = decode(key.clone(), value.value())
            .ok_or_else(|| StoreError::Io(format!("the entry of key {key:?} is damaged")))?;
        if let Some(lease) = view.leases.get_mut(&entry.lease) {
            lease.keys.insert(key.clone());
        }
        view.entries.insert(key, entry);
    }
    Ok(())
}

/// Four little-endian numbers, then the value.
fn encode(entry: &KeyValue, buffer: &mut Vec<u8>) {
    buffer.clear();
    for number in [
        entry.create_revision,
        entry.mod_revision,
        entry.version,
        entry.lease,
    ] {
        buffer.extend_from_slice(&number.to_le_bytes());
    }
    buffer.extend_from_slice(&entry.value);
}

fn decode(key: Bytes, bytes: &[u8]) -> Option<KeyValue> {
    let (create_revision, bytes) = bytes.split_first_chunk()?;
    let (mod_revision, bytes) = bytes.split_first_chunk()?;
    let (version, bytes) = bytes.split_first_chunk()?;
    let (lease, value) = bytes.split_first_chunk()?;
    Some(KeyValue {
        key,
        value: Bytes::copy_from_slice(value),
        create_revision: i64::from_le_bytes(*create_revision),
        mod_revision: i64::from_le_bytes(*mod_revision),
        version: i64::from_le_bytes(*version),
        lease: i64::from_le_bytes(*lease),
    })
}

fn io(error: impl std::fmt::Display) -> StoreError {
    StoreError::Io(error.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::embedded::draft::Command;
    use crate::{Op, Txn};

    fn draft(view: &View, key: &'static str) -> Draft {
        let mut draft = Draft::new(view, Instant::now());
        let put = Op::Put {
            key: Bytes::from_static(key.as_bytes()),
            value: Bytes::from_static(b"x"),
            lease: 0,
        };
        let txn = Txn {
            compares: Vec::new(),
            ops: vec![put],
        };
        draft.add(view, Command::Txn(txn)).expect("valid");
        draft
            .add(view, Command::Grant { ttl_secs: 1 })
            .expect("valid");
        draft
    }

    #[test]
    fn a_refused_write_that_got_through_is_taken_back() {
        let directory = tempfile::tempdir().expect("the temporary directory is writable");
        let path = directory.path().join("state.redb");
        let (mut disk, mut view) = Disk::open(&path).expect("opens");
        let first = draft(&view, "first");
        disk.write(&view, &first).expect("the disk works");
        view.publish(first);

        // As if the commit had reached the disk and its acknowledgement had not reached us.
        let refused = draft(&view, "refused");
        disk.write(&view, &refused).expect("the disk works");
        disk.writes -= 1;
        disk.database = None;
        disk.suspect_keys.extend(refused.entries.keys().cloned());
        disk.suspect_leases.extend(refused.leases.keys());

        let second = draft(&view, "second");
        disk.write(&view, &second).expect("the disk works");
        view.publish(second);
        drop(disk);
        let (_, loaded) = Disk::open(&path).expect("opens");
        assert_eq!(loaded.entries, view.entries);
        assert_eq!(loaded.revision, view.revision);
        assert!(loaded.leases.keys().eq(view.leases.keys()));
        assert!(!loaded.entries.contains_key(&b"refused"[..]));
    }

    #[test]
    fn an_unknown_format_is_refused() {
        let directory = tempfile::tempdir().expect("the temporary directory is writable");
        let path = directory.path().join("state.redb");
        let (disk, _) = Disk::open(&path).expect("opens");
        let database = disk.database.as_ref().expect("open");
        let transaction = database.begin_write().expect("the disk works");
        transaction
            .open_table(META)
            .and_then(|mut table| Ok(table.insert(FORMAT, FORMAT_VERSION + 1).map(drop)?))
            .expect("the disk works");
        transaction.commit().expect("the disk works");
        drop(disk);
        let error = Disk::open(&path).expect_err("not ours").to_string();
        assert!(error.contains("format 2"), "{error}");
    }
}
