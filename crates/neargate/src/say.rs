//! What Neargate says of itself. Whoever reads it may be gone and the disk that keeps it full: what cannot be written is
//! dropped and counted, and nothing else is touched by it.

use std::fmt;
use std::fs::File;
use std::io::{self, Write};
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use neargate_files::private::FILE_MODE;
use nix::unistd::{dup2_stderr, dup2_stdout};
use tracing_subscriber::EnvFilter;
use tracing_subscriber::fmt::MakeWriter;

/// A log file is put away when it is so large, and the one that was put away before it removed. Both together are some
/// days of a machine with trouble, and what a small disk can spare.
const MAX_LOG_BYTES: u64 = 8 << 20;

/// Logs to standard error: `NEARGATE_LOG=debug`, or a filter such as `neargate_node=trace,info`. `file` is where that
/// leads to if another process of ours started this one: it is kept short.
pub fn start_logging(default: &str, file: Option<PathBuf>) {
    let filter =
        EnvFilter::try_from_env("NEARGATE_LOG").unwrap_or_else(|_| EnvFilter::new(default));
    let log = Log(Mutex::new(State {
        file: file.filter(|path| leads_to(path)).map(KeptFile::new),
        lost: 0,
    }));
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(log)
        .with_ansi(false)
        // It would panic where standard error cannot be written.
        .log_internal_errors(false)
        .init();
}

/// A line on standard output.
pub fn out(line: fmt::Arguments<'_>) {
    // Nobody reads it.
    let _ = writeln!(io::stdout(), "{line}").and_then(|()| io::stdout().flush());
}

/// A line on standard error.
pub fn err(line: fmt::Arguments<'_>) {
    // Nobody reads it.
    let _ = writeln!(io::stderr(), "{line}");
}

struct Log(Mutex<State>);

struct State {
    file: Option<KeptFile>,
    /// Lines that could not be written since the last one that could.
    lost: u64,
}

impl State {
    fn line(&mut self, line: &[u8], to: &mut impl Write) {
        if self.lost > 0 {
            let note = format!("{} lines of this log could not be written\n", self.lost);
            if to.write_all(note.as_bytes()).is_err() {
                self.lost += 1;
                return;
            }
            self.lost = 0;
        }
        if to.write_all(line).is_err() {
            self.lost += 1;
            return;
        }
        if let Some(file) = &mut self.file {
            file.grown(line.len() as u64);
        }
    }
}

impl<'a> MakeWriter<'a> for Log {
    type Writer = Line<'a>;

    fn make_writer(&'a self) -> Line<'a> {
        Line(self)
    }
}

/// Takes one line, and never fails.
struct Line<'a>(&'a Log);

impl Write for Line<'_> {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        let mut state = self.0.0.lock().unwrap_or_else(PoisonError::into_inner);
        state.line(line, &mut io::stderr());
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// The file that standard output and standard error lead to.
struct KeptFile {
    path: PathBuf,
    bytes: u64,
}

impl KeptFile {
    fn new(path: PathBuf) -> Self {
        let bytes = path.metadata().map_or(0, |found| found.len());
        let mut file = Self { path, bytes };
        file.grown(0);
        file
    }

    fn grown(&mut self, bytes: u64) {
        self.bytes += bytes;
        if self.bytes >= MAX_LOG_BYTES {
            // On a full disk it goes on as it is, and is put away later.
            self.bytes = match self.put_away() {
                Ok(()) => 0,
                Err(_) => MAX_LOG_BYTES / 2,
            };
        }
    }

    fn put_away(&self) -> io::Result<()> {
        let fresh = put_away(&self.path)?;
        dup2_stdout(&fresh)?;
        Ok(dup2_stderr(&fresh)?)
    }
}

/// Makes an empty log in place of one, which is kept under another name.
fn put_away(path: &Path) -> io::Result<File> {
    use std::os::unix::fs::OpenOptionsExt as _;
    let fresh_path = path.with_extension("log.new");
    let fresh = File::options()
        .create(true)
        .append(true)
        .mode(FILE_MODE)
        .open(&fresh_path)?;
    std::fs::rename(path, path.with_extension("log.1"))?;
    std::fs::rename(&fresh_path, path)?;
    Ok(fresh)
}

/// Whether standard error is that file.
fn leads_to(path: &Path) -> bool {
    let (Ok(found), Ok(stderr)) = (path.metadata(), nix::sys::stat::fstat(io::stderr())) else {
        return false;
    };
    (found.dev(), found.ino()) == (stderr.st_dev, stderr.st_ino)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A disk that is full for the first so many writes.
    struct Disk {
        refuses: u32,
        text: String,
    }

    impl Write for Disk {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            if self.refuses > 0 {
                self.refuses -= 1;
                return Err(io::ErrorKind::StorageFull.into());
            }
            self.text.push_str(&String::from_utf8_lossy(bytes));
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn lines_that_cannot_be_written_are_counted_and_told_when_there_is_room() {
        let mut disk = Disk {
            refuses: 3,
            text: String::new(),
        };
        let mut state = State {
            file: None,
            lost: 0,
        };
        for line in ["a\n", "b\n", "c\n", "d\n", "e\n"] {
            state.line(line.as_bytes(), &mut disk);
        }
        assert_eq!(
            disk.text,
            "3 lines of this log could not be written\nd\ne\n"
        );
    }

    #[test]
    fn a_log_is_put_away_and_the_one_before_it_goes() {
        let dir = tempfile::tempdir().expect("a directory");
        let path = dir.path().join("node.log");
        for round in ["first", "second", "third"] {
            let mut log = File::options()
                .create(true)
                .append(true)
                .open(&path)
                .expect("a log");
            log.write_all(round.as_bytes()).expect("written");
            let mut fresh = put_away(&path).expect("put away");
            assert_eq!(path.metadata().expect("there").len(), 0);
            let old = std::fs::read_to_string(path.with_extension("log.1")).expect("kept");
            assert_eq!(old, round);
            fresh.write_all(b"").expect("open");
        }
        assert_eq!(std::fs::read_dir(dir.path()).expect("listed").count(), 2);
    }
}
