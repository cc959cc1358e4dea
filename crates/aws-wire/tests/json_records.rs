//! Generated types as JSON records, alone and inside serde structures.

mod common;

use std::collections::BTreeMap;

use common::{NODES, TEXT, TIME, list, member, required, structure};
use neargate_aws_wire::json::{from_json, serde_as_json, to_json};
use neargate_aws_wire::schema::Shape;
use neargate_aws_wire::value::{Fields, ShapeMismatch, Shaped, Value};
use serde::{Deserialize, Serialize};

static NAMES: Shape = list("Names", &TEXT, None);
static RECORD: Shape = structure(
    "Record",
    &[
        required("name", &TEXT),
        member("at", &TIME),
        member("names", &NAMES),
        member("nodes", &NODES),
    ],
);

/// What the generator would make of `RECORD`.
#[derive(Debug, Clone, PartialEq, Default)]
struct Record {
    name: String,
    at: Option<jiff::Timestamp>,
    names: Option<Vec<String>>,
}

impl Shaped for Record {
    fn shape() -> &'static Shape {
        &RECORD
    }

    fn from_value(value: Value) -> Result<Self, ShapeMismatch> {
        let mismatch = || ShapeMismatch {
            shape: "Record",
            expected: "a record",
        };
        let Value::Struct(fields) = value else {
            return Err(mismatch());
        };
        let mut record = Record::default();
        let mut named = false;
        for field in fields.0 {
            match field {
                (0, Value::String(name)) => {
                    record.name = name;
                    named = true;
                }
                (1, Value::Timestamp(at)) => record.at = Some(at),
                (2, Value::List(names)) => {
                    record.names = Some(
                        names
                            .into_iter()
                            .map(text)
                            .collect::<Option<_>>()
                            .ok_or_else(mismatch)?,
                    );
                }
                _ => return Err(mismatch()),
            }
        }
        if named { Ok(record) } else { Err(mismatch()) }
    }

    fn into_value(self) -> Value {
        let mut fields = Fields::default();
        fields.push(0, Value::String(self.name));
        if let Some(at) = self.at {
            fields.push(1, Value::Timestamp(at));
        }
        if let Some(names) = self.names {
            fields.push(
                2,
                Value::List(names.into_iter().map(Value::String).collect()),
            );
        }
        Value::Struct(fields)
    }
}

fn text(value: Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text),
        _ => None,
    }
}

fn record(name: &str) -> Record {
    Record {
        name: name.to_owned(),
        // More digits than a wire timestamp has: a record keeps microseconds.
        at: Some(jiff::Timestamp::from_microsecond(1_783_015_901_417_123).unwrap()),
        names: Some(vec!["a \"quoted\"\n".to_owned(), "한글".to_owned()]),
    }
}

#[test]
fn records_read_back_as_they_were_written() {
    let written = to_json(record("r")).unwrap();
    assert_eq!(
        String::from_utf8(written.clone()).unwrap(),
        "{\"name\":\"r\",\"at\":1783015901.417123,\"names\":[\"a \\\"quoted\\\"\\n\",\"한글\"]}"
    );
    assert_eq!(from_json::<Record>(&written).unwrap(), record("r"));
}

#[test]
fn foreign_records_are_refused() {
    for (name, text, ok) in [
        ("least", "{\"name\":\"r\"}", true),
        (
            "unknown member of a newer version",
            "{\"name\":\"r\",\"new\":{\"a\":[1]}}",
            true,
        ),
        ("null is absent", "{\"name\":\"r\",\"at\":null}", true),
        ("required member is missing", "{}", false),
        ("wrong type", "{\"name\":1}", false),
        ("no object", "[]", false),
        ("text after it", "{\"name\":\"r\"}x", false),
        ("empty", "", false),
    ] {
        assert_eq!(from_json::<Record>(text.as_bytes()).is_ok(), ok, "{name}");
    }
}

#[derive(Debug, PartialEq, Serialize, Deserialize)]
struct Outer {
    revision: u64,
    #[serde(with = "serde_as_json")]
    one: Record,
    #[serde(with = "serde_as_json", default)]
    maybe: Option<Record>,
    #[serde(with = "serde_as_json")]
    many: Vec<Record>,
    #[serde(with = "serde_as_json")]
    maybe_many: Option<Vec<Record>>,
    #[serde(with = "serde_as_json")]
    by_key: BTreeMap<String, Record>,
}

#[test]
fn generated_types_live_in_serde_structures() {
    for maybe in [None, Some(record("maybe"))] {
        let outer = Outer {
            revision: 7,
            one: record("one"),
            maybe: maybe.clone(),
            many: vec![record("a"), record("b")],
            maybe_many: maybe.map(|record| vec![record]),
            by_key: BTreeMap::from([("k".to_owned(), record("v"))]),
        };
        let text = serde_json::to_string(&outer).unwrap();
        assert_eq!(serde_json::from_str::<Outer>(&text).unwrap(), outer);
        let tree = serde_json::to_value(&outer).unwrap();
        assert_eq!(tree["many"][1]["name"], "b");
        assert_eq!(serde_json::from_value::<Outer>(tree).unwrap(), outer);
    }
}
