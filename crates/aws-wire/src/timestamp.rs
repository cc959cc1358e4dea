//! The three text and number forms of timestamps on AWS's wires.

use jiff::Timestamp;
use jiff::fmt::rfc2822;
use jiff::tz::Offset;

use crate::schema::TimestampFormat;

/// Whether a date and time may have an offset in place of `Z`. The query services take it, Smithy's rules for the JSON
/// protocols refuse it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Offsets {
    Taken,
    Refused,
}

/// Parses a timestamp sent as text in `format`. Epoch seconds as text occur in REST headers and queries.
pub(crate) fn parse(text: &str, format: TimestampFormat, offsets: Offsets) -> Option<Timestamp> {
    match format {
        TimestampFormat::DateTime if offsets == Offsets::Refused && !text.ends_with('Z') => None,
        TimestampFormat::DateTime => parse_date_time(text),
        TimestampFormat::HttpDate => parse_http_date(text),
        TimestampFormat::EpochSeconds => {
            let plain = text
                .bytes()
                .all(|b| b.is_ascii_digit() || matches!(b, b'.' | b'-' | b'+' | b'e' | b'E'));
            if !plain {
                return None;
            }
            match text.parse::<i64>() {
                Ok(seconds) => from_epoch_integer(seconds),
                Err(_) => from_epoch_float(text.parse().ok()?),
            }
        }
    }
}

/// `2019-10-02T17:04:40Z`, with or without a fraction, or with an offset instead of `Z`.
fn parse_date_time(text: &str) -> Option<Timestamp> {
    // The parser also takes forms that AWS refuses: a space or `t` for `T`, a bracketed zone, an offset without colon
    // or minutes, a comma before the fraction.
    let (date, time) = text.split_once('T')?;
    let date_ok = date.len() == 10 && date.bytes().all(|b| b.is_ascii_digit() || b == b'-');
    let zone_at = time.find(['Z', '+', '-'])?;
    let (clock, zone) = time.split_at(zone_at);
    let clock_ok = clock.len() >= 8
        && clock
            .bytes()
            .all(|b| b.is_ascii_digit() || matches!(b, b':' | b'.'));
    let zone_ok = zone == "Z"
        || (zone.len() == 6
            && zone.as_bytes()[3] == b':'
            && zone[1..].bytes().all(|b| b.is_ascii_digit() || b == b':'));
    if !(date_ok && clock_ok && zone_ok) {
        return None;
    }
    text.parse().ok()
}

/// `Tue, 29 Apr 2014 18:30:38 GMT`, optionally with a fraction of the second (Smithy allows it).
fn parse_http_date(text: &str) -> Option<Timestamp> {
    let stem = text.strip_suffix(" GMT")?;
    let (whole, nanos) = match stem.split_once('.') {
        Some((whole, digits)) => (whole, fraction_nanos(digits)?),
        None => (stem, 0),
    };
    // RFC 7231 wants exactly "Tue, 29 Apr 2014 18:30:38"; the RFC 2822 parser is laxer about widths and comments.
    if whole.len() != 25 || whole.contains('(') {
        return None;
    }
    let seconds = rfc2822::parse(&format!("{whole} +0000")).ok()?.timestamp();
    Timestamp::new(seconds.as_second(), nanos).ok()
}

fn fraction_nanos(digits: &str) -> Option<i32> {
    if digits.is_empty() || digits.len() > 9 || !digits.bytes().all(|b| b.is_ascii_digit()) {
        return None;
    }
    let scale = 10_i32.pow(9 - digits.len() as u32);
    Some(digits.parse::<i32>().ok()? * scale)
}

pub(crate) fn from_epoch_integer(seconds: i64) -> Option<Timestamp> {
    Timestamp::from_second(seconds).ok()
}

/// A double holds today's epoch seconds to about a quarter of a microsecond, so the result is rounded to microseconds.
pub(crate) fn from_epoch_float(seconds: f64) -> Option<Timestamp> {
    let micros = (seconds * 1e6).round();
    // Both ends of the range that a Timestamp can hold lie far within i64.
    if !micros.is_finite() || micros.abs() > 9e18 {
        return None;
    }
    Timestamp::from_microsecond(micros as i64).ok()
}

/// Seconds since the epoch, to the millisecond: what AWS sends.
pub(crate) fn to_epoch_millis(timestamp: Timestamp) -> Epoch {
    let millis = timestamp.as_millisecond();
    if millis % 1000 == 0 {
        Epoch::Whole(millis / 1000)
    } else {
        Epoch::Fraction(millis as f64 / 1e3)
    }
}

