//! The containers' pipes and terminals.

use std::fs::File;
use std::io::{self, Read as _};
use std::os::fd::{AsFd as _, OwnedFd};

use neargate_planner::supervision::Moment;
use nix::fcntl::{FcntlArg, OFlag, fcntl};

use super::{Shim, budget};
use crate::clock::wall_millis;
use crate::logs::LineSplitter;
use crate::poller::{Interest, Poller, Token};

/// As much as a pipe holds.
const READ_BYTES: usize = 64 * 1024;
/// Reads of one pipe before others get their turn.
const READS_PER_TURN: usize = 4;
/// Reads of one pipe when its container has ended; more than it holds, unless somebody else still writes.
const READS_AT_EXIT: usize = 32;
/// What a failed runtime may have said.
const MAX_STDERR_BYTES: u64 = 64 * 1024;

struct Stream {
    id: u32,
    container: usize,
    file: File,
    splitter: LineSplitter,
    /// Not watched: the spool takes no more for now.
    paused: bool,
}

#[derive(Default)]
pub(super) struct Output {
    streams: Vec<Stream>,
    next_id: u32,
    /// Used by all streams in turn; empty while none is open.
    buffer: Vec<u8>,
}

enum Turn {
    /// There may be more.
    More,
    /// Nothing for now.
    Dry,
    /// All writers are gone.
    Ended,
}

impl Output {
    pub fn open(&mut self, poller: &Poller, container: usize, fd: OwnedFd) {
        let id = self.next_id;
        self.next_id = self.next_id.wrapping_add(1);
        let watched = fcntl(&fd, FcntlArg::F_SETFL(OFlag::O_NONBLOCK))
            .and_then(|_| poller.add(&fd, Token::Stream(id), Interest::Read));
        match watched {
            Ok(()) => self.streams.push(Stream {
                id,
                container,
                file: File::from(fd),
                splitter: LineSplitter::default(),
                paused: false,
            }),
            Err(error) => super::note("cannot watch a container's output", error),
        }
    }

    pub fn is_open(&self, container: usize) -> bool {
        self.streams
            .iter()
            .any(|stream| stream.container == container)
    }
}

impl Shim {
    pub(super) fn read_stream(&mut self, id: u32) {
        if let Some(index) = self
            .output
            .streams
            .iter()
            .position(|stream| stream.id == id)
        {
            let container = self.output.streams[index].container;
            let before = budget::processor_time();
            self.read_turns(index, READS_PER_TURN);
            let work = budget::processor_time().saturating_sub(before);
            self.log_budget.spend(self.clock.now(), work);
            self.logs_written(container);
        }
    }

    /// Reads what the pipes of a container hold now, as far as its log takes it. It has ended, so this comes to an end too,
    /// and its exit is not kept waiting for the budget.
    pub(super) fn drain_output(&mut self, container: usize) {
        self.containers[container].sink.set_container_ended(true);
        self.resume(container);
        let mut index = 0;
        while index < self.output.streams.len() {
            let before = self.output.streams.len();
            if self.output.streams[index].container == container {
                self.read_turns(index, READS_AT_EXIT);
            }
            if self.output.streams.len() == before {
                index += 1;
            }
        }
        self.logs_written(container);
    }

    /// The stream at `index` is gone afterwards if it has ended.
    fn read_turns(&mut self, index: usize, turns: usize) {
        for _ in 0..turns {
            let container = self.output.streams[index].container;
            if !self.takes_output(container) {
                return self.pause(index);
            }
            match self.read_once(index) {
                Turn::More => {}
                Turn::Dry => return,
                Turn::Ended => {
                    let stream = self.output.streams.swap_remove(index);
                    if !stream.paused {
                        let _ = self.poller.remove(&stream.file);
                    }
                    if self.output.streams.is_empty() {
                        self.output.buffer = Vec::new();
                    }
                    return;
                }
            }
        }
    }

