//! Writes the static tables of `aws_wire::schema`: one `static` per shape and per list of members.
//!
//! Statics may refer to each other in circles, which constants may not.

use std::collections::BTreeMap;
use std::error::Error;
use std::fmt::Write;

use super::ServiceProfile;
use super::model::{Metadata, Model, Operation, Reference, Shape, Type};

/// The static of a shape.
pub fn shape_static(name: &str) -> String {
    format!("S_{name}")
}

pub fn write(
    out: &mut String,
    profile: &ServiceProfile,
    model: &Model,
) -> Result<(), Box<dyn Error>> {
    writeln!(out, "use crate::support::schema::*;")?;
    for (name, shape) in &model.shapes {
        write_shape(out, model, name, shape)?;
    }
    let mut errors = ErrorLists::default();
    let mut operations = String::new();
    let all = model.all_operations();
    for (index, (name, operation)) in all.iter().enumerate() {
        match operation {
            Some(operation) => {
                write_operation(&mut operations, &mut errors, index, name, operation)?;
            }
            None => writeln!(operations, "name_only({name:?}, {index}),")?,
        }
    }
    out.push_str(&errors.code);
    writeln!(
        out,
        "static OPERATIONS: [OperationSchema; {}] = [\n{operations}];",
        all.len()
    )?;
    write_service(out, profile, &model.metadata)
}

fn write_service(
    out: &mut String,
    profile: &ServiceProfile,
    metadata: &Metadata,
) -> Result<(), Box<dyn Error>> {
    let mut protocols = Vec::new();
    let listed = if metadata.protocols.is_empty() {
        std::slice::from_ref(&metadata.protocol)
    } else {
        &metadata.protocols
    };
    for protocol in listed {
        protocols.push(
            match (protocol.as_str(), metadata.json_version.as_deref()) {
                ("json", Some("1.0")) => "Protocol::AwsJson1_0",
                ("json", _) => "Protocol::AwsJson1_1",
                ("query", _) => "Protocol::AwsQuery",
                ("ec2", _) => "Protocol::Ec2Query",
                ("rest-json", _) => "Protocol::RestJson1",
                ("smithy-rpc-v2-cbor", _) => "Protocol::RpcV2Cbor",
                (other, _) => return Err(format!("no protocol {other}").into()),
            },
        );
    }
    let signing_name = metadata
        .signing_name
        .as_ref()
        .unwrap_or(&metadata.endpoint_prefix);
    let xml_namespace = metadata.xml_namespace.as_ref().map_or("", |n| n.uri());
    writeln!(
        out,
        "pub static SCHEMA: ServiceSchema = ServiceSchema {{ name: {:?}, service_id: {:?}, signing_name: {signing_name:?}, \
         api_version: {:?}, target_prefix: {:?}, xml_namespace: {xml_namespace:?}, protocols: &[{}], \
         operations: &OPERATIONS, validation: ValidationStyle::{}, query_compatible: {} }};",
        profile.name,
        metadata.service_id,
        metadata.api_version,
        metadata.target_prefix.as_deref().unwrap_or(""),
        protocols.join(", "),
        profile.validation,
        metadata.aws_query_compatible.is_some(),
    )?;
    Ok(())
}

/// Many operations share one list of errors; each distinct list becomes one static.
#[derive(Default)]
struct ErrorLists {
    known: BTreeMap<Vec<String>, usize>,
    code: String,
}

impl ErrorLists {
    /// The expression of the list for these errors.
    fn expression(&mut self, errors: &[Reference]) -> Result<String, std::fmt::Error> {
        if errors.is_empty() {
            return Ok("&[]".to_owned());
        }
        let names: Vec<String> = errors.iter().map(|e| shape_static(&e.shape)).collect();
        let next = self.known.len();
        let number = *self.known.entry(names.clone()).or_insert(next);
        if number == next {
            let count = names.len();
            let items = names.join(", &");
            writeln!(
                self.code,
                "static E_{number}: [&Shape; {count}] = [&{items}];"
            )?;
        }
        Ok(format!("&E_{number}"))
    }
}

