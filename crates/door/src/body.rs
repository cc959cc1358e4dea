//! A request's body: read under a time and a budget.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http_body::{Frame, SizeHint};
use hyper::body::Incoming;
use tokio::time::{Instant, Sleep};

use crate::budget::Share;
use crate::connections::Watch;
use crate::limits::Limits;

/// Why a body ended before its end.
#[derive(Debug, thiserror::Error)]
pub enum BodyError {
    #[error("the connection broke: {0}")]
    Connection(#[from] hyper::Error),
    #[error("it came too slowly")]
    TooSlow,
    #[error("too many large requests are under way; try again")]
    NoRoom,
}

/// What became of a request's body, for whoever writes the answer.
#[derive(Debug, Default)]
pub(crate) struct Outcome(AtomicU8);

const SLOW: u8 = 1;
const NO_ROOM: u8 = 2;

impl Outcome {
    pub fn was_too_slow(&self) -> bool {
        self.0.load(Ordering::Relaxed) == SLOW
    }

    pub fn had_no_room(&self) -> bool {
        self.0.load(Ordering::Relaxed) == NO_ROOM
    }
}

/// A request's body.
pub struct Body {
    incoming: Incoming,
    watch: Arc<Watch>,
    outcome: Arc<Outcome>,
    silence: std::time::Duration,
    /// Of a body that is gathered in memory.
    gathered: Option<Gathered>,
    timer: Option<Pin<Box<Sleep>>>,
}

/// What bounds a body that stays in memory until its request is answered.
pub(crate) struct Gathered {
    pub share: Arc<parking_lot::Mutex<Share>>,
    pub until: Instant,
}

impl Body {
    pub(crate) fn new(
        incoming: Incoming,
        watch: Arc<Watch>,
        outcome: Arc<Outcome>,
        limits: &Limits,
        gathered: Option<Gathered>,
    ) -> Self {
        Self {
            incoming,
            watch,
            outcome,
            silence: limits.body_silence,
            gathered,
            timer: None,
        }
    }

    fn fail(&self, error: BodyError) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        let what = match error {
            BodyError::TooSlow => SLOW,
            BodyError::NoRoom => NO_ROOM,
            BodyError::Connection(_) => 0,
        };
        self.outcome.0.store(what, Ordering::Relaxed);
        Poll::Ready(Some(Err(error)))
    }
}

impl http_body::Body for Body {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        let until = self.gathered.as_ref().map(|gathered| gathered.until);
        let frame = match Pin::new(&mut self.incoming).poll_frame(cx) {
            Poll::Ready(frame) => frame,
            Poll::Pending => {
                if self.timer.is_none() {
                    self.watch.waits_for_body();
                    let silent = Instant::now() + self.silence;
                    let timer = tokio::time::sleep_until(until.map_or(silent, |u| u.min(silent)));
                    self.timer = Some(Box::pin(timer));
                }
                if let Some(timer) = &mut self.timer {
                    ready!(timer.as_mut().poll(cx));
                }
                return self.fail(BodyError::TooSlow);
            }
        };
        if self.timer.take().is_some() {
            self.watch.body_came();
            // Bytes that trickle in never let the timer end.
            if until.is_some_and(|until| Instant::now() > until) {
                return self.fail(BodyError::TooSlow);
            }
        }
        match frame {
            None => Poll::Ready(None),
            Some(Err(error)) => self.fail(error.into()),
            Some(Ok(frame)) => {
                let bytes = frame.data_ref().map_or(0, Bytes::len);
                let fits = self
                    .gathered
                    .as_ref()
                    .is_none_or(|gathered| gathered.share.lock().take(bytes));
                match fits {
                    true => Poll::Ready(Some(Ok(frame))),
                    false => self.fail(BodyError::NoRoom),
                }
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        self.incoming.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.incoming.size_hint()
    }
}

impl Drop for Body {
    fn drop(&mut self) {
        if self.timer.is_some() {
            self.watch.body_came();
        }
    }
}
