//! Form parameters of the query protocols, and structures made of them.

mod decode;
mod params;

pub(crate) use decode::{BadParameter, Dialect, decode};
pub(crate) use params::{Params, parse_pairs};
