//! awsQuery and ec2Query: form parameters in, XML out.

use bytes::Bytes;
use http::Response;

use super::{EncodeError, ErrorMembers, RequestView, no_input, respond};
use crate::error::ApiError;
use crate::query::{self, BadParameter, Dialect};
use crate::schema::{Kind, OperationSchema, Protocol, ServiceSchema, Shape};
use crate::value::{ShapeMismatch, Value};
use crate::xml::XmlWriter;

const TEXT_XML: &str = "text/xml";
const TEXT_XML_UTF8: &str = "text/xml;charset=UTF-8";
const DECLARATION: &str = "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n";

pub(super) fn decode(
    protocol: Protocol,
    operation: &'static OperationSchema,
    request: &RequestView<'_>,
) -> Result<Value, ApiError> {
    let (Some(shape), Some(params)) = (operation.input, request.params) else {
        return Ok(no_input());
    };
    let dialect = match protocol {
        Protocol::Ec2Query => Dialect::Ec2,
        _ => Dialect::Aws,
    };
    query::decode(params, shape, dialect).map_err(|bad| malformed(dialect, &bad))
}

fn malformed(dialect: Dialect, bad: &BadParameter) -> ApiError {
    match dialect {
        Dialect::Aws => ApiError::client(
            "MalformedInput",
            format!("Parameter {} must be {}", bad.name, bad.wanted),
        ),
        Dialect::Ec2 => ApiError::client(
            "InvalidParameterValue",
            format!(
                "Invalid value for parameter {}: it must be {}",
                bad.name, bad.wanted
            ),
        ),
    }
}

pub(super) fn success_aws(
    service: &'static ServiceSchema,
    operation: &'static OperationSchema,
    output: &Value,
    request_id: &str,
) -> Result<Response<Bytes>, EncodeError> {
    let response = format!("{}Response", operation.name);
    let mut xml = XmlWriter::new(false);
    xml.open(&response, Some(service.xml_namespace));
    if let Some(shape) = operation.output {
        let derived;
        let result = match operation.result_wrapper {
            Some(name) => name,
            None => {
                derived = format!("{}Result", operation.name);
                &derived
            }
        };
        xml.open(result, None);
        write_members(&mut xml, shape, output)?;
        xml.close(result);
    }
    xml.open("ResponseMetadata", None);
    xml.text_element("RequestId", request_id);
    xml.close("ResponseMetadata");
    xml.close(&response);
    Ok(respond(operation.http_status, TEXT_XML, xml.finish()))
}

pub(super) fn success_ec2(
    service: &'static ServiceSchema,
    operation: &'static OperationSchema,
    output: &Value,
    request_id: &str,
) -> Result<Response<Bytes>, EncodeError> {
    let response = format!("{}Response", operation.name);
    let mut xml = XmlWriter::new(true);
    xml.raw(DECLARATION);
    xml.open(&response, Some(service.xml_namespace));
    xml.text_element("requestId", request_id);
    match operation.output {
        Some(shape) => write_members(&mut xml, shape, output)?,
        // EC2 says so for every operation without output (network-and-discovery.md section 1).
        None => xml.text_element("return", "true"),
    }
    xml.close(&response);
    Ok(respond(operation.http_status, TEXT_XML_UTF8, xml.finish()))
}

fn write_members(
    xml: &mut XmlWriter,
    shape: &'static Shape,
    output: &Value,
) -> Result<(), ShapeMismatch> {
    match (&shape.kind, output) {
        (Kind::Structure(structure), Value::Struct(fields)) => xml.members(structure, fields, None),
        _ => Err(ShapeMismatch {
            shape: shape.name,
            expected: "a structure",
        }),
    }
}

pub(super) fn failure_aws(
    service: Option<&'static ServiceSchema>,
    error: &ApiError,
    request_id: &str,
) -> Response<Bytes> {
    let mut xml = XmlWriter::new(false);
    xml.open("ErrorResponse", service.map(|s| s.xml_namespace));
    xml.open("Error", None);
    xml.text_element(
        "Type",
        if error.sender_fault {
            "Sender"
        } else {
            "Receiver"
        },
    );
    write_error(&mut xml, error);
    xml.close("Error");
    xml.text_element("RequestId", request_id);
    xml.close("ErrorResponse");
    respond(error.status, TEXT_XML, xml.finish())
}

pub(super) fn failure_ec2(error: &ApiError, request_id: &str) -> Response<Bytes> {
    let mut xml = XmlWriter::new(true);
    xml.raw(DECLARATION);
    xml.open("Response", None);
    xml.open("Errors", None);
    xml.open("Error", None);
    write_error(&mut xml, error);
    xml.close("Error");
    xml.close("Errors");
    xml.text_element("RequestID", request_id);
    xml.close("Response");
    respond(error.status, TEXT_XML_UTF8, xml.finish())
}

fn write_error(xml: &mut XmlWriter, error: &ApiError) {
    xml.text_element("Code", &error.query_code);
    if !error.message.is_empty() {
        xml.text_element("Message", &error.message);
    }
    let members = ErrorMembers::of(error);
    if let Some((structure, fields)) = members.structure
        && let Err(mismatch) = xml.members(structure, fields, members.message_name())
    {
        tracing::error!(error = error.code.as_ref(), %mismatch, "an error's members do not fit its shape");
    }
}
