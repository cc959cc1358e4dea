//! What clients ask for.

use neargate_planner::supervision::{Event, StopRequest};

use super::Shim;
use crate::files;
use crate::protocol::{self, Request};

impl Shim {
    pub(super) fn hear(&mut self, id: u32) {
        for request in self.control.read(id) {
            match request {
                Ok(request) => self.do_request(id, request),
                Err(message) => self.refuse(id, message),
            }
        }
    }

    fn do_request(&mut self, id: u32, request: Request) {
        match request {
            Request::Watch => self.control.watch(id),
            Request::Stop {
                code,
                reason,
                signal,
            } => {
                if signal.is_some_and(|signal| !(1..=libc::SIGRTMAX()).contains(&signal)) {
                    return self.refuse(id, "no such signal".into());
                }
                self.handle(Event::Stop(StopRequest {
                    code,
                    reason,
                    signal,
                }));
                self.done(id, "stop");
            }
            Request::AckLogs {
                container,
                next_sequence,
            } => {
                let index = self
                    .containers
                    .iter()
                    .position(|other| other.spec.name == container);
                match index {
                    Some(index) => self.acknowledge_logs(index, next_sequence),
                    None => self.refuse(id, format!("no container {container}")),
                }
            }
            Request::Shutdown if self.state.ended => self.shutdown_asked_by.push(id),
            Request::Shutdown => self.refuse(id, "the task has not stopped".into()),
        }
    }

    fn acknowledge_logs(&mut self, container: usize, next_sequence: u64) {
        let now = self.clock.now();
        if self.containers[container]
            .sink
            .acknowledge(next_sequence, now)
        {
            self.published.logs_changed(container);
        }
        self.resume(container);
    }

    fn done(&mut self, id: u32, request: &str) {
        self.control.answer(
            id,
            &protocol::Event::Done {
                request: request.into(),
            },
        );
    }

    fn refuse(&mut self, id: u32, message: String) {
        self.control
            .answer(id, &protocol::Event::Refused { message });
    }

    pub(super) fn may_end(&self) -> bool {
        !self.shutdown_asked_by.is_empty() && !self.children.cleans_up()
    }

    /// The last things: logs to their end, the socket away, and whoever asked knows.
    pub(super) fn end(&mut self) {
        self.close_logs();
        self.publish();
        self.sync();
        let _ = std::fs::remove_file(files::SOCKET);
        for id in std::mem::take(&mut self.shutdown_asked_by) {
            self.done(id, "shutdown");
        }
        self.send();
    }
}
