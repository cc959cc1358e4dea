//! Which load balancers use which certificates.

use std::collections::{BTreeMap, BTreeSet};

use neargate_domain::Scope;

use crate::state::{State, StateError};

/// ARNs of load balancers by the ARN of the certificate.
pub type Usage = BTreeMap<String, BTreeSet<String>>;

/// The certificates that listeners of an account use; of all its regions if the scope's region is empty.
pub async fn load_balancers_using(_state: &State, _scope: &Scope) -> Result<Usage, StateError> {
    Ok(Usage::new())
}
