//! Redirect actions: the Location that a request is sent to.

use super::RequestView;
use crate::table::rule::status;
use neargate_lb_api as api;

/// Longest Location. AWS answers 507 beyond it.
pub const MAX_LOCATION_BYTES: usize = 8 * 1024;

/// A redirect with its templates taken apart.
#[derive(Debug)]
pub struct Redirect {
    pub status: u16,
    protocol: Template,
    host: Template,
    port: Template,
    path: Template,
    query: Template,
}

/// The Location would be longer than 8K: 507.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the Location of the redirect is longer than {MAX_LOCATION_BYTES} bytes")]
pub struct LocationTooLong;

type Template = Vec<Piece>;

#[derive(Clone, Debug, PartialEq, Eq)]
enum Piece {
    Text(String),
    Protocol,
    Host,
    Port,
    Path,
    Query,
}

impl Redirect {
    pub fn compile(redirect: &api::Redirect) -> Result<Self, String> {
        let template =
            |text: &str, default: &str| template(if text.is_empty() { default } else { text });
        Ok(Self {
            status: status(redirect.status_code)?,
            protocol: template(&redirect.protocol, "#{protocol}"),
            host: template(&redirect.host, "#{host}"),
            port: template(&redirect.port, "#{port}"),
            path: template(&redirect.path, "/#{path}"),
            // An empty query means to drop it: AWS's default is the placeholder, spelled out by the control plane.
            query: self::template(&redirect.query),
        })
    }

    /// The absolute URL. AWS writes the port always, the protocol's default too: `https://host:443/`.
    pub fn location(&self, request: &RequestView<'_>) -> Result<String, LocationTooLong> {
        let mut protocol = String::new();
        self.expand(&self.protocol, request, &mut protocol);
        protocol.make_ascii_lowercase();
        let mut location = protocol;
        location.push_str("://");
        self.expand(&self.host, request, &mut location);
        location.push(':');
        self.expand(&self.port, request, &mut location);
        let path_at = location.len();
        self.expand(&self.path, request, &mut location);
        if !location[path_at..].starts_with('/') {
            location.insert(path_at, '/');
        }
        let query_at = location.len();
        self.expand(&self.query, request, &mut location);
        if location.len() > query_at {
            location.insert(query_at, '?');
        }
        // What stood in the request is not trusted inside a header; a parser that let it through does not matter here.
        location.retain(|c| !c.is_control());
        match location.len() > MAX_LOCATION_BYTES {
            true => Err(LocationTooLong),
            false => Ok(location),
        }
    }

    fn expand(&self, template: &Template, request: &RequestView<'_>, out: &mut String) {
        use std::fmt::Write;
        for piece in template {
            match piece {
                Piece::Text(text) => out.push_str(text),
                Piece::Protocol => out.push_str(request.scheme.as_str()),
                Piece::Host => out.push_str(request.host_name()),
                Piece::Port => {
                    // Writing to a String cannot fail.
                    let _ = write!(out, "{}", request.listener_port);
                }
                Piece::Path => out.push_str(request.path.strip_prefix('/').unwrap_or(request.path)),
                Piece::Query => out.push_str(request.query.unwrap_or_default()),
            }
        }
    }
}

fn template(text: &str) -> Template {
    let mut pieces = Vec::new();
    let mut rest = text;
    let mut literal = String::new();
    while let Some(at) = rest.find("#{") {
        let placeholder = rest[at..].find('}').and_then(|end| {
            let piece = match &rest[at + 2..at + end] {
                "protocol" => Piece::Protocol,
                "host" => Piece::Host,
                "port" => Piece::Port,
                "path" => Piece::Path,
                "query" => Piece::Query,
                _ => return None,
            };
            Some((piece, at + end + 1))
        });
        let Some((piece, end)) = placeholder else {
            literal.push_str(&rest[..at + 2]);
            rest = &rest[at + 2..];
            continue;
        };
        literal.push_str(&rest[..at]);
        if !literal.is_empty() {
            pieces.push(Piece::Text(std::mem::take(&mut literal)));
        }
        pieces.push(piece);
        rest = &rest[end..];
    }
    literal.push_str(rest);
    if !literal.is_empty() {
        pieces.push(Piece::Text(literal));
    }
    pieces
}
