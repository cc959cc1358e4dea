//! Shapes of Smithy's JSON AST as leaked schemas.

use neargate_aws_wire::schema::*;
use serde_json::Value as Json;

use super::loader::{Model, leak, local, text};

/// Recursive shapes are copied this many times into themselves, deeper than any test goes; real schemas are cyclic
/// statics, which cannot be made at run time without unsafe code.
const UNROLLED: usize = 4;

pub struct Builder<'m> {
    model: &'m Model,
    protocol: Protocol,
    /// Shapes around the current one.
    path: Vec<String>,
}

impl<'m> Builder<'m> {
    pub fn new(model: &'m Model, protocol: Protocol) -> Self {
        Self {
            model,
            protocol,
            path: Vec::new(),
        }
    }

    /// `None`, if the shape is inside itself often enough.
    /// The shape that a member has: its target, with the constraints of the member in place of the target's own.
    fn target(&mut self, member: &Json) -> Option<&'static Shape> {
        let id = member["target"].as_str().expect("members have targets");
        self.constrained(id, &member["traits"])
    }

    pub fn shape(&mut self, id: &str) -> Option<&'static Shape> {
        self.constrained(id, &Json::Null)
    }

    fn constrained(&mut self, id: &str, constraints: &Json) -> Option<&'static Shape> {
        if self.path.iter().filter(|outer| *outer == id).count() > UNROLLED {
            return None;
        }
        self.path.push(id.to_owned());
        let kind = self.kind(id, constraints);
        self.path.pop();
        Some(leak(Shape {
            name: text(local(id)),
            kind: kind?,
        }))
    }

    fn kind(&mut self, id: &str, constraints: &Json) -> Option<Kind> {
        let prelude = Json::Null;
        let model = self.model;
        let shape = match model.shape(id) {
            Json::Null => &prelude,
            shape => shape,
        };
        let traits = &shape["traits"];
        let kind = shape["type"].as_str().unwrap_or_else(|| prelude_type(id));
        let constraint = |name: &str| match &constraints[name] {
            Json::Null => &traits[name],
            own => own,
        };
        let bound = |name: &str, side: &str| constraint(name)[side].as_u64();
        let (min, max) = (
            bound("smithy.api#length", "min"),
            bound("smithy.api#length", "max"),
        );
        let range = |side: &str| constraint("smithy.api#range")[side].as_f64();
        Some(match kind {
            "structure" | "union" => Kind::Structure(self.structure(id, shape, kind == "union")),
            "list" | "set" => {
                let member = &shape["member"];
                let member_traits = &member["traits"];
                Kind::List(ListShape {
                    member: self.target(member)?,
                    member_name: member_traits["smithy.api#xmlName"].as_str().map(text),
                    flattened: false,
                    sparse: !traits["smithy.api#sparse"].is_null(),
                    min,
                    max,
                    member_timestamp_format: timestamp_format(member_traits),
                })
            }
            "map" => Kind::Map(MapShape {
                key: self.target(&shape["key"])?,
                value: self.target(&shape["value"])?,
                key_name: shape["key"]["traits"]["smithy.api#xmlName"]
                    .as_str()
                    .map(text),
                value_name: shape["value"]["traits"]["smithy.api#xmlName"]
                    .as_str()
                    .map(text),
                flattened: false,
                sparse: !traits["smithy.api#sparse"].is_null(),
                min,
                max,
            }),
            "string" | "enum" => Kind::String(StringShape {
                min,
                max,
                pattern: constraint("smithy.api#pattern").as_str().map(text),
                enum_values: enum_values(shape),
                json_value: traits["smithy.api#mediaType"] == "application/json",
                sensitive: !traits["smithy.api#sensitive"].is_null(),
            }),
            "byte" | "short" | "integer" | "intEnum" => Kind::Integer {
                min: range("min").map(|n| n as i64),
                max: range("max").map(|n| n as i64),
            },
            "long" => Kind::Long {
                min: range("min").map(|n| n as i64),
                max: range("max").map(|n| n as i64),
            },
            "float" => Kind::Float {
                min: range("min"),
                max: range("max"),
            },
            "double" => Kind::Double {
                min: range("min"),
                max: range("max"),
            },
            "boolean" => Kind::Boolean,
            "blob" => Kind::Blob {
                min,
                max,
                streaming: !traits["smithy.api#streaming"].is_null(),
            },
            "timestamp" => Kind::Timestamp {
                format: timestamp_format(traits),
            },
            "document" => Kind::Document,
            other => panic!("{id} is of type {other}, which no protocol here has"),
        })
    }

    fn structure(&mut self, id: &str, shape: &Json, union: bool) -> StructureShape {
        let empty = serde_json::Map::new();
        let mut members = Vec::new();
        let mut payload = None;
        for (name, member) in shape["members"].as_object().unwrap_or(&empty) {
            let Some(target) = self.target(member) else {
                continue;
            };
            if !member["traits"]["smithy.api#httpPayload"].is_null() {
                payload = Some(members.len());
            }
            members.push(self.member(name, member, target));
        }
        let traits = &shape["traits"];
        StructureShape {
            members: Vec::leak(members),
            union,
            error: traits["smithy.api#error"]
                .as_str()
                .map(|fault| self.error(id, traits, fault)),
            payload,
            xml_name: traits["smithy.api#xmlName"].as_str().map(text),
            xml_namespace: traits["smithy.api#xmlNamespace"]["uri"].as_str().map(text),
        }
    }

    fn error(&self, id: &str, traits: &Json, fault: &str) -> ErrorTrait {
        let query = &traits["aws.protocols#awsQueryError"];
        let code = match self.protocol {
            // These two send the namespace too.
            Protocol::AwsJson1_0 | Protocol::RpcV2Cbor => text(id),
            _ => text(local(id)),
        };
        let http = match self.protocol {
            Protocol::AwsQuery => query["httpResponseCode"].as_u64(),
            _ => None,
        };
        let sender_fault = fault == "client";
        let default = if sender_fault { 400 } else { 500 };
        ErrorTrait {
            code,
            query_code: text(query["code"].as_str().unwrap_or(local(id))),
            status: http
                .or(traits["smithy.api#httpError"].as_u64())
                .unwrap_or(default) as u16,
            sender_fault,
        }
    }

    fn member(&self, name: &str, member: &Json, target: &'static Shape) -> Member {
        let traits = &member["traits"];
        let get = |id: &str| traits[id].as_str();
        let (location, wire_name) = if !traits["smithy.api#httpLabel"].is_null() {
            (Location::Uri { greedy: false }, name)
        } else if let Some(key) = get("smithy.api#httpQuery") {
            (Location::QueryString, key)
        } else if !traits["smithy.api#httpQueryParams"].is_null() {
            (Location::QueryParams, name)
        } else if let Some(header) = get("smithy.api#httpHeader") {
            (Location::Header, header)
        } else if let Some(prefix) = get("smithy.api#httpPrefixHeaders") {
            (Location::PrefixHeaders, prefix)
        } else if !traits["smithy.api#httpResponseCode"].is_null() {
            (Location::StatusCode, name)
        } else {
            (Location::Body, get("smithy.api#jsonName").unwrap_or(name))
        };
        let rest = self.protocol == Protocol::RestJson1;
        let xml_name = get("smithy.api#xmlName").unwrap_or(name);
        let ec2_name = match get("aws.protocols#ec2QueryName") {
            Some(name) => name.to_owned(),
            None => xml_name[..1].to_uppercase() + &xml_name[1..],
        };
        Member {
            name: text(name),
            target,
            required: !traits["smithy.api#required"].is_null(),
            wire_name: text(if rest { wire_name } else { name }),
            query_name: text(xml_name),
            ec2_name: text(&ec2_name),
            xml_name: text(xml_name),
            xml_attribute: !traits["smithy.api#xmlAttribute"].is_null(),
            xml_namespace: traits["smithy.api#xmlNamespace"]["uri"].as_str().map(text),
            flattened: !traits["smithy.api#xmlFlattened"].is_null(),
            location: if rest { location } else { Location::Body },
            timestamp_format: timestamp_format(traits),
            idempotency_token: !traits["smithy.api#idempotencyToken"].is_null(),
            default: default(&traits["smithy.api#default"], target),
        }
    }
}

