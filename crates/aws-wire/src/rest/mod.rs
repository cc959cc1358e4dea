//! Where REST protocols put members: path, query, headers, payload.

mod header;
mod request;
mod response;
mod route;

pub(crate) use request::{RestError, RestRequest, read_request};
pub(crate) use response::{RestEncodeError, error_headers, write_response};
pub(crate) use route::{Labels, RouteMatch, RouteTable};
