//! The file, read again when it has changed.

use std::collections::BTreeMap;
use std::fs::Metadata;
use std::io::{self, Read as _};
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use parking_lot::Mutex;

use crate::config::{Config, ConfigError, Function, MAX_FILE_BYTES};

pub type ByName = Arc<BTreeMap<String, Function>>;

pub struct FunctionsFile {
    path: PathBuf,
    last: Mutex<Last>,
}

struct Last {
    /// Of the last attempt to read, whether that was possible or not.
    version: Option<Version>,
    functions: ByName,
}

/// What changes when a file is written or replaced.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Version {
    inode: u64,
    size: u64,
    changed: (i64, i64),
}

impl FunctionsFile {
    /// # Errors
    /// The file is not there or not in order. Later on, only a warning is made of that.
    pub fn open(path: &Path) -> Result<Self, ConfigError> {
        let path = std::path::absolute(path).map_err(|error| unreadable(path, error))?;
        let version = Version::of(&path);
        let functions = Arc::new(read(&path)?);
        Ok(Self {
            path,
            last: Mutex::new(Last { version, functions }),
        })
    }

    /// Where commands are run and looked for.
    pub fn directory(&self) -> &Path {
        self.path.parent().unwrap_or(Path::new("/"))
    }

    /// What the file says now, or what it said before somebody broke it.
    pub fn functions(&self) -> ByName {
        let version = Version::of(&self.path);
        let mut last = self.last.lock();
        if version != last.version {
            last.version = version;
            match read(&self.path) {
                Ok(functions) => last.functions = Arc::new(functions),
                Err(error) => {
                    tracing::warn!(%error, "the functions stay as they were before the file was changed");
                }
            }
        }
        last.functions.clone()
    }
}

impl Version {
    fn of(path: &Path) -> Option<Self> {
        let metadata: Metadata = std::fs::metadata(path).ok()?;
        Some(Self {
            inode: metadata.ino(),
            size: metadata.size(),
            // Of the inode and not of the content: that one can be set back, by `cp -p` for example.
            changed: (metadata.ctime(), metadata.ctime_nsec()),
        })
    }
}

fn read(path: &Path) -> Result<BTreeMap<String, Function>, ConfigError> {
    let mut text = String::new();
    std::fs::File::open(path)
        .and_then(|file| file.take(MAX_FILE_BYTES + 1).read_to_string(&mut text))
        .map_err(|error| unreadable(path, error))?;
    if text.len() as u64 > MAX_FILE_BYTES {
        return Err(ConfigError::TooLarge(path.to_owned()));
    }
    let config: Config = serde_json::from_str(&text).map_err(|error| ConfigError::Text {
        path: path.to_owned(),
        error,
    })?;
    Ok(config.functions)
}

fn unreadable(path: &Path, error: io::Error) -> ConfigError {
    ConfigError::Read {
        path: path.to_owned(),
        error,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ONE: &str = r#"{"functions": {"one": {"command": ["true"]}}}"#;
    const TWO: &str =
        r#"{"functions": {"one": {"command": ["true"]}, "two": {"command": ["true"]}}}"#;

    #[test]
    fn a_changed_file_is_read_again() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("functions.json");
        std::fs::write(&path, ONE).unwrap();
        let file = FunctionsFile::open(&path).unwrap();
        let names = || file.functions().keys().cloned().collect::<Vec<_>>();
        assert_eq!(names(), ["one"]);

        std::fs::write(&path, TWO).unwrap();
        assert_eq!(names(), ["one", "two"], "after the file was written");

        let other = directory.path().join("other.json");
        std::fs::write(&other, ONE).unwrap();
        std::fs::rename(&other, &path).unwrap();
        assert_eq!(names(), ["one"], "after the file was replaced");
    }

    #[test]
    fn a_file_that_breaks_later_leaves_the_functions_as_they_were() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("functions.json");
        std::fs::write(&path, ONE).unwrap();
        let file = FunctionsFile::open(&path).unwrap();
        std::fs::write(&path, "{").unwrap();
        assert!(file.functions().contains_key("one"));
        std::fs::remove_file(&path).unwrap();
        assert!(file.functions().contains_key("one"));
        std::fs::write(&path, TWO).unwrap();
        assert!(file.functions().contains_key("two"));
    }

    #[test]
    fn a_file_that_is_wrong_from_the_start_is_an_error() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("functions.json");
        let open = || FunctionsFile::open(&path).err().unwrap();
        assert!(matches!(open(), ConfigError::Read { .. }));
        std::fs::write(&path, "{").unwrap();
        assert!(matches!(open(), ConfigError::Text { .. }));
        std::fs::write(&path, " ".repeat(MAX_FILE_BYTES as usize + 1)).unwrap();
        assert!(matches!(open(), ConfigError::TooLarge(_)));
    }
}
