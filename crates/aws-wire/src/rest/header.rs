//! Lists inside one header.

use crate::schema::{Kind, Shape, TimestampFormat};

/// Splits a header that holds a list. Quoted items may hold commas; HTTP dates always hold one.
pub(super) fn split_list(
    text: &str,
    item: &Shape,
    format: Option<TimestampFormat>,
) -> Option<Vec<String>> {
    if let Kind::Timestamp { format: own } = item.kind
        && format.or(own).unwrap_or(TimestampFormat::HttpDate) == TimestampFormat::HttpDate
    {
        let parts: Vec<&str> = text.split(',').collect();
        return Some(
            parts
                .chunks(2)
                .map(|date| date.join(",").trim().to_owned())
                .collect(),
        );
    }
    let mut items = Vec::new();
    let mut rest = text.trim();
    while !rest.is_empty() {
        let (item, after) = match rest.strip_prefix('"') {
            Some(quoted) => take_quoted(quoted)?,
            None => {
                let end = rest.find(',').unwrap_or(rest.len());
                (rest[..end].trim().to_owned(), &rest[end..])
            }
        };
        items.push(item);
        let after = after.trim_start();
        rest = match after.strip_prefix(',') {
            Some(next) => next.trim_start(),
            None if after.is_empty() => after,
            // Text between a closing quote and the comma.
            None => return None,
        };
    }
    Some(items)
}

/// The text up to the closing quote, and what follows it.
fn take_quoted(text: &str) -> Option<(String, &str)> {
    let mut item = String::new();
    let mut chars = text.char_indices();
    while let Some((at, c)) = chars.next() {
        match c {
            '"' => return Some((item, &text[at + 1..])),
            '\\' => item.push(chars.next()?.1),
            c => item.push(c),
        }
    }
    None
}

/// One item of a list header, quoted where it must be.
pub(super) fn quote_item(item: &str) -> String {
    let plain = !item.contains([',', '"', '\\']) && item.trim() == item;
    if plain {
        item.to_owned()
    } else {
        format!("\"{}\"", item.replace('\\', "\\\\").replace('"', "\\\""))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::schema::StringShape;

    static TEXT: Shape = Shape {
        name: "String",
        kind: Kind::String(StringShape {
            min: None,
            max: None,
            pattern: None,
            enum_values: &[],
            json_value: false,
            sensitive: false,
        }),
    };
    static DATE: Shape = Shape {
        name: "Timestamp",
        kind: Kind::Timestamp { format: None },
    };

    #[test]
    fn splits() {
        for (name, text, shape, want) in [
            ("plain", "a, b,c", &TEXT, Some(vec!["a", "b", "c"])),
            (
                "quoted",
                "\"b,c\", \"\\\"def\\\"\", a",
                &TEXT,
                Some(vec!["b,c", "\"def\"", "a"]),
            ),
            ("open quote", "\"b", &TEXT, None),
            ("text after quote", "\"b\"c", &TEXT, None),
            ("empty", "", &TEXT, Some(vec![])),
            (
                "dates",
                "Mon, 16 Dec 2019 23:48:18 GMT, Mon, 16 Dec 2019 23:48:18 GMT",
                &DATE,
                Some(vec!["Mon, 16 Dec 2019 23:48:18 GMT"; 2]),
            ),
        ] {
            let want: Option<Vec<String>> =
                want.map(|items| items.into_iter().map(str::to_owned).collect());
            assert_eq!(split_list(text, shape, None), want, "{name}");
        }
    }
}