fn write_operation(
    out: &mut String,
    errors: &mut ErrorLists,
    index: usize,
    name: &str,
    operation: &Operation,
) -> Result<(), Box<dyn Error>> {
    let shape = |reference: &Option<Reference>| match reference {
        Some(reference) => format!("Some(&{})", shape_static(&reference.shape)),
        None => "None".to_owned(),
    };
    let wrapper = operation
        .output
        .as_ref()
        .and_then(|output| output.result_wrapper.as_deref());
    writeln!(
        out,
        "OperationSchema {{ name: {name:?}, index: {index}, http_method: {:?}, http_uri: {:?}, http_status: {}, \
         input: {}, output: {}, result_wrapper: {wrapper:?}, errors: {}, modelled: true }},",
        operation.http.method,
        operation.http.request_uri,
        operation.http.response_code.unwrap_or(200),
        shape(&operation.input),
        shape(&operation.output),
        errors.expression(&operation.errors)?,
    )?;
    Ok(())
}

fn write_shape(
    out: &mut String,
    model: &Model,
    name: &str,
    shape: &Shape,
) -> Result<(), Box<dyn Error>> {
    let kind = if shape.is_document() {
        "Kind::Document".to_owned()
    } else {
        match shape.r#type {
            Type::Structure => structure(out, model, name, shape)?,
            Type::List => list(shape)?,
            Type::Map => map(shape)?,
            Type::String => string(shape),
            Type::Integer => format!("Kind::Integer {{ {} }}", range(shape)),
            Type::Long => format!("Kind::Long {{ {} }}", range(shape)),
            Type::Float => format!("Kind::Float {{ {} }}", float_range(shape)),
            Type::Double => format!("Kind::Double {{ {} }}", float_range(shape)),
            Type::Boolean => "Kind::Boolean".to_owned(),
            Type::Blob => format!(
                "Kind::Blob {{ {}, streaming: {} }}",
                range(shape),
                shape.streaming
            ),
            Type::Timestamp => format!(
                "Kind::Timestamp {{ format: {} }}",
                timestamp_format(shape.timestamp_format.as_deref())?
            ),
        }
    };
    writeln!(
        out,
        "pub static {}: Shape = Shape {{ name: {name:?}, kind: {kind} }};",
        shape_static(name)
    )?;
    Ok(())
}

/// Writes the members' static and gives the structure's kind.
fn structure(
    out: &mut String,
    model: &Model,
    name: &str,
    shape: &Shape,
) -> Result<String, Box<dyn Error>> {
    let mut members = String::new();
    for (member_name, member) in &shape.members {
        write_member(&mut members, model, member_name, member, shape)?;
    }
    if !shape.members.is_empty() {
        writeln!(
            out,
            "static M_{name}: [Member; {}] = [\n{members}];",
            shape.members.len()
        )?;
    }
    let members = if shape.members.is_empty() {
        "&[]".to_owned()
    } else {
        format!("&M_{name}")
    };
    let payload = shape
        .payload
        .as_ref()
        .and_then(|payload| shape.members.keys().position(|member| member == payload));
    Ok(format!(
        "Kind::Structure(StructureShape {{ members: {members}, union: {}, error: {}, payload: {payload:?}, \
         xml_name: {:?}, xml_namespace: {:?} }})",
        shape.is_union(),
        error_trait(name, shape),
        shape.location_name,
        shape.xml_namespace.as_ref().map(|n| n.uri()),
    ))
}

fn error_trait(name: &str, shape: &Shape) -> String {
    if !shape.exception {
        return "None".to_owned();
    }
    let error = shape.error.as_ref();
    let code = error.and_then(|e| e.code.as_deref()).unwrap_or(name);
    let default_status = if shape.fault { 500 } else { 400 };
    let status = error
        .and_then(|e| e.http_status_code)
        .unwrap_or(default_status);
    let sender_fault = error.and_then(|e| e.sender_fault).unwrap_or(!shape.fault);
    // In the JSON protocols the type on the wire is the shape's name, whatever the query code is.
    format!(
        "Some(ErrorTrait {{ code: {name:?}, query_code: {code:?}, status: {status}, sender_fault: {sender_fault} }})"
    )
}

