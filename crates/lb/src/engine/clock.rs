//! The time as a worker thread sees it: read once per tick, not once per request.
//!
//! Idle time-outs are a minute and cookies a day; nothing that uses this clock needs more than [`TICK`].

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// How old the thread's time may be.
pub const TICK: Duration = Duration::from_millis(200);

#[derive(Clone, Copy)]
struct Now {
    start: Instant,
    millis: u64,
    epoch_millis: u64,
}

thread_local! {
    static NOW: Cell<Now> = Cell::new(Now::read(Instant::now()));
    static DATE: RefCell<(u64, Rc<str>)> = RefCell::new((u64::MAX, "".into()));
}

impl Now {
    fn read(start: Instant) -> Self {
        let epoch = SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .unwrap_or_default();
        Self {
            start,
            millis: start.elapsed().as_millis() as u64,
            epoch_millis: epoch.as_millis() as u64,
        }
    }
}

/// Reads the system's clocks again.
pub fn refresh() {
    NOW.set(Now::read(NOW.get().start));
}

/// The time as `Date` headers have it.
pub fn http_date() -> Rc<str> {
    let secs = epoch_millis() / 1000;
    DATE.with_borrow_mut(|(of, text)| {
        if *of != secs {
            *of = secs;
            *text = crate::headers::date::http_date(secs).into();
        }
        Rc::clone(text)
    })
}

/// Milliseconds on this thread's monotonic clock.
pub fn millis() -> u64 {
    NOW.get().millis
}

/// Milliseconds since the Unix epoch.
pub fn epoch_millis() -> u64 {
    NOW.get().epoch_millis
}
