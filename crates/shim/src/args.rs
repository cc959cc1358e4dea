//! The command line: `--dir TASKDIR [--foreground]`. Parsed by hand, because the shim's memory counts.

use std::ffi::OsString;
use std::path::PathBuf;

#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Args {
    /// The task's directory.
    pub dir: PathBuf,
    /// Stay in the caller's process and session.
    pub foreground: bool,
}

#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("usage: neargate shim --dir TASKDIR [--foreground]")]
pub struct UsageError;

impl Args {
    pub fn parse(mut args: impl Iterator<Item = OsString>) -> Result<Self, UsageError> {
        let (mut dir, mut foreground) = (None, false);
        while let Some(arg) = args.next() {
            match arg.to_str() {
                Some("--dir") => dir = Some(PathBuf::from(args.next().ok_or(UsageError)?)),
                Some("--foreground") => foreground = true,
                _ => return Err(UsageError),
            }
        }
        Ok(Self {
            dir: dir.ok_or(UsageError)?,
            foreground,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn command_lines() {
        let dir = |foreground| {
            let dir = PathBuf::from("/t");
            Ok(Args { dir, foreground })
        };
        for (line, want) in [
            ("--dir /t", dir(false)),
            ("--foreground --dir /t", dir(true)),
            ("--dir", Err(UsageError)),
            ("", Err(UsageError)),
            ("--dir /t --help", Err(UsageError)),
        ] {
            let args = line.split_whitespace().map(OsString::from);
            assert_eq!(Args::parse(args), want, "{line}");
        }
    }
}
