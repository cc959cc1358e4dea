//! Values as the XML of the query protocols' answers.

use std::fmt::Write as _;

use crate::scalar;
use crate::schema::{Kind, ListShape, MapShape, Shape, StructureShape, TimestampFormat};
use crate::timestamp;
use crate::value::{Fields, ShapeMismatch, Value};

/// Writes elements into one growing text.
pub(crate) struct XmlWriter {
    out: String,
    /// EC2 sends all timestamps with milliseconds.
    ec2: bool,
}

impl XmlWriter {
    pub(crate) fn new(ec2: bool) -> Self {
        Self {
            out: String::with_capacity(512),
            ec2,
        }
    }

    pub(crate) fn finish(self) -> String {
        self.out
    }

    pub(crate) fn raw(&mut self, text: &str) {
        self.out.push_str(text);
    }

    pub(crate) fn open(&mut self, name: &str, namespace: Option<&str>) {
        self.out.push('<');
        self.out.push_str(name);
        if let Some(namespace) = namespace.filter(|n| !n.is_empty()) {
            self.attribute("xmlns", namespace);
        }
        self.out.push('>');
    }

    pub(crate) fn close(&mut self, name: &str) {
        self.out.push_str("</");
        self.out.push_str(name);
        self.out.push('>');
    }

    pub(crate) fn text_element(&mut self, name: &str, text: &str) {
        self.open(name, None);
        escape(text, &mut self.out);
        self.close(name);
    }

    fn attribute(&mut self, name: &str, text: &str) {
        self.out.push(' ');
        self.out.push_str(name);
        self.out.push_str("=\"");
        escape(text, &mut self.out);
        self.out.push('"');
    }

    /// The members of a structure as child elements.
    pub(crate) fn members(
        &mut self,
        structure: &'static StructureShape,
        fields: &Fields,
        skip: Option<&'static str>,
    ) -> Result<(), ShapeMismatch> {
        for (index, value) in &fields.0 {
            let Some(member) = structure.members.get(usize::from(*index)) else {
                return Err(ShapeMismatch {
                    shape: "structure",
                    expected: "a member of the shape",
                });
            };
            if member.xml_attribute || skip == Some(member.name) {
                continue;
            }
            let place = Place {
                name: member.xml_name,
                namespace: member.xml_namespace,
                timestamp_format: member.timestamp_format,
            };
            match (&member.target.kind, value) {
                (Kind::List(list), Value::List(items)) if member.flattened || list.flattened => {
                    for item in items {
                        let place = Place {
                            timestamp_format: list.member_timestamp_format,
                            ..place
                        };
                        self.element(place, list.member, item)?;
                    }
                }
                (Kind::Map(map), Value::Map(entries)) if member.flattened || map.flattened => {
                    for (key, value) in entries {
                        self.entry(place.name, place.namespace, map, key, value)?;
                    }
                }
                _ => self.element(place, member.target, value)?,
            }
        }
        Ok(())
    }

    fn element(
        &mut self,
        place: Place,
        shape: &'static Shape,
        value: &Value,
    ) -> Result<(), ShapeMismatch> {
        match (&shape.kind, value) {
            (Kind::Structure(structure), Value::Struct(fields)) => {
                self.out.push('<');
                self.out.push_str(place.name);
                if let Some(namespace) = place.namespace {
                    self.attribute("xmlns", namespace);
                }
                self.attributes(structure, fields)?;
                self.out.push('>');
                self.members(structure, fields, None)?;
            }
            (Kind::List(list), Value::List(items)) => {
                self.open(place.name, place.namespace);
                self.items(list, items)?;
            }
            (Kind::Map(map), Value::Map(entries)) => {
                self.open(place.name, place.namespace);
                for (key, value) in entries {
                    self.entry("entry", None, map, key, value)?;
                }
            }
            // A null in a sparse list or map is an empty element.
            (_, Value::Null) => self.open(place.name, place.namespace),
            _ => {
                let text = self.scalar(shape, value, place.timestamp_format)?;
                self.open(place.name, place.namespace);
                escape(&text, &mut self.out);
            }
        }
        self.close(place.name);
        Ok(())
    }

    fn items(&mut self, list: &'static ListShape, items: &[Value]) -> Result<(), ShapeMismatch> {
        let place = Place {
            name: list.member_name.unwrap_or("member"),
            namespace: None,
            timestamp_format: list.member_timestamp_format,
        };
        items
            .iter()
            .try_for_each(|item| self.element(place, list.member, item))
    }

    fn entry(
        &mut self,
        name: &'static str,
        namespace: Option<&'static str>,
        map: &'static MapShape,
        key: &str,
        value: &Value,
    ) -> Result<(), ShapeMismatch> {
        self.open(name, namespace);
        self.text_element(map.key_name.unwrap_or("key"), key);
        let place = Place {
            name: map.value_name.unwrap_or("value"),
            namespace: None,
            timestamp_format: None,
        };
        self.element(place, map.value, value)?;
        self.close(name);
        Ok(())
    }

    fn attributes(
        &mut self,
        structure: &'static StructureShape,
        fields: &Fields,
    ) -> Result<(), ShapeMismatch> {
        for (index, value) in &fields.0 {
            if let Some(member) = structure.members.get(usize::from(*index))
                && member.xml_attribute
            {
                let text = self.scalar(member.target, value, member.timestamp_format)?;
                self.attribute(member.xml_name, &text);
            }
        }
        Ok(())
    }

    fn scalar(
        &self,
        shape: &'static Shape,
        value: &Value,
        format: Option<TimestampFormat>,
    ) -> Result<String, ShapeMismatch> {
        match (&shape.kind, value) {
            (Kind::Timestamp { format: None }, Value::Timestamp(timestamp))
                if self.ec2 && format.is_none() =>
            {
                Ok(timestamp::format_ec2(*timestamp))
            }
            _ => scalar::format(shape, value, format, TimestampFormat::DateTime),
        }
    }
}

#[derive(Clone, Copy)]
struct Place {
    name: &'static str,
    namespace: Option<&'static str>,
    timestamp_format: Option<TimestampFormat>,
}

/// Escapes text for content and attributes. Line ends are escaped because XML parsers would change them; characters
/// that XML 1.0 cannot carry at all become U+FFFD, since one of them would make the whole answer unreadable.
fn escape(text: &str, out: &mut String) {
    for c in text.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&apos;"),
            '\r' | '\n' | '\u{85}' | '\u{2028}' => {
                // Writing to a String cannot fail.
                let _ = write!(out, "&#x{:X};", u32::from(c));
            }
            '\t' => out.push('\t'),
            '\0'..='\u{1f}' | '\u{fffe}' | '\u{ffff}' => out.push('\u{fffd}'),
            c => out.push(c),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn escapes() {
        for (text, want) in [
            ("a<b>&\"c\"", "a&lt;b&gt;&amp;&quot;c&quot;"),
            ("a\r\nb", "a&#xD;&#xA;b"),
            ("nul\0", "nul\u{fffd}"),
            ("한글", "한글"),
        ] {
            let mut out = String::new();
            escape(text, &mut out);
            assert_eq!(out, want);
        }
    }
}
