//! Where the fields of a head go: bytes for HTTP/1.1, a map for HTTP/2.

use http::{HeaderMap, HeaderName, HeaderValue};

/// Takes the fields of a head one after the other.
pub trait FieldSink {
    /// Whether fields about the connection and the transfer are wanted; HTTP/2 has none.
    const HTTP1: bool;

    /// A field whose value is all of `parts`, one after the other.
    fn field(&mut self, name: &str, parts: &[&[u8]]);
}

impl FieldSink for Vec<u8> {
    const HTTP1: bool = true;

    fn field(&mut self, name: &str, parts: &[&[u8]]) {
        self.extend_from_slice(name.as_bytes());
        self.extend_from_slice(b": ");
        for part in parts {
            self.extend_from_slice(part);
        }
        self.extend_from_slice(b"\r\n");
    }
}

/// Leaves out what HTTP/2 cannot carry.
impl FieldSink for HeaderMap {
    const HTTP1: bool = false;

    fn field(&mut self, name: &str, parts: &[&[u8]]) {
        let Ok(name) = HeaderName::from_bytes(name.as_bytes()) else {
            return;
        };
        let value = match parts {
            [only] => HeaderValue::from_bytes(only),
            _ => HeaderValue::from_bytes(&parts.concat()),
        };
        if let Ok(value) = value {
            self.append(name, value);
        }
    }
}
