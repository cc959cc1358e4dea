//! Time that only goes forward, and no faster than it passes. Pure: it is told what the machine's clocks say.

/// While the machine's clock is ahead or behind, a second is this part of it longer or shorter, until both agree again.
/// Waits are off by no more than that; two minutes are made up for in a quarter of an hour. A clock that was an hour wrong
/// is followed at once by the next start.
const ADJUSTMENT: i64 = 8;

/// What was told last, in nanoseconds.
#[derive(Debug)]
pub struct Steady {
    /// Since the Unix epoch.
    told: i64,
    /// Since the machine's start.
    elapsed: i64,
}

impl Steady {
    /// Begins with what the machine's clock says.
    pub fn new(wall: i64, elapsed: i64) -> Self {
        Self {
            told: wall,
            elapsed,
        }
    }

    /// What time it is when the machine's clock says `wall`, and its start was `elapsed` ago.
    pub fn read(&mut self, wall: i64, elapsed: i64) -> i64 {
        let passed = elapsed.saturating_sub(self.elapsed).max(0);
        self.elapsed = self.elapsed.max(elapsed);
        let expected = self.told.saturating_add(passed);
        let most = passed / ADJUSTMENT;
        self.told = expected.saturating_add(wall.saturating_sub(expected).clamp(-most, most));
        self.told
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: i64 = 1_000_000_000;
    const HOUR: i64 = 3600 * SECOND;
    const YEAR: i64 = 365 * 24 * HOUR;
    const NOW: i64 = 55 * YEAR;

    #[test]
    fn jumps_of_the_clock_are_no_jumps_of_time() {
        for by in [-YEAR, -HOUR, -120 * SECOND, 120 * SECOND, HOUR, YEAR] {
            let mut steady = Steady::new(NOW, 0);
            assert_eq!(
                steady.read(NOW + 10 * SECOND, 10 * SECOND),
                NOW + 10 * SECOND
            );
            let mut before = NOW + 10 * SECOND;
            for second in 11..200 {
                let elapsed = second * SECOND;
                let now = steady.read(NOW + by + elapsed, elapsed);
                let passed = now - before;
                assert!(
                    (SECOND - SECOND / ADJUSTMENT..=SECOND + SECOND / ADJUSTMENT).contains(&passed),
                    "by {by}: {passed} in a second"
                );
                before = now;
            }
            // And back again.
            let now = steady.read(NOW + 200 * SECOND, 200 * SECOND);
            assert!(now > before, "by {by}");
        }
    }

    #[test]
    fn the_machines_clock_is_caught_up_with() {
        for by in [-120, 120] {
            let mut steady = Steady::new(NOW, 0);
            let wall = |elapsed: i64| NOW + by * SECOND + elapsed;
            let far = steady.read(wall(900 * SECOND), 900 * SECOND);
            assert!(far.abs_diff(wall(900 * SECOND)) < SECOND as u64 * 8);
            let there = steady.read(wall(1000 * SECOND), 1000 * SECOND);
            assert_eq!(there, wall(1000 * SECOND));
        }
    }

    #[test]
    fn being_asked_often_changes_nothing() {
        let mut often = Steady::new(NOW, 0);
        let mut seldom = Steady::new(NOW, 0);
        for step in 1..=10_000 {
            often.read(NOW - HOUR + step * 1000, step * 1000);
        }
        let elapsed = 10_000 * 1000;
        let wall = NOW - HOUR + elapsed;
        assert_eq!(often.read(wall, elapsed), seldom.read(wall, elapsed));
    }
}
