//! Root file systems made of nothing but a static busybox.

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};
use tempfile::TempDir;

/// Where Debian, Alpine and the others put a static busybox.
const BUSYBOX_PATHS: [&str; 4] = [
    "/bin/busybox",
    "/usr/bin/busybox",
    "/usr/local/bin/busybox",
    "/bin/busybox.static",
];

/// The directories that programs expect in a root.
pub(crate) const DIRECTORIES: [(&str, u32); 11] = [
    ("bin", 0o755),
    ("dev", 0o755),
    ("etc", 0o755),
    ("home", 0o755),
    ("proc", 0o755),
    ("root", 0o700),
    ("run", 0o755),
    ("sys", 0o755),
    ("tmp", 0o1777),
    ("usr", 0o755),
    ("var", 0o755),
];

/// The files that name users, so that `user: app` resolves. `app` is 1000:1000.
pub(crate) const FILES: [(&str, &str); 2] = [
    (
        "etc/passwd",
        "root:x:0:0:root:/root:/bin/sh\napp:x:1000:1000:app:/home:/bin/sh\nnobody:x:65534:65534:nobody:/:/bin/false\n",
    ),
    (
        "etc/group",
        "root:x:0:\napp:x:1000:\nextra:x:2000:app\nnobody:x:65534:\n",
    ),
];

/// The static busybox of this machine.
pub fn busybox_binary() -> Result<PathBuf> {
    for path in BUSYBOX_PATHS {
        let Ok(bytes) = fs::read(path) else { continue };
        // A dynamic binary names its interpreter, and that would be missing in the root.
        if !bytes
            .windows(6)
            .any(|window| window == b"/ld-li" || window == b"/ld-mu")
        {
            return Ok(path.into());
        }
    }
    bail!("no static busybox on this machine; apt-get install busybox-static")
}

/// The names that busybox answers to.
pub fn busybox_applets() -> Result<Vec<String>> {
    let output = Command::new(busybox_binary()?)
        .arg("--list")
        .output()
        .context("busybox --list")?;
    let names = String::from_utf8(output.stdout).context("busybox --list printed no text")?;
    Ok(names
        .lines()
        .filter(|name| *name != "busybox")
        .map(str::to_owned)
        .collect())
}

/// A root file system in a temporary directory: `/bin/busybox`, a link per applet, `/etc/passwd` with `root` and `app`
/// (1000:1000), `/etc/group`, and empty `/dev`, `/proc`, `/sys`, `/tmp`, … It is removed when the value is dropped.
pub fn busybox_dir() -> Result<TempDir> {
    let root = tempfile::Builder::new()
        .prefix("neargate-rootfs-")
        .tempdir()?;
    fs::set_permissions(root.path(), fs::Permissions::from_mode(0o755))?;
    fill_busybox_dir(root.path())?;
    Ok(root)
}

/// Does what [`busybox_dir`] does in a directory that exists.
pub fn fill_busybox_dir(root: &Path) -> Result<()> {
    for (name, mode) in DIRECTORIES {
        let path = root.join(name);
        fs::create_dir_all(&path)?;
        fs::set_permissions(&path, fs::Permissions::from_mode(mode))?;
    }
    for (name, text) in FILES {
        fs::write(root.join(name), text)?;
    }
    fs::copy(busybox_binary()?, root.join("bin/busybox")).context("copy busybox")?;
    for applet in busybox_applets()? {
        symlink("busybox", root.join("bin").join(applet))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_shell_runs_from_the_directory() {
        let root = busybox_dir().expect("busybox root");
        let output = Command::new(root.path().join("bin/sh"))
            .args(["-c", "echo hello"])
            .output()
            .expect("sh runs");
        assert_eq!(output.stdout, b"hello\n");
    }
}
