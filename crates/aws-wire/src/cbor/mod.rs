//! CBOR to and from values: bodies of rpc-v2-CBOR.

mod decode;
mod encode;

pub(crate) use decode::decode;
pub(crate) use encode::{CborEncodeError, encode, encode_error};