fn write_member(
    out: &mut String,
    model: &Model,
    name: &str,
    member: &Reference,
    holder: &Shape,
) -> Result<(), Box<dyn Error>> {
    let target = model.shape(member)?;
    let location_name = member.location_name.as_deref();
    let ec2_name = match (&member.query_name, location_name) {
        (Some(query_name), _) => query_name.clone(),
        (None, Some(location_name)) => super::names::type_name(location_name),
        (None, None) => super::names::type_name(name),
    };
    let mut call = format!(
        "member({name:?}, &{}, {}, {:?}, {ec2_name:?})",
        shape_static(&member.shape),
        holder.required.contains(name),
        location_name.unwrap_or(name),
    );
    if member.flattened || target.flattened {
        call.push_str(".flattened()");
    }
    if member.idempotency_token {
        call.push_str(".idempotency_token()");
    }
    if member.xml_attribute {
        call.push_str(".xml_attribute()");
    }
    if let Some(namespace) = &member.xml_namespace {
        write!(call, ".xml_namespace({:?})", namespace.uri())?;
    }
    if let Some(format) = &member.timestamp_format {
        let format = timestamp_format(Some(format))?;
        write!(call, ".timestamp_format({format})")?;
    }
    if let Some(location) = &member.location {
        let location = match location.as_str() {
            "uri" => match greedy_label(model, location_name.unwrap_or(name)) {
                true => "Location::Uri { greedy: true }",
                false => "Location::Uri { greedy: false }",
            },
            "querystring" if target.r#type == Type::Map => "Location::QueryParams",
            "querystring" => "Location::QueryString",
            "header" => "Location::Header",
            "headers" => "Location::PrefixHeaders",
            "statusCode" => "Location::StatusCode",
            other => return Err(format!("no location {other}").into()),
        };
        write!(call, ".location({location})")?;
    }
    writeln!(out, "{call}.0,")?;
    Ok(())
}

/// Whether some URI template takes that label with its slashes: `/tags/{ResourceArn+}`.
fn greedy_label(model: &Model, label: &str) -> bool {
    let greedy = format!("{{{label}+}}");
    model
        .operations
        .values()
        .any(|operation| operation.http.request_uri.contains(&greedy))
}

fn list(shape: &Shape) -> Result<String, Box<dyn Error>> {
    let member = shape.member.as_ref().ok_or("a list without member")?;
    Ok(format!(
        "Kind::List(ListShape {{ member: &{}, member_name: {:?}, flattened: {}, sparse: false, {}, \
         member_timestamp_format: {} }})",
        shape_static(&member.shape),
        member.location_name,
        shape.flattened,
        range(shape),
        timestamp_format(member.timestamp_format.as_deref())?,
    ))
}

fn map(shape: &Shape) -> Result<String, Box<dyn Error>> {
    let (Some(key), Some(value)) = (&shape.key, &shape.value) else {
        return Err("a map without key or value".into());
    };
    Ok(format!(
        "Kind::Map(MapShape {{ key: &{}, value: &{}, key_name: {:?}, value_name: {:?}, flattened: {}, sparse: false, {} }})",
        shape_static(&key.shape),
        shape_static(&value.shape),
        key.location_name,
        value.location_name,
        shape.flattened,
        range(shape),
    ))
}

fn string(shape: &Shape) -> String {
    format!(
        "Kind::String(StringShape {{ {}, pattern: {:?}, enum_values: &{:?}, json_value: {}, sensitive: {} }})",
        range(shape),
        shape.pattern,
        shape.r#enum,
        shape.jsonvalue,
        shape.sensitive,
    )
}

/// `min` and `max` as fields of integers, lengths and sizes.
fn range(shape: &Shape) -> String {
    // Some models write whole numbers as 1.0.
    let whole = |number: &Option<serde_json::Number>| {
        number
            .as_ref()
            .and_then(|n| n.as_i64().or_else(|| n.as_f64().map(|f| f as i64)))
    };
    format!("min: {:?}, max: {:?}", whole(&shape.min), whole(&shape.max))
}

fn float_range(shape: &Shape) -> String {
    let float = |number: &Option<serde_json::Number>| number.as_ref().and_then(|n| n.as_f64());
    format!("min: {:?}, max: {:?}", float(&shape.min), float(&shape.max))
}

fn timestamp_format(format: Option<&str>) -> Result<&'static str, String> {
    Ok(match format {
        None => "None",
        Some("iso8601") => "Some(TimestampFormat::DateTime)",
        Some("rfc822") => "Some(TimestampFormat::HttpDate)",
        Some("unixTimestamp") => "Some(TimestampFormat::EpochSeconds)",
        Some(other) => return Err(format!("no timestamp format {other}")),
    })
}
