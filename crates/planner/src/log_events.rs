//! Which line of a container's output begins a log event: what `awslogs-multiline-pattern` and
//! `awslogs-datetime-format` mean.
//!
//! Source: Docker's documentation, "Amazon CloudWatch Logs logging driver".

use regex_lite::{Regex, RegexBuilder};

/// What a pattern may take in memory once it is compiled. It is asked about each line, and the time that this takes
/// grows with the pattern; a format with every code takes a tenth of this.
const MAX_COMPILED_BYTES: usize = 128 * 1024;
/// How much of a line is searched. What begins an event stands at the beginning of its line; a pattern that must read a
/// line of 256 KiB to its end would keep the task's supervisor from its work.
const MAX_SEARCHED_BYTES: usize = 16 * 1024;
/// How much of a pattern an error repeats.
const MAX_SHOWN_CHARS: usize = 256;

/// A pattern that cannot be used. The text is that of the awslogs driver.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("awslogs could not parse multiline pattern key {shown:?}: {why}")]
pub struct PatternError {
    shown: String,
    why: String,
}

/// Tells lines that begin an event from those that continue one.
#[derive(Debug, Clone)]
pub struct EventStart(Regex);

impl EventStart {
    /// `pattern` is a regular expression that a line must contain.
    pub fn new(pattern: &str) -> Result<Self, PatternError> {
        RegexBuilder::new(pattern)
            .size_limit(MAX_COMPILED_BYTES)
            .build()
            .map(Self)
            .map_err(|error| PatternError {
                shown: pattern.chars().take(MAX_SHOWN_CHARS).collect(),
                why: error.to_string(),
            })
    }

    pub fn is_match(&self, line: &str) -> bool {
        // A character has four bytes at most.
        let beginning = (MAX_SEARCHED_BYTES - 3..=MAX_SEARCHED_BYTES)
            .rev()
            .find_map(|end| line.get(..end));
        self.0.is_match(beginning.unwrap_or(line))
    }
}

/// The regular expression of a date and time format: each code that begins with `%` becomes one, all else is part of it
/// as it stands. A code that the driver does not know stands for nothing.
pub fn datetime_pattern(format: &str) -> String {
    let mut pattern = String::with_capacity(format.len());
    let mut rest = format;
    while let Some(at) = rest.find('%') {
        pattern.push_str(&rest[..at]);
        let mut after = rest[at + 1..].chars();
        match after.next() {
            Some(code) => pattern.push_str(code_pattern(code)),
            None => pattern.push('%'),
        }
        rest = after.as_str();
    }
    pattern.push_str(rest);
    pattern
}

fn code_pattern(code: char) -> &'static str {
    match code {
        'a' => "(?:Mon|Tue|Wed|Thu|Fri|Sat|Sun)",
        'A' => "(?:Monday|Tuesday|Wednesday|Thursday|Friday|Saturday|Sunday)",
        'b' => "(?:Jan|Feb|Mar|Apr|May|Jun|Jul|Aug|Sep|Oct|Nov|Dec)",
        'B' => {
            "(?:January|February|March|April|May|June|July|August|September|October|November|December)"
        }
        'd' => "(?:0[1-9]|[12][0-9]|3[01])",
        'f' => "[0-9]{6}",
        'H' => "(?:[01][0-9]|2[0-3])",
        'I' => "(?:0[0-9]|1[0-2])",
        'j' => "(?:[0-2][0-9]{2}|3[0-5][0-9]|36[0-6])",
        'L' => r"\.[0-9]{3}",
        'm' => "(?:0[1-9]|1[0-2])",
        'M' | 'S' => "[0-5][0-9]",
        'p' => "[AP]M",
        'w' => "[0-6]",
        'y' => "[0-9]{2}",
        'Y' => "[0-9]{4}",
        'z' => "[+-][0-9]{4}",
        'Z' => "[A-Z]{1,4}T",
        _ => "",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn formats_tell_where_an_event_begins() {
        // The first two are examples of AWS's and Docker's documentation.
        for (format, line, begins) in [
            (
                r"\[%b %d, %Y %H:%M:%S\]",
                "[May 01, 2017 19:00:01] A message was logged",
                true,
            ),
            (
                r"\[%b %d, %Y %H:%M:%S\]",
                "Another multiline message",
                false,
            ),
            (r"\[%b %d, %Y %H:%M:%S\]", "May 01, 2017 19:00:01", false),
            ("%Y-%m-%d", "at 2026-11-30, 20:10", true),
            ("%Y-%m-%d", "at 2026-13-30", false),
            (
                "%Y-%m-%dT%H:%M:%S%L%z",
                "2026-11-30T20:10:01.123+0100 x",
                true,
            ),
            ("%Y-%m-%dT%H:%M:%S%L%z", "2026-11-30T20:10:01 x", false),
            ("%H:%M:%S.%f", "20:10:01.123456", true),
            (
                "^%A, %d %B %y %I:%M %p",
                "Monday, 30 November 26 08:10 PM",
                true,
            ),
            (
                "^%A, %d %B %y %I:%M %p",
                "x Monday, 30 November 26 08:10 PM",
                false,
            ),
            ("%a %j %w %Z", "Mon 334 1 CEST", true),
            // All but the codes is a regular expression.
            (r"^%H:%M|^level=\w+ ", "level=info x", true),
            (r"^(?:%Y|%y)-%m", "26-11", true),
            ("%Q%d", "30", true),
            ("%", "100%", true),
            ("%", "100", false),
        ] {
            let start = EventStart::new(&datetime_pattern(format)).expect(format);
            assert_eq!(start.is_match(line), begins, "{format:?} in {line:?}");
        }
    }

    #[test]
    fn every_code_fits_within_the_limit() {
        let format = "%a %A %b %B %d %f %H %I %j %L %m %M %p %S %w %y %Y %z %Z";
        EventStart::new(&datetime_pattern(&format.repeat(4))).expect("a usable format");
    }

    #[test]
    fn what_does_not_compile_says_so() {
        for pattern in ["(", "[", "a{1000}{1000}{1000}", r"\p{Greek}", "*"] {
            let error = EventStart::new(pattern).expect_err(pattern).to_string();
            let want = format!("awslogs could not parse multiline pattern key {pattern:?}: ");
            assert!(error.starts_with(&want), "{error}");
        }
        let error = EventStart::new(&"(".repeat(100_000)).expect_err("too deep");
        assert!(error.to_string().len() < 1000);
    }

    #[test]
    fn only_the_beginning_of_a_line_is_searched() {
        let start = EventStart::new("end").expect("a pattern");
        let line = "é".repeat(MAX_SEARCHED_BYTES) + "end";
        assert!(!start.is_match(&line));
        assert!(start.is_match("the end"));
    }
}
