//! What groups and streams are called, by callers and on disk.

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct GroupKey {
    pub account: String,
    pub region: String,
    pub group: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct StreamKey {
    pub group: GroupKey,
    pub stream: String,
}

/// Half a SHA-256. Names hold slashes and are longer than a file's name may be, so directories are called by this.
pub(crate) type NameHash = [u8; 16];

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct GroupId(pub(crate) NameHash);

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct StreamId {
    pub(crate) group: GroupId,
    pub(crate) stream: NameHash,
}

impl GroupKey {
    pub(crate) fn id(&self) -> GroupId {
        GroupId(hash(&[&self.account, &self.region, &self.group]))
    }
}

impl StreamKey {
    pub(crate) fn id(&self) -> StreamId {
        StreamId {
            group: self.group.id(),
            stream: hash(&[&self.stream]),
        }
    }
}

impl GroupId {
    pub(crate) fn directory(&self, data: &Path) -> PathBuf {
        data.join(hex::encode(self.0))
    }
}

impl StreamId {
    pub(crate) fn directory(&self, data: &Path) -> PathBuf {
        self.group.directory(data).join(hex::encode(self.stream))
    }

    pub(crate) fn segment(&self, data: &Path, first_sequence: u64) -> PathBuf {
        self.directory(data)
            .join(format!("{first_sequence:020}.log"))
    }

    /// A number that tells the streams of a group apart in event ids.
    pub(crate) fn tag(&self) -> u64 {
        self.stream[..8]
            .iter()
            .fold(0, |number, byte| number << 8 | u64::from(*byte))
    }
}

/// The hash in a directory's name; `None`: not a name that we give.
pub(crate) fn parse_directory(name: &std::ffi::OsStr) -> Option<NameHash> {
    hex::decode(name.to_str()?).ok()?.try_into().ok()
}

/// The first sequence in a segment's name.
pub(crate) fn parse_segment(name: &std::ffi::OsStr) -> Option<u64> {
    name.to_str()?.strip_suffix(".log")?.parse().ok()
}

fn hash(parts: &[&str]) -> NameHash {
    let mut hasher = Sha256::new();
    for part in parts {
        // With its length, so that no two lists of parts run together.
        hasher.update((part.len() as u64).to_le_bytes());
        hasher.update(part.as_bytes());
    }
    let digest = hasher.finalize();
    std::array::from_fn(|i| digest[i])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(account: &str, region: &str, group: &str, stream: &str) -> StreamKey {
        StreamKey {
            group: GroupKey {
                account: account.into(),
                region: region.into(),
                group: group.into(),
            },
            stream: stream.into(),
        }
    }

    #[test]
    fn different_names_are_different_files() {
        let base = key("1", "r", "g", "s").id();
        for (name, other) in [
            ("account", key("2", "r", "g", "s")),
            ("region", key("1", "q", "g", "s")),
            ("group", key("1", "r", "h", "s")),
            ("stream", key("1", "r", "g", "t")),
            ("shifted parts", key("1", "rg", "", "s")),
        ] {
            assert_ne!(other.id(), base, "{name}");
        }
    }

    #[test]
    fn names_on_disk_are_read_back() {
        let id = key("1", "r", "/ecs/app", "a/b/c").id();
        let path = id.segment(Path::new("/data"), 42);
        let names: Vec<_> = path.iter().skip(2).collect();
        assert_eq!(parse_directory(names[0]), Some(id.group.0));
        assert_eq!(parse_directory(names[1]), Some(id.stream));
        assert_eq!(parse_segment(names[2]), Some(42));
        assert_eq!(parse_directory("lost+found".as_ref()), None);
        assert_eq!(parse_segment("x.tmp".as_ref()), None);
    }
}
