//! Dates as HTTP writes them.

use jiff::Timestamp;
use jiff::fmt::rfc2822::DateTimePrinter;

/// `Sun, 06 Nov 1994 08:49:37 GMT` for seconds of the epoch. What lies beyond the calendar becomes the epoch itself.
pub fn http_date(epoch_secs: u64) -> String {
    let time = i64::try_from(epoch_secs)
        .ok()
        .and_then(|secs| Timestamp::from_second(secs).ok());
    DateTimePrinter::new()
        .timestamp_to_rfc9110_string(&time.unwrap_or_default())
        .unwrap_or_else(|_| "Thu, 01 Jan 1970 00:00:00 GMT".to_owned())
}
