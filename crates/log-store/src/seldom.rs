//! What happens a thousand times an hour is said once.

use std::time::{Duration, Instant};

use parking_lot::Mutex;

/// Between two messages about the same thing.
const INTERVAL: Duration = Duration::from_secs(3600);

#[derive(Debug, Default)]
pub(crate) struct Seldom(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    said: Option<Instant>,
    unsaid: u64,
}

impl Seldom {
    /// It happened again. If it is to be said, how often it happened since it was said.
    pub(crate) fn say(&self) -> Option<u64> {
        self.say_at(Instant::now())
    }

    fn say_at(&self, now: Instant) -> Option<u64> {
        let mut state = self.0.lock();
        state.unsaid += 1;
        let due = state
            .said
            .is_none_or(|said| now.duration_since(said) >= INTERVAL);
        due.then(|| {
            state.said = Some(now);
            std::mem::take(&mut state.unsaid)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_time_and_then_once_an_hour() {
        let (seldom, now) = (Seldom::default(), Instant::now());
        assert_eq!(seldom.say_at(now), Some(1));
        for second in 1..3600 {
            assert_eq!(seldom.say_at(now + Duration::from_secs(second)), None);
        }
        assert_eq!(seldom.say_at(now + INTERVAL), Some(3600));
    }
}
