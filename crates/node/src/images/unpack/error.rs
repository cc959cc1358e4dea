//! Why a layer could not be unpacked.

use std::io;

use super::super::Digest;

/// How much of a hostile name gets into a message.
const MAX_NAME_CHARS: usize = 200;

/// A layer that is damaged, hostile, too large, or met a full disk.
#[derive(Debug, thiserror::Error)]
pub enum UnpackError {
    #[error("'{name}': {problem}")]
    Name { name: String, problem: &'static str },
    #[error("'{path}' goes through a link that leaves the image's root")]
    Escape { path: String },
    #[error("'{path}' is a device that an image may not hold")]
    Device { path: String },
    #[error("'{path}' is of the unknown type {kind:#04x}")]
    EntryType { path: String, kind: u8 },
    #[error("'{path}': {problem}")]
    Attribute { path: String, problem: String },
    #[error("the layer unpacks to more than {limit} bytes")]
    TooLarge { limit: u64 },
    #[error("the image unpacks to more than {limit} bytes")]
    ImageTooLarge { limit: u64 },
    #[error("the layer has more than {limit} files and directories")]
    TooManyEntries { limit: u64 },
    #[error("an entry has more than {limit} bytes of names and attributes")]
    MetadataTooLarge { limit: u64 },
    #[error("the layer is {got} bytes long, and its manifest says {want}")]
    Size { want: u64, got: u64 },
    #[error(
        "unexpected digest {got}, expected {want}: the layer was damaged on the way or in the registry"
    )]
    Digest { want: Digest, got: Digest },
    #[error("wrong diff id calculated on extraction {got}, expected {want}")]
    DiffId { want: Digest, got: Digest },
    #[error("write {path}: {}", reason(.source))]
    Io { path: String, source: io::Error },
    #[error("the archive is damaged: {0}")]
    Archive(#[from] io::Error),
}

impl UnpackError {
    pub(super) fn io(path: &[u8], source: impl Into<io::Error>) -> Self {
        Self::Io {
            path: text(path),
            source: source.into(),
        }
    }
}

/// A path of the archive as it may stand in a message.
pub(super) fn text(path: &[u8]) -> String {
    let text = String::from_utf8_lossy(path);
    text.chars()
        .take(MAX_NAME_CHARS)
        .map(|c| if c.is_control() { '\u{fffd}' } else { c })
        .collect()
}

/// Without Rust's "(os error 28)", and in the lower case that people search for: "no space left on device".
fn reason(error: &io::Error) -> String {
    let text = error.to_string();
    match text.find(" (os error") {
        Some(end) => text[..end].to_lowercase(),
        None => text,
    }
}
