//! Errors of restXml. No service that speaks it is served, but those who ask for one shall be able to read the answer.

use bytes::Bytes;
use http::Response;

use super::respond;
use crate::error::ApiError;
use crate::xml::XmlWriter;

const APPLICATION_XML: &str = "application/xml";
const DECLARATION: &str = "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n";

/// What stands around an error.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum RestXml {
    /// S3: nothing.
    Bare,
    /// Route 53, CloudFront: an `ErrorResponse`.
    Wrapped,
}

pub(crate) fn failure(form: RestXml, error: &ApiError, request_id: &str) -> Response<Bytes> {
    let mut xml = XmlWriter::new(false);
    xml.raw(DECLARATION);
    if form == RestXml::Wrapped {
        xml.open("ErrorResponse", None);
    }
    xml.open("Error", None);
    if form == RestXml::Wrapped {
        let fault = if error.sender_fault {
            "Sender"
        } else {
            "Receiver"
        };
        xml.text_element("Type", fault);
    }
    xml.text_element("Code", &error.query_code);
    xml.text_element("Message", &error.message);
    if form == RestXml::Bare {
        xml.text_element("RequestId", request_id);
    }
    xml.close("Error");
    if form == RestXml::Wrapped {
        xml.text_element("RequestId", request_id);
        xml.close("ErrorResponse");
    }
    let mut response = respond(error.status, APPLICATION_XML, xml.finish());
    super::add_request_id(&mut response, request_id);
    response
}