    fn read_once(&mut self, index: usize) -> Turn {
        let now = self.clock.now();
        let timestamp = wall_millis();
        let Output {
            streams, buffer, ..
        } = &mut self.output;
        let stream = &mut streams[index];
        let sink = &mut self.containers[stream.container].sink;
        let ended = sink.has_container_ended();
        let mut take = |line: &str| sink.line(timestamp, now, line);
        buffer.resize(READ_BYTES, 0);
        let turn = match stream.file.read(buffer) {
            Ok(0) => {
                stream.splitter.finish(&mut take);
                Turn::Ended
            }
            // So ends a terminal whose other end nobody holds any more.
            Err(error) if error.raw_os_error() == Some(libc::EIO) => {
                stream.splitter.finish(&mut take);
                Turn::Ended
            }
            Ok(count) => {
                stream.splitter.feed(&buffer[..count], &mut take);
                // A short read has emptied the pipe, but says nothing about its end.
                match count < READ_BYTES && !ended {
                    true => Turn::Dry,
                    false => Turn::More,
                }
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => Turn::More,
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => Turn::Dry,
            Err(error) => {
                super::note("cannot read a container's output", error);
                stream.splitter.finish(&mut take);
                Turn::Ended
            }
        };
        if sink.flush(now) {
            self.published.logs_changed(stream.container);
        }
        turn
    }

    fn pause(&mut self, index: usize) {
        let stream = &mut self.output.streams[index];
        if !stream.paused && self.poller.remove(&stream.file).is_ok() {
            stream.paused = true;
        }
    }

    fn takes_output(&self, container: usize) -> bool {
        let sink = &self.containers[container].sink;
        sink.takes_more() && (sink.has_container_ended() || !self.log_budget.is_exhausted())
    }

    /// The log takes more again: so do we.
    pub(super) fn resume(&mut self, container: usize) {
        if !self.takes_output(container) {
            return;
        }
        for stream in &mut self.output.streams {
            if stream.container == container
                && stream.paused
                && self
                    .poller
                    .add(
                        stream.file.as_fd(),
                        Token::Stream(stream.id),
                        Interest::Read,
                    )
                    .is_ok()
            {
                stream.paused = false;
            }
        }
    }

    /// A log whose container is over and whose pipes are at their end gets its own end.
    pub(super) fn logs_written(&mut self, container: usize) {
        if self.is_stopped(container)
            && !self.output.is_open(container)
            && !self.containers[container].sink.is_closed()
        {
            let now = self.clock.now();
            self.containers[container].sink.close(now);
            self.published.logs_changed(container);
        }
    }

    pub(super) fn keep_log_time(&mut self, now: Moment) {
        if self.log_budget.is_back(now) {
            (0..self.containers.len()).for_each(|index| self.resume(index));
        }
        for index in 0..self.containers.len() {
            let sink = &mut self.containers[index].sink;
            if sink.next_wake().is_some_and(|at| at <= now) {
                if sink.tick(now) {
                    self.published.logs_changed(index);
                }
                self.resume(index);
            }
            self.logs_written(index);
        }
    }

    /// Reads and closes everything, whoever may still hold the other ends.
    pub(super) fn close_logs(&mut self) {
        for container in 0..self.containers.len() {
            self.drain_output(container);
        }
        for index in (0..self.output.streams.len()).rev() {
            let now = self.clock.now();
            let mut stream = self.output.streams.swap_remove(index);
            let sink = &mut self.containers[stream.container].sink;
            stream
                .splitter
                .finish(&mut |line| sink.line(wall_millis(), now, line));
        }
        for container in 0..self.containers.len() {
            self.logs_written(container);
        }
    }
}

/// What is in the pipe of a process that has ended.
pub(super) fn read_all_now(pipe: &OwnedFd) -> Vec<u8> {
    let mut said = Vec::new();
    let file = fcntl(pipe, FcntlArg::F_SETFL(OFlag::O_NONBLOCK))
        .map_err(io::Error::from)
        .and_then(|_| pipe.try_clone())
        .map(File::from);
    if let Ok(file) = file {
        // An error is "nothing more for now", and what was read before it is kept.
        let _ = file.take(MAX_STDERR_BYTES).read_to_end(&mut said);
    }
    said
}
