//! Which request a client token stood for.

use neargate_aws_wire::json::to_json;
use neargate_aws_wire::value::Shaped;
use sha2::{Digest, Sha256};

/// The same for equal requests only.
pub fn digest<R: Shaped + Clone>(request: &R) -> String {
    hex::encode(Sha256::digest(to_json(request.clone()).unwrap_or_default()))
}
