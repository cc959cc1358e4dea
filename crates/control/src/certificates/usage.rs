//! Which load balancers use which certificates.

use std::collections::{BTreeMap, BTreeSet};

use neargate_domain::Scope;

use crate::elbv2::keys;
use crate::elbv2::listener_records::ListenerRecord;
use crate::state::{State, StateError, decode, prefix_range};

/// ARNs of load balancers by the ARN of the certificate.
pub type Usage = BTreeMap<String, BTreeSet<String>>;

/// The certificates that listeners of an account and region use; of all its regions if the scope's region is empty.
pub async fn load_balancers_using(state: &State, scope: &Scope) -> Result<Usage, StateError> {
    let prefix = match scope.region.is_empty() {
        true => format!("{}{}/", keys::ALL, scope.account),
        false => keys::all_listeners(scope),
    };
    let found = state.store().range(prefix_range(&prefix), 0).await?;
    let mut usage = Usage::new();
    for entry in found.entries {
        let key = String::from_utf8_lossy(&entry.key);
        if keys::kind_of(&key) != Some(keys::Kind::Listener) {
            continue;
        }
        let listener = decode::<ListenerRecord>(&entry)?.record;
        let user = listener.load_balancer_arn();
        let named = listener.default_certificate.iter();
        for arn in named.chain(&listener.certificates) {
            usage.entry(arn.clone()).or_default().insert(user.clone());
        }
    }
    Ok(usage)
}