/// Seconds since the epoch, to the microsecond: what a record keeps.
pub(crate) fn to_epoch_micros(timestamp: Timestamp) -> Epoch {
    let micros = timestamp.as_microsecond();
    if micros % 1_000_000 == 0 {
        Epoch::Whole(micros / 1_000_000)
    } else {
        Epoch::Fraction(micros as f64 / 1e6)
    }
}

/// Epoch seconds in the form that prints shortest.
pub(crate) enum Epoch {
    Whole(i64),
    Fraction(f64),
}

/// Writes a timestamp as text in `format`.
pub(crate) fn format(timestamp: Timestamp, format: TimestampFormat) -> String {
    match format {
        TimestampFormat::DateTime => {
            let millis = timestamp.as_millisecond().rem_euclid(1000);
            let seconds = timestamp.strftime("%Y-%m-%dT%H:%M:%S");
            match millis {
                0 => format!("{seconds}Z"),
                _ => format!("{seconds}.{millis:03}Z"),
            }
        }
        TimestampFormat::HttpDate => Offset::UTC
            .to_datetime(timestamp)
            .strftime("%a, %d %b %Y %H:%M:%S GMT")
            .to_string(),
        TimestampFormat::EpochSeconds => match to_epoch_millis(timestamp) {
            Epoch::Whole(seconds) => seconds.to_string(),
            Epoch::Fraction(seconds) => seconds.to_string(),
        },
    }
}

/// EC2's form: always with milliseconds, `2019-10-02T17:04:40.000Z` (network-and-discovery.md).
pub(crate) fn format_ec2(timestamp: Timestamp) -> String {
    timestamp.strftime("%Y-%m-%dT%H:%M:%S.%3fZ").to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parses_what_aws_clients_send_and_nothing_else() {
        use TimestampFormat::*;
        for (name, text, form, want) in [
            (
                "iso",
                "2019-10-02T17:04:40Z",
                DateTime,
                Some(1_570_035_880_000),
            ),
            (
                "iso millis",
                "2019-10-02T17:04:40.989Z",
                DateTime,
                Some(1_570_035_880_989),
            ),
            (
                "iso offset",
                "2019-10-02T18:04:40+01:00",
                DateTime,
                Some(1_570_035_880_000),
            ),
            ("iso no zone", "2019-10-02T17:04:40", DateTime, None),
            ("iso space", "2019-10-02 17:04:40Z", DateTime, None),
            ("iso bracket", "2019-10-02T17:04:40Z[UTC]", DateTime, None),
            (
                "http",
                "Tue, 29 Apr 2014 18:30:38 GMT",
                HttpDate,
                Some(1_398_796_238_000),
            ),
            (
                "http fraction",
                "Sun, 02 Jan 2000 20:34:56.456 GMT",
                HttpDate,
                Some(946_845_296_456),
            ),
            (
                "http lax",
                "Tue, 29 Apr 2014 18:30:38 +0000",
                HttpDate,
                None,
            ),
            ("epoch", "1398796238", EpochSeconds, Some(1_398_796_238_000)),
            (
                "epoch fraction",
                "1398796238.5",
                EpochSeconds,
                Some(1_398_796_238_500),
            ),
            ("epoch word", "inf", EpochSeconds, None),
            ("epoch far", "1e300", EpochSeconds, None),
            ("multi-byte", "2019-10-02T17:04:40\u{e9}", DateTime, None),
        ] {
            assert_eq!(
                parse(text, form, Offsets::Taken).map(|t| t.as_millisecond()),
                want,
                "{name}"
            );
        }
    }

    #[test]
    fn formats() {
        use TimestampFormat::*;
        let whole = Timestamp::from_millisecond(1_398_796_238_000).unwrap();
        let fraction = Timestamp::from_millisecond(1_398_796_238_050).unwrap();
        for (timestamp, form, want) in [
            (whole, DateTime, "2014-04-29T18:30:38Z"),
            (fraction, DateTime, "2014-04-29T18:30:38.050Z"),
            (whole, HttpDate, "Tue, 29 Apr 2014 18:30:38 GMT"),
            (whole, EpochSeconds, "1398796238"),
            (fraction, EpochSeconds, "1398796238.05"),
        ] {
            assert_eq!(format(timestamp, form), want);
        }
        assert_eq!(format_ec2(whole), "2014-04-29T18:30:38.000Z");
    }
}
