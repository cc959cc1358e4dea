//! Any text as `awslogs-multiline-pattern` and `awslogs-datetime-format`, asked about any line: never a panic, and never an
//! answer that takes longer than a glance.
#![no_main]

use std::time::{Duration, Instant};

use libfuzzer_sys::fuzz_target;
use neargate_planner::log_events::{EventStart, datetime_pattern};

/// Far more than any answer takes, also with a sanitizer.
const GLANCE: Duration = Duration::from_secs(5);

fuzz_target!(|input: (&str, &str)| {
    let (text, line) = input;
    let began = Instant::now();
    for pattern in [text.to_owned(), datetime_pattern(text)] {
        match EventStart::new(&pattern) {
            Ok(start) => {
                start.is_match(line);
                // A line that is as long as they get.
                start.is_match(
                    &line.repeat((256 * 1024_usize).checked_div(line.len()).unwrap_or(0)),
                );
            }
            Err(error) => assert!(error.to_string().len() < 16 * 1024),
        }
    }
    assert!(began.elapsed() < GLANCE, "{text:?}");
});