fn default(value: &Json, target: &'static Shape) -> Option<DefaultValue> {
    Some(match (&target.kind, value) {
        (_, Json::Null) => return None,
        (Kind::Timestamp { .. } | Kind::Document | Kind::Blob { .. }, other) => {
            DefaultValue::Json(text(&other.to_string()))
        }
        (_, Json::Bool(value)) => DefaultValue::Bool(*value),
        (_, Json::String(value)) => DefaultValue::String(text(value)),
        (_, Json::Array(_)) => DefaultValue::EmptyList,
        (_, Json::Object(_)) => DefaultValue::EmptyMap,
        (_, Json::Number(number)) => match number.as_i64() {
            Some(number) => DefaultValue::Int(number),
            None => DefaultValue::Double(number.as_f64().expect("a number")),
        },
    })
}

fn enum_values(shape: &Json) -> &'static [&'static str] {
    // The trait of Smithy 1.0, on plain strings.
    if let Some(definitions) = shape["traits"]["smithy.api#enum"].as_array() {
        let values = definitions
            .iter()
            .filter_map(|d| d["value"].as_str().map(text))
            .collect();
        return Vec::leak(values);
    }
    let Some(members) = shape["members"]
        .as_object()
        .filter(|_| shape["type"] == "enum")
    else {
        return &[];
    };
    let values: Vec<&'static str> = members
        .iter()
        .map(|(name, member)| {
            text(
                member["traits"]["smithy.api#enumValue"]
                    .as_str()
                    .unwrap_or(name),
            )
        })
        .collect();
    Vec::leak(values)
}

fn timestamp_format(traits: &Json) -> Option<TimestampFormat> {
    Some(match traits["smithy.api#timestampFormat"].as_str()? {
        "date-time" => TimestampFormat::DateTime,
        "http-date" => TimestampFormat::HttpDate,
        _ => TimestampFormat::EpochSeconds,
    })
}

/// Type of a shape of Smithy's prelude, by its name: `smithy.api#PrimitiveInteger`.
fn prelude_type(id: &str) -> &'static str {
    match local(id).trim_start_matches("Primitive") {
        "String" => "string",
        "Boolean" => "boolean",
        "Byte" => "byte",
        "Short" => "short",
        "Integer" => "integer",
        "Long" => "long",
        "Float" => "float",
        "Double" => "double",
        "Blob" => "blob",
        "Timestamp" => "timestamp",
        "Document" => "document",
        "Unit" => "structure",
        _ => panic!("{id} is not in the model"),
    }
}
