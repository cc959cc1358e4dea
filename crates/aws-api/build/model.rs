//! The trimmed model as it is in `models/<service>.json`: botocore's form without the prose.

use std::collections::{BTreeMap, BTreeSet};

use serde::Deserialize;
use serde_json::{Number, Value};

#[derive(Debug, Deserialize)]
pub struct Model {
    pub metadata: Metadata,
    /// Operations whose shapes were not taken over.
    pub names_only: Vec<String>,
    pub operations: BTreeMap<String, Operation>,
    pub shapes: BTreeMap<String, Shape>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Metadata {
    pub api_version: String,
    #[serde(default)]
    pub aws_query_compatible: Option<Value>,
    pub endpoint_prefix: String,
    pub json_version: Option<String>,
    pub protocol: String,
    #[serde(default)]
    pub protocols: Vec<String>,
    pub service_id: String,
    pub signing_name: Option<String>,
    pub target_prefix: Option<String>,
    pub xml_namespace: Option<XmlNamespace>,
}

/// botocore writes a plain URI for services and an object for members.
#[derive(Debug, Deserialize)]
#[serde(untagged)]
pub enum XmlNamespace {
    Uri(String),
    Object { uri: String },
}

impl XmlNamespace {
    pub fn uri(&self) -> &str {
        match self {
            Self::Uri(uri) | Self::Object { uri } => uri,
        }
    }
}

#[derive(Debug, Deserialize)]
pub struct Operation {
    pub http: Http,
    pub input: Option<Reference>,
    pub output: Option<Reference>,
    #[serde(default)]
    pub errors: Vec<Reference>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Http {
    pub method: String,
    pub request_uri: String,
    pub response_code: Option<u16>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Type {
    Structure,
    List,
    Map,
    String,
    Integer,
    Long,
    Float,
    Double,
    Boolean,
    Blob,
    Timestamp,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Shape {
    pub r#type: Type,
    #[serde(default)]
    pub members: BTreeMap<String, Reference>,
    #[serde(default)]
    pub required: BTreeSet<String>,
    pub member: Option<Reference>,
    pub key: Option<Reference>,
    pub value: Option<Reference>,
    #[serde(default)]
    pub r#enum: Vec<String>,
    pub min: Option<Number>,
    pub max: Option<Number>,
    pub pattern: Option<String>,
    #[serde(default)]
    pub sensitive: bool,
    #[serde(default)]
    pub flattened: bool,
    #[serde(default)]
    pub document: bool,
    #[serde(default)]
    pub union: bool,
    #[serde(default)]
    pub eventstream: bool,
    #[serde(default)]
    pub exception: bool,
    #[serde(default)]
    pub fault: bool,
    pub error: Option<ErrorCode>,
    pub payload: Option<String>,
    pub location_name: Option<String>,
    pub xml_namespace: Option<XmlNamespace>,
    pub timestamp_format: Option<String>,
    #[serde(default)]
    pub streaming: bool,
    #[serde(default)]
    pub jsonvalue: bool,
}

impl Shape {
    /// A structure of which exactly one member is set; each event of an event stream is one.
    pub fn is_union(&self) -> bool {
        self.union || self.eventstream
    }

    pub fn is_document(&self) -> bool {
        self.document
    }

    pub fn is_enum(&self) -> bool {
        self.r#type == Type::String && !self.r#enum.is_empty()
    }
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ErrorCode {
    pub code: Option<String>,
    pub http_status_code: Option<u16>,
    pub sender_fault: Option<bool>,
}

/// A use of a shape, with what the place of use says about the wire.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Reference {
    pub shape: String,
    pub location: Option<String>,
    pub location_name: Option<String>,
    pub query_name: Option<String>,
    #[serde(default)]
    pub flattened: bool,
    pub xml_namespace: Option<XmlNamespace>,
    #[serde(default)]
    pub xml_attribute: bool,
    pub timestamp_format: Option<String>,
    #[serde(default)]
    pub idempotency_token: bool,
    pub result_wrapper: Option<String>,
}

impl Model {
    pub fn shape(&self, reference: &Reference) -> Result<&Shape, String> {
        self.shapes
            .get(&reference.shape)
            .ok_or_else(|| format!("shape {} is not in the model", reference.shape))
    }

    /// All operations with their shapes where they were taken over, in the order of their names.
    pub fn all_operations(&self) -> BTreeMap<&str, Option<&Operation>> {
        let named = self.names_only.iter().map(|name| (name.as_str(), None));
        let modelled = self
            .operations
            .iter()
            .map(|(name, operation)| (name.as_str(), Some(operation)));
        named.chain(modelled).collect()
    }

    /// Whether a structure holds `target` by value, directly or through other structures. Such members are boxed.
    pub fn holds_by_value(&self, holder: &str, target: &str) -> bool {
        let mut pending = vec![holder];
        let mut seen = BTreeSet::new();
        while let Some(name) = pending.pop() {
            if !seen.insert(name) {
                continue;
            }
            let Some(shape) = self.shapes.get(name) else {
                continue;
            };
            if shape.is_document() {
                continue;
            }
            for member in shape.members.values() {
                if member.shape == target {
                    return true;
                }
                pending.push(&member.shape);
            }
        }
        false
    }
}
