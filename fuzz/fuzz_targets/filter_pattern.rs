//! Any text as a CloudWatch Logs filter pattern, asked about any message: never a panic, and never an answer that takes
//! longer than a glance.
#![no_main]

use libfuzzer_sys::fuzz_target;
use neargate_log_store::filter_pattern::{FilterPattern, MAX_PATTERN_CHARS};

fuzz_target!(|input: (&str, &str)| {
    let (pattern, message) = input;
    let Ok(parsed) = FilterPattern::parse(pattern) else {
        return;
    };
    assert!(pattern.chars().count() <= MAX_PATTERN_CHARS);
    let matches = parsed.matches(message);
    let extracted = parsed.extract(message);
    // JSON patterns tell the properties that they name, matching or not.
    assert!(
        matches || extracted.is_empty() || pattern.trim().starts_with('{'),
        "{pattern}"
    );
});
