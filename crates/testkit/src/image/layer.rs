//! One layer: a tar archive, made entry by entry.

use std::path::Path;

use tar::{Builder, EntryType, Header};

use crate::rootfs::{DIRECTORIES, FILES, busybox_applets, busybox_binary};

/// All entries carry this time (2001-09-09), so that the same layer has the same digest on every run.
const MTIME: u64 = 1_000_000_000;

/// The room for a name in a tar header; longer ones get a GNU long-name entry.
const NAME_BYTES: usize = 100;

/// A layer in the making. The paths are taken as they are, `..` and leading slashes included.
#[derive(Clone, Default)]
pub struct Layer {
    tar: Vec<u8>,
    complete: bool,
}

impl Layer {
    pub fn new() -> Self {
        Self::default()
    }

    /// These bytes instead of a tar archive of our making.
    pub fn raw(tar: Vec<u8>) -> Self {
        Self {
            tar,
            complete: true,
        }
    }

    /// Everything below a directory of the host, owned by root.
    pub fn from_dir(dir: &Path) -> anyhow::Result<Self> {
        let mut builder = Builder::new(Vec::new());
        builder.follow_symlinks(false);
        builder.mode(tar::HeaderMode::Deterministic);
        builder.append_dir_all("", dir)?;
        Ok(Self::raw(builder.into_inner()?))
    }

    /// `/bin/busybox` with its applets, `/etc/passwd`, and the usual empty directories.
    pub fn busybox() -> anyhow::Result<Self> {
        let mut layer = Self::new();
        for (name, mode) in DIRECTORIES {
            layer = layer.dir(name, mode);
        }
        for (name, text) in FILES {
            layer = layer.file(name, text, 0o644);
        }
        layer = layer.file("bin/busybox", std::fs::read(busybox_binary()?)?, 0o755);
        for applet in busybox_applets()? {
            layer = layer.symlink(&format!("bin/{applet}"), "busybox");
        }
        Ok(layer)
    }

    pub fn dir(self, path: &str, mode: u32) -> Self {
        self.entry(Self::header(EntryType::Directory, mode), path, "", &[])
    }

    pub fn file(self, path: &str, contents: impl AsRef<[u8]>, mode: u32) -> Self {
        self.entry(
            Self::header(EntryType::Regular, mode),
            path,
            "",
            contents.as_ref(),
        )
    }

    /// A file with an owner.
    pub fn file_of(
        self,
        path: &str,
        contents: impl AsRef<[u8]>,
        mode: u32,
        uid: u64,
        gid: u64,
    ) -> Self {
        let mut header = Self::header(EntryType::Regular, mode);
        header.set_uid(uid);
        header.set_gid(gid);
        self.entry(header, path, "", contents.as_ref())
    }

    /// A file with extended attributes (PAX `SCHILY.xattr.` records, as Docker writes them).
    pub fn file_with_xattrs(
        self,
        path: &str,
        contents: impl AsRef<[u8]>,
        mode: u32,
        xattrs: &[(&str, &[u8])],
    ) -> Self {
        let records: Vec<(String, &[u8])> = xattrs
            .iter()
            .map(|(name, value)| (format!("SCHILY.xattr.{name}"), *value))
            .collect();
        let records: Vec<(&str, &[u8])> = records
            .iter()
            .map(|(key, value)| (key.as_str(), *value))
            .collect();
        self.pax(&records).file(path, contents, mode)
    }

    /// A PAX header for the entry that comes next.
    pub fn pax(self, records: &[(&str, &[u8])]) -> Self {
        let mut body = Vec::new();
        for (key, value) in records {
            // The length at the start of the record counts itself.
            let rest = key.len() + value.len() + 3;
            let mut length = rest + 1;
            while length != rest + length.to_string().len() {
                length += 1;
            }
            body.extend_from_slice(format!("{length} {key}=").as_bytes());
            body.extend_from_slice(value);
            body.push(b'\n');
        }
        self.entry(Self::header(EntryType::XHeader, 0o644), "pax", "", &body)
    }

    pub fn symlink(self, path: &str, target: &str) -> Self {
        self.entry(Self::header(EntryType::Symlink, 0o777), path, target, &[])
    }

    pub fn hard_link(self, path: &str, target: &str) -> Self {
        self.entry(Self::header(EntryType::Link, 0o644), path, target, &[])
    }

    /// A character device.
    pub fn char_device(self, path: &str, major: u32, minor: u32) -> Self {
        self.device(EntryType::Char, path, major, minor)
    }

    pub fn block_device(self, path: &str, major: u32, minor: u32) -> Self {
        self.device(EntryType::Block, path, major, minor)
    }

    pub fn fifo(self, path: &str) -> Self {
        self.entry(Self::header(EntryType::Fifo, 0o644), path, "", &[])
    }

    /// Hides `path` of the layers below.
    pub fn whiteout(self, path: &str) -> Self {
        let hidden = match path.rsplit_once('/') {
            Some((dir, name)) => format!("{dir}/.wh.{name}"),
            None => format!(".wh.{path}"),
        };
        self.file(&hidden, b"", 0o644)
    }

    /// Hides everything that the layers below have in the directory `path`.
    pub fn opaque(self, path: &str) -> Self {
        self.file(&format!("{path}/.wh..wh..opq"), b"", 0o644)
    }

    /// A header to change before it is given to [`Self::entry`].
    pub fn header(kind: EntryType, mode: u32) -> Header {
        let mut header = Header::new_gnu();
        header.set_entry_type(kind);
        header.set_mode(mode);
        header.set_mtime(MTIME);
        header.set_uid(0);
        header.set_gid(0);
        header
    }

    /// Any entry. The size and the checksum are set here; the path and the link name are not looked at.
    pub fn entry(mut self, mut header: Header, path: &str, link: &str, data: &[u8]) -> Self {
        self.long_name(EntryType::GNULongName, path);
        self.long_name(EntryType::GNULongLink, link);
        let bytes = header.as_mut_bytes();
        let name = &path.as_bytes()[..path.len().min(NAME_BYTES)];
        bytes[..name.len()].copy_from_slice(name);
        let link = &link.as_bytes()[..link.len().min(NAME_BYTES)];
        bytes[157..157 + link.len()].copy_from_slice(link);
        header.set_size(data.len() as u64);
        self.append(header, data);
        self
    }

    /// The archive.
    pub fn into_tar(mut self) -> Vec<u8> {
        if !self.complete {
            self.tar.extend_from_slice(&[0; 1024]);
        }
        self.tar
    }

    fn device(self, kind: EntryType, path: &str, major: u32, minor: u32) -> Self {
        let mut header = Self::header(kind, 0o666);
        header
            .set_device_major(major)
            .expect("a GNU header has device numbers");
        header
            .set_device_minor(minor)
            .expect("a GNU header has device numbers");
        self.entry(header, path, "", &[])
    }

    fn long_name(&mut self, kind: EntryType, name: &str) {
        if name.len() > NAME_BYTES {
            let mut header = Self::header(kind, 0);
            header.as_mut_bytes()[..13].copy_from_slice(b"././@LongLink");
            header.set_size(name.len() as u64 + 1);
            let mut data = name.as_bytes().to_vec();
            data.push(0);
            self.append(header, &data);
        }
    }

    fn append(&mut self, mut header: Header, data: &[u8]) {
        assert!(!self.complete, "a raw layer is complete");
        header.set_cksum();
        self.tar.extend_from_slice(header.as_bytes());
        self.tar.extend_from_slice(data);
        self.tar.resize(self.tar.len().next_multiple_of(512), 0);
    }
}
