//! Paths inside an archive.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;

use super::{UnpackError, error};

/// The names of a path, from the root down; none for the root itself.
///
/// A leading slash and `.` mean nothing, as in every tar program. `..` is refused wherever it stands: no tool writes
/// it, and what it would mean depends on links.
pub(super) fn components(path: &[u8]) -> Result<Vec<&OsStr>, UnpackError> {
    let refused = |problem| UnpackError::Name {
        name: error::text(path),
        problem,
    };
    if path.contains(&0) {
        return Err(refused("a name with a zero byte"));
    }
    let names = path
        .split(|byte| *byte == b'/')
        .filter(|name| !matches!(*name, b"" | b"."));
    names
        .map(|name| {
            if name == b".." {
                Err(refused("the path leaves the image's root"))
            } else {
                Ok(OsStr::from_bytes(name))
            }
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_become_names_below_the_root() {
        for (given, want) in [
            ("etc/passwd", Some("etc|passwd")),
            ("./etc/./passwd", Some("etc|passwd")),
            ("/etc//passwd/", Some("etc|passwd")),
            ("./", Some("")),
            ("", Some("")),
            ("..", None),
            ("../etc/passwd", None),
            ("etc/../passwd", None),
            ("etc/..", None),
            ("..foo/bar..", Some("..foo|bar..")),
            ("a\0b", None),
        ] {
            let got = components(given.as_bytes())
                .ok()
                .map(|names| names.join(OsStr::new("|")));
            assert_eq!(got.as_deref(), want.map(OsStr::new), "{given:?}");
        }
    }
}
