//! A YAML or JSON text as a small tree, under limits. What the keys mean is for others.
//!
//! YAML is read event by event, so that anchors and aliases are refused where they stand and nothing is ever copied, and
//! so that what is too deep is given up at once. JSON is read as JSON where it is valid: YAML takes most of it, but
//! neither tabs everywhere nor surrogate pairs.

use std::collections::BTreeSet;
use std::fmt;

use saphyr_parser::{Event, Parser, ScalarStyle};
use serde::de::{Deserialize, Deserializer, MapAccess, SeqAccess, Visitor};

/// Levels of lists and maps; the deepest property of an AppSpec is at 9.
pub const MAX_DEPTH: usize = 16;

/// Numbers and booleans are kept as they were written: `8080` and `"8080"` mean the same in an AppSpec.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Node {
    Null,
    Scalar(String),
    List(Vec<Node>),
    Map(Vec<(String, Node)>),
}

/// Why a text is no document, for the caller.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Malformed(pub String);

/// The only document of a text.
pub fn parse(text: &str) -> Result<Node, Malformed> {
    if text.trim_start().starts_with('{')
        && let Ok(JsonNode(node)) = serde_json::from_str(text)
    {
        return check_json(node);
    }
    parse_yaml(text)
}

/// What is too deep for us but not for serde_json, and keys that differ in case only.
fn check_json(node: Node) -> Result<Node, Malformed> {
    let mut level = vec![&node];
    for _ in 0..=MAX_DEPTH {
        let mut next = Vec::new();
        for node in level {
            match node {
                Node::Null | Node::Scalar(_) => {}
                Node::List(items) => next.extend(items),
                Node::Map(entries) => {
                    let mut keys = Keys::default();
                    for (key, value) in entries {
                        keys.add(key)?;
                        next.push(value);
                    }
                }
            }
        }
        if next.is_empty() {
            return Ok(node);
        }
        level = next;
    }
    Err(too_deep())
}

fn parse_yaml(text: &str) -> Result<Node, Malformed> {
    let mut builder = Builder::default();
    for event in Parser::new_from_str(text.trim_start_matches('\u{feff}')) {
        let (event, _) = event.map_err(|error| Malformed(error.to_string()))?;
        builder.take(event)?;
    }
    Ok(builder.root.unwrap_or(Node::Null))
}

/// Keys of one map. They are read without regard to case, so two that differ in case only are the same key twice.
#[derive(Default)]
struct Keys(BTreeSet<String>);

impl Keys {
    fn add(&mut self, key: &str) -> Result<(), Malformed> {
        if self.0.insert(key.to_ascii_lowercase()) {
            return Ok(());
        }
        Err(Malformed(format!("The key {key} is given twice.")))
    }
}

#[derive(Default)]
struct Builder {
    root: Option<Node>,
    documents: usize,
    open: Vec<Open>,
}

/// A list or map that has not ended.
enum Open {
    List(Vec<Node>),
    Map {
        entries: Vec<(String, Node)>,
        keys: Keys,
        /// A key that waits for its value.
        key: Option<String>,
    },
}

impl Builder {
    fn take(&mut self, event: Event<'_>) -> Result<(), Malformed> {
        match event {
            Event::Nothing | Event::StreamStart | Event::StreamEnd | Event::DocumentEnd => Ok(()),
            Event::DocumentStart(_) => {
                self.documents += 1;
                match self.documents {
                    1 => Ok(()),
                    _ => Err(Malformed("There is more than one document.".to_owned())),
                }
            }
            Event::Alias(_) => Err(no_anchors()),
            Event::Scalar(text, style, anchor, _) => {
                check_anchor(anchor)?;
                let node = match style == ScalarStyle::Plain && is_null(&text) {
                    true => Node::Null,
                    false => Node::Scalar(text.into_owned()),
                };
                self.add(node)
            }
            Event::SequenceStart(anchor, _) => {
                check_anchor(anchor)?;
                self.begin(Open::List(Vec::new()))
            }
            Event::MappingStart(anchor, _) => {
                check_anchor(anchor)?;
                self.begin(Open::Map {
                    entries: Vec::new(),
                    keys: Keys::default(),
                    key: None,
                })
            }
            Event::SequenceEnd | Event::MappingEnd => self.end(),
        }
    }

    fn begin(&mut self, open: Open) -> Result<(), Malformed> {
        if self.open.len() == MAX_DEPTH {
            return Err(too_deep());
        }
        self.open.push(open);
        Ok(())
    }

    fn end(&mut self) -> Result<(), Malformed> {
        match self.open.pop() {
            Some(Open::List(items)) => self.add(Node::List(items)),
            Some(Open::Map { entries, .. }) => self.add(Node::Map(entries)),
            None => Ok(()),
        }
    }

    fn add(&mut self, node: Node) -> Result<(), Malformed> {
        match self.open.last_mut() {
            None => self.root = Some(node),
            Some(Open::List(items)) => items.push(node),
            Some(Open::Map { entries, keys, key }) => match (key.take(), node) {
                (Some(key), value) => entries.push((key, value)),
                (None, Node::Scalar(text)) => {
                    keys.add(&text)?;
                    *key = Some(text);
                }
                (None, _) => return Err(Malformed("A key is not a text.".to_owned())),
            },
        }
        Ok(())
    }
}

/// Plain scalars that mean nothing. Source: YAML 1.2.2, "10.3.2. Tag Resolution".
fn is_null(text: &str) -> bool {
    matches!(text, "" | "~" | "null" | "Null" | "NULL")
}

fn check_anchor(anchor: usize) -> Result<(), Malformed> {
    match anchor {
        0 => Ok(()),
        _ => Err(no_anchors()),
    }
}

fn no_anchors() -> Malformed {
    Malformed("Anchors and aliases are not allowed.".to_owned())
}

fn too_deep() -> Malformed {
    Malformed(format!(
        "Lists and maps are nested more than {MAX_DEPTH} levels deep."
    ))
}

struct JsonNode(Node);

impl<'de> Deserialize<'de> for JsonNode {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(JsonVisitor).map(Self)
    }
}

struct JsonVisitor;

impl<'de> Visitor<'de> for JsonVisitor {
    type Value = Node;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON")
    }

    fn visit_unit<E>(self) -> Result<Node, E> {
        Ok(Node::Null)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Node, E> {
        Ok(Node::Scalar(value.to_string()))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Node, E> {
        Ok(Node::Scalar(value.to_string()))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Node, E> {
        Ok(Node::Scalar(value.to_string()))
    }

    fn visit_f64<E>(self, value: f64) -> Result<Node, E> {
        Ok(Node::Scalar(value.to_string()))
    }

    fn visit_str<E>(self, value: &str) -> Result<Node, E> {
        Ok(Node::Scalar(value.to_owned()))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut access: A) -> Result<Node, A::Error> {
        let mut items = Vec::new();
        while let Some(JsonNode(item)) = access.next_element()? {
            items.push(item);
        }
        Ok(Node::List(items))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut access: A) -> Result<Node, A::Error> {
        let mut entries = Vec::new();
        while let Some((key, JsonNode(value))) = access.next_entry::<String, _>()? {
            entries.push((key, value));
        }
        Ok(Node::Map(entries))
    }
}
