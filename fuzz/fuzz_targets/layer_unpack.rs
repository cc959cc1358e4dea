//! Hostile layers, unpacked for real: never a panic, and nothing changes outside of the layer's directory.
//!
//! Run it as root in a namespace or a machine that may be lost: a bug that it finds is a write to anywhere.
#![no_main]

use std::fs;
use std::path::Path;

use libfuzzer_sys::arbitrary::{self, Arbitrary};
use libfuzzer_sys::fuzz_target;
use neargate_node::images::unpack::{Allowance, UnpackLimits, unpack};
use neargate_testkit::image::Layer;
use tar::EntryType;

/// Names that meet each other, so that links get used.
#[derive(Arbitrary, Debug)]
enum Name {
    A,
    B,
    AB,
    BA,
    Up,
    Out,
    Whiteout,
    Opaque,
    Other(String),
}

#[derive(Arbitrary, Debug)]
struct Entry {
    kind: u8,
    name: Name,
    link: Name,
    mode: u32,
    data: Vec<u8>,
}

#[derive(Arbitrary, Debug)]
enum Input {
    Bytes(Vec<u8>),
    Entries(Vec<Entry>),
}

impl Name {
    fn text(&self) -> &str {
        match self {
            Self::A => "a",
            Self::B => "b",
            Self::AB => "a/b",
            Self::BA => "b/a/c",
            Self::Up => "..",
            Self::Out => "../canary",
            Self::Whiteout => "a/.wh.b",
            Self::Opaque => "a/.wh..wh..opq",
            Self::Other(text) => text,
        }
    }
}

fn tar_of(input: Input) -> Vec<u8> {
    let entries = match input {
        Input::Bytes(bytes) => return bytes,
        Input::Entries(entries) => entries,
    };
    let kinds = b"0123456xgLKS";
    let layer = entries.into_iter().fold(Layer::new(), |layer, entry| {
        let kind = EntryType::new(kinds[usize::from(entry.kind) % kinds.len()]);
        layer.entry(
            Layer::header(kind, entry.mode & 0o7777),
            entry.name.text(),
            entry.link.text(),
            &entry.data,
        )
    });
    layer.into_tar()
}

fn names(dir: &Path) -> Vec<std::ffi::OsString> {
    let mut names: Vec<_> = fs::read_dir(dir)
        .unwrap()
        .map(|entry| entry.unwrap().file_name())
        .collect();
    names.sort();
    names
}

fuzz_target!(|input: Input| {
    let dir = tempfile::tempdir().unwrap();
    let (root, canary) = (dir.path().join("root"), dir.path().join("canary"));
    fs::create_dir(&root).unwrap();
    fs::write(&canary, "untouched").unwrap();
    let limits = UnpackLimits {
        bytes: 1 << 20,
        entries: 200,
        entry_metadata_bytes: 1 << 16,
        reserved_disk_bytes: 0,
        image: Allowance::new(1 << 20),
    };
    let _ = unpack(&tar_of(input)[..], &root, &limits);
    assert_eq!(fs::read_to_string(&canary).unwrap(), "untouched");
    assert_eq!(names(dir.path()), ["canary", "root"]);
});
