//! Bodies compared by what they mean, not byte by byte.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD_NO_PAD;
use quick_xml::events::Event;
use serde_json::Value as Json;

/// Compares a body with the expected one of that media type.
pub fn body(media_type: &str, want: &str, got: &[u8]) -> Result<(), String> {
    let (want, got) = if media_type.contains("json") {
        (json(want.as_bytes())?, json(got)?)
    } else if media_type.contains("xml") {
        let (mut want, mut got) = (xml(want)?, xml(&String::from_utf8_lossy(got))?);
        got.keep_optional_parts_of(&want);
        want.drop_inner_namespaces();
        (canonical_xml(&want), canonical_xml(&got))
    } else if media_type.contains("cbor") {
        (cbor(&base64(want)?)?, cbor(got)?)
    } else {
        (want.to_owned(), String::from_utf8_lossy(got).into_owned())
    };
    if want == got {
        Ok(())
    } else {
        Err(format!("body\n  want {want}\n  got  {got}"))
    }
}

/// Some cases have padding and some have none.
pub fn base64(text: &str) -> Result<Vec<u8>, String> {
    STANDARD_NO_PAD
        .decode(text.trim_end_matches('='))
        .map_err(|error| error.to_string())
}

fn json(text: &[u8]) -> Result<String, String> {
    if text.is_empty() {
        return Ok("nothing".to_owned());
    }
    let json: Json = serde_json::from_slice(text).map_err(|error| error.to_string())?;
    Ok(canonical_json(&json))
}

fn canonical_json(json: &Json) -> String {
    match json {
        Json::Number(number) => format!("{:?}", number.as_f64()),
        Json::Array(items) => {
            format!(
                "[{}]",
                items
                    .iter()
                    .map(canonical_json)
                    .collect::<Vec<_>>()
                    .join(", ")
            )
        }
        Json::Object(entries) => {
            let mut entries: Vec<String> = entries
                .iter()
                .map(|(key, value)| format!("{key:?}: {}", canonical_json(value)))
                .collect();
            entries.sort();
            format!("{{{}}}", entries.join(", "))
        }
        other => other.to_string(),
    }
}

fn cbor(bytes: &[u8]) -> Result<String, String> {
    if bytes.is_empty() {
        return Ok("nothing".to_owned());
    }
    let value: ciborium::Value = ciborium::from_reader(bytes).map_err(|error| error.to_string())?;
    Ok(canonical_cbor(&value))
}

fn canonical_cbor(value: &ciborium::Value) -> String {
    use ciborium::Value;
    match value {
        // Integers and floats of any width stand for the same number.
        Value::Integer(number) => format!("{:?}", i128::from(*number) as f64),
        Value::Float(number) => format!("{:?}", number),
        Value::Tag(tag, inner) => format!("{tag}({})", canonical_cbor(inner)),
        Value::Array(items) => {
            format!(
                "[{}]",
                items
                    .iter()
                    .map(canonical_cbor)
                    .collect::<Vec<_>>()
                    .join(", ")
            )
        }
        Value::Map(entries) => {
            let mut entries: Vec<String> = entries
                .iter()
                .map(|(key, value)| format!("{key:?}: {}", canonical_cbor(value)))
                .collect();
            entries.sort();
            format!("{{{}}}", entries.join(", "))
        }
        other => format!("{other:?}"),
    }
}

#[derive(Default)]
struct Element {
    name: String,
    attributes: Vec<String>,
    text: String,
    children: Vec<Element>,
}

fn xml(text: &str) -> Result<Element, String> {
    let mut reader = quick_xml::Reader::from_str(text);
    let mut stack = vec![Element::default()];
    loop {
        let event = reader.read_event().map_err(|error| error.to_string())?;
        let top = stack.last_mut().ok_or("more ends than starts")?;
        match event {
            Event::Start(start) => {
                let element = element(&start)?;
                stack.push(element);
            }
            Event::Empty(start) => top.children.push(element(&start)?),
            Event::End(_) => {
                let done = stack.pop().ok_or("more ends than starts")?;
                stack
                    .last_mut()
                    .ok_or("more ends than starts")?
                    .children
                    .push(done);
            }
            Event::Text(part) => top.text.push_str(&part),
            Event::GeneralRef(entity) => {
                let character = match entity.resolve_char_ref().map_err(|e| e.to_string())? {
                    Some(character) => character,
                    None => match &*entity {
                        "amp" => '&',
                        "lt" => '<',
                        "gt" => '>',
                        "quot" => '"',
                        "apos" => '\'',
                        other => return Err(format!("unknown entity {other}")),
                    },
                };
                top.text.push(character);
            }
            Event::Eof => break,
            _ => {}
        }
    }
    let mut root = stack.pop().ok_or("no root")?;
    root.children
        .pop()
        .ok_or_else(|| "no root element".to_owned())
}

impl Element {
    /// Cases leave out what every answer has: the request id, and the namespace of an error's root.
    fn keep_optional_parts_of(&mut self, want: &Element) {
        let has = |name: &str| want.children.iter().any(|child| child.name == name);
        let optional = ["ResponseMetadata", "requestId"];
        self.children
            .retain(|child| !optional.contains(&child.name.as_str()) || has(&child.name));
        if want.attributes.is_empty() && want.name == "ErrorResponse" {
            self.attributes.clear();
        }
        self.drop_inner_namespaces();
    }

    /// Schemas have no namespaces of list items, map keys and values, and no prefixes: none of our models does.
    fn drop_inner_namespaces(&mut self) {
        for child in &mut self.children {
            child
                .attributes
                .retain(|attribute| !attribute.starts_with("xmlns"));
            child.drop_inner_namespaces();
        }
    }
}

fn element(start: &quick_xml::events::BytesStart<'_>) -> Result<Element, String> {
    let mut attributes = Vec::new();
    for attribute in start.attributes() {
        let attribute = attribute.map_err(|error| error.to_string())?;
        attributes.push(format!("{}={}", attribute.key.as_ref(), attribute.value));
    }
    attributes.sort();
    let name = start.name().as_ref().to_owned();
    Ok(Element {
        name,
        attributes,
        ..Element::default()
    })
}

/// Members may come in any order, items of one list (elements of one name) may not, map entries may.
fn canonical_xml(element: &Element) -> String {
    // Maps are entries of two children, whatever their names are.
    let is_entry = |e: &Element| {
        let key = e.children.first().map(|key| key.name.as_str());
        e.children.len() == 2 && matches!(key, Some("key" | "K" | "Attribute"))
    };
    let mut children: Vec<(String, String, String)> = element
        .children
        .iter()
        .map(|child| {
            let text = canonical_xml(child);
            let order = if is_entry(child) {
                text.clone()
            } else {
                String::new()
            };
            (child.name.clone(), order, text)
        })
        .collect();
    children.sort_by(|a, b| (&a.0, &a.1).cmp(&(&b.0, &b.1)));
    let children: String = children.into_iter().map(|(_, _, text)| text).collect();
    // Space between elements means nothing.
    let text = if element.children.is_empty() {
        // EC2 sends milliseconds even if there are none, which says the same as the case's text.
        element.text.replace(".000Z", "Z")
    } else {
        String::new()
    };
    format!(
        "<{} {:?}>{text:?}{children}</>",
        element.name, element.attributes
    )
}
