//! Bytes of a pipe into lines.

use std::borrow::Cow;

use crate::spool::MAX_EVENT_BYTES;

/// Holds the beginning of a line whose end has not come yet.
#[derive(Default)]
pub(crate) struct LineSplitter {
    partial: Vec<u8>,
}

impl LineSplitter {
    /// Hands out every line that ends in `data`, without its newline, in pieces of at most [`MAX_EVENT_BYTES`].
    /// Empty lines are left out: CloudWatch Logs takes no empty message, and the awslogs driver sends none.
    pub fn feed(&mut self, data: &[u8], emit: &mut dyn FnMut(&str)) {
        let mut rest = data;
        while let Some(end) = memchr::memchr(b'\n', rest) {
            let line = &rest[..end];
            if self.partial.is_empty() {
                emit_line(line, emit);
            } else {
                self.partial.extend_from_slice(line);
                self.finish(emit);
            }
            rest = &rest[end + 1..];
        }
        self.partial.extend_from_slice(rest);
        while self.partial.len() > MAX_EVENT_BYTES {
            let end = char_boundary(&self.partial, MAX_EVENT_BYTES);
            emit_line(&self.partial[..end], emit);
            self.partial.drain(..end);
        }
    }

    /// The output has ended: what there is of the last line is one.
    pub fn finish(&mut self, emit: &mut dyn FnMut(&str)) {
        let line = std::mem::take(&mut self.partial);
        emit_line(&line, emit);
        // The memory of a usual line is used again, that of a giant is given back.
        if line.capacity() <= 4096 {
            self.partial = line;
            self.partial.clear();
        }
    }
}

fn emit_line(line: &[u8], emit: &mut dyn FnMut(&str)) {
    let text: Cow<'_, str> = String::from_utf8_lossy(line);
    let mut rest = text.as_ref();
    while !rest.is_empty() {
        let end = char_boundary(rest.as_bytes(), MAX_EVENT_BYTES.min(rest.len()));
        emit(&rest[..end]);
        rest = &rest[end..];
    }
}

/// The last place at or before `at` that does not cut a UTF-8 character; `at` itself in what is not UTF-8.
fn char_boundary(bytes: &[u8], at: usize) -> usize {
    let continues = |index: usize| bytes.get(index).is_some_and(|byte| byte & 0xC0 == 0x80);
    (at.saturating_sub(3)..=at)
        .rev()
        .find(|&index| !continues(index))
        .unwrap_or(at)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn split(chunks: &[&[u8]]) -> Vec<String> {
        let mut lines = Vec::new();
        let mut splitter = LineSplitter::default();
        let mut emit = |line: &str| lines.push(line.to_owned());
        for chunk in chunks {
            splitter.feed(chunk, &mut emit);
        }
        splitter.finish(&mut emit);
        lines
    }

    #[test]
    fn lines_from_chunks() {
        for (name, chunks, want) in [
            ("whole lines", &[&b"a\nb\n"[..]][..], &["a", "b"][..]),
            ("a line in pieces", &[b"a", b"b", b"c\nd"], &["abc", "d"]),
            (
                "a character in pieces",
                &["é\n".as_bytes().split_at(1).0, b"\xa9\n"],
                &["é"],
            ),
            ("empty lines", &[b"\n\na\n\n"], &["a"]),
            ("no newline at the end", &[b"a\nb"], &["a", "b"]),
            ("not UTF-8", &[b"a\xffb\n"], &["a\u{FFFD}b"]),
            ("carriage returns stay", &[b"a\r\n"], &["a\r"]),
            ("nothing", &[], &[]),
        ] {
            assert_eq!(split(chunks), want, "{name}");
        }
    }

    #[test]
    fn long_lines_are_split_between_characters() {
        for (name, unit, count) in [
            ("one byte", "x", MAX_EVENT_BYTES * 2 + 1),
            ("two bytes", "é", MAX_EVENT_BYTES),
            ("four bytes", "🦀", MAX_EVENT_BYTES / 2),
        ] {
            let line = unit.repeat(count) + "\n";
            let chunks: Vec<&[u8]> = line.as_bytes().chunks(65_536).collect();
            let pieces = split(&chunks);
            assert!(pieces.len() >= 2, "{name}");
            assert!(
                pieces.iter().all(|piece| piece.len() <= MAX_EVENT_BYTES),
                "{name}"
            );
            assert_eq!(pieces.concat() + "\n", line, "{name}");
        }
        let garbage = vec![0xff; MAX_EVENT_BYTES + 10];
        let pieces = split(&[&garbage]);
        assert!(pieces.iter().all(|piece| piece.len() <= MAX_EVENT_BYTES));
        assert_eq!(pieces.concat().chars().count(), garbage.len());
    }
}
