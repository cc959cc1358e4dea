//! What the generated code leans on.
//!
//! Generated modules see the outside only through here (`use crate::support as s`), so that no shape's name can
//! shadow a name of Rust's.

mod dispatch;
mod enumeration;
mod error;
mod field;
pub mod schema;
mod secret;
mod structure;

pub use std::boxed::Box;
pub use std::collections::BTreeMap;
pub use std::default::Default;
pub use std::fmt::{Debug, Formatter, Result as FmtResult};
pub use std::marker::{Send, Sync};
pub use std::option::Option::{self, None, Some};
pub use std::result::Result::{Err, Ok};
pub use std::string::String;
pub use std::vec::Vec;

pub use bytes::Bytes;
pub use jiff::Timestamp;
pub use neargate_aws_wire::service::{CallFuture, RequestContext};
pub use neargate_aws_wire::value::Value;
pub use serde_json::Value as Document;

pub use dispatch::{Answer, answer, call, not_implemented};
pub use enumeration::{UnknownValue, enum_from_value, from_name};
pub use error::api_error;
pub use field::{Converted, Field, mismatch};
pub use secret::{Hidden, debug_struct};
pub use structure::{Reader, Writer, empty, union_member, union_value};

pub(crate) use dispatch::service;
pub(crate) use enumeration::wire_enum;
pub(crate) use error::model_error;
pub(crate) use field::shaped;
