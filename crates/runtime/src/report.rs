//! A pipe on which the processes that become the container tell the command why they could not.
//!
//! libcontainer's own channel carries only the outermost text of an error ("failed syscall"); the reason goes to its
//! tracing events, which nobody reads in a short command. So the command opens one pipe before it forks, the
//! executor writes its structured error there, and error-level events of libcontainer are written there as text.

use std::io::{PipeReader, PipeWriter, Read, Write};
use std::os::fd::AsRawFd;
use std::sync::OnceLock;

use nix::fcntl::{FcntlArg, OFlag, fcntl};

use crate::error::RuntimeError;

/// A pipe holds 64 KiB by default; more than this is never read.
const MAX_REPORT_BYTES: u64 = 64 * 1024;
/// libcontainer logs one failure once on each level on its way up; the first lines are the causes.
const MAX_DETAIL_LINES: usize = 2;

static WRITER: OnceLock<PipeWriter> = OnceLock::new();

/// The reading end, kept by the command.
pub(crate) struct Report {
    reader: PipeReader,
}

/// Opens the pipe and begins to listen to libcontainer's error events. Once per process.
pub(crate) fn open() -> std::io::Result<Report> {
    // std opens both ends close-on-exec, so the container's program never holds them.
    let (reader, writer) = std::io::pipe()?;
    for fd in [reader.as_raw_fd(), writer.as_raw_fd()] {
        // SAFETY: both descriptors are open and owned by `reader` and `writer` for the length of the call.
        let fd = unsafe { std::os::fd::BorrowedFd::borrow_raw(fd) };
        // Neither side may hang: a full pipe drops text, an empty one reads as the end.
        fcntl(fd, FcntlArg::F_SETFL(OFlag::O_NONBLOCK))?;
    }
    // A second call in one process keeps the first pipe; the command line calls it once.
    let _ = WRITER.set(writer);
    let _ = tracing::subscriber::set_global_default(ErrorEvents);
    Ok(Report { reader })
}

/// Tells the command, from whichever process of the container's making we are in.
pub(crate) fn send(error: &RuntimeError) {
    if let Ok(line) = serde_json::to_string(error) {
        write_line(&line);
    }
}

fn write_line(line: &str) {
    if let Some(mut writer) = WRITER.get() {
        let _ = writer.write_all(format!("{line}\n").as_bytes());
    }
}

impl Report {
    /// What was reported: the executor's error if there is one, else the text of the first error events.
    pub(crate) fn take(mut self) -> (Option<RuntimeError>, String) {
        let mut bytes = Vec::new();
        // WouldBlock stands for the end: every writer that matters has exited by now.
        let _ = (&mut self.reader)
            .take(MAX_REPORT_BYTES)
            .read_to_end(&mut bytes);
        let text = String::from_utf8_lossy(&bytes);
        let structured = text
            .lines()
            .find_map(|line| serde_json::from_str(line).ok());
        let details: Vec<&str> = text
            .lines()
            .filter(|line| !line.is_empty())
            .take(MAX_DETAIL_LINES)
            .collect();
        (structured, details.join("; "))
    }
}

/// Writes error events to the report and lets everything else pass unseen, at the cost of one comparison each.
struct ErrorEvents;

impl tracing::Subscriber for ErrorEvents {
    fn enabled(&self, metadata: &tracing::Metadata<'_>) -> bool {
        *metadata.level() == tracing::Level::ERROR && metadata.is_event()
    }

    fn max_level_hint(&self) -> Option<tracing::level_filters::LevelFilter> {
        Some(tracing::level_filters::LevelFilter::ERROR)
    }

    fn new_span(&self, _: &tracing::span::Attributes<'_>) -> tracing::span::Id {
        // Spans are not enabled; the id is never looked at.
        tracing::span::Id::from_u64(1)
    }

    fn record(&self, _: &tracing::span::Id, _: &tracing::span::Record<'_>) {}

    fn record_follows_from(&self, _: &tracing::span::Id, _: &tracing::span::Id) {}

    fn event(&self, event: &tracing::Event<'_>) {
        let mut text = EventText(String::new());
        event.record(&mut text);
        write_line(&text.0.replace('\n', " "));
    }

    fn enter(&self, _: &tracing::span::Id) {}

    fn exit(&self, _: &tracing::span::Id) {}
}

struct EventText(String);

impl tracing::field::Visit for EventText {
    fn record_debug(&mut self, field: &tracing::field::Field, value: &dyn std::fmt::Debug) {
        if !self.0.is_empty() {
            self.0.push_str(", ");
        }
        if field.name() == "message" {
            self.0.push_str(&format!("{value:?}"));
        } else {
            self.0.push_str(&format!("{}: {value:?}", field.name()));
        }
    }
}
