//! Where ACM's records are.

use neargate_domain::Scope;

/// Prefix of everything of ACM, in all accounts and regions.
pub const ALL: &str = "/acm/";

/// `/acm/<account>/<region>/certificates/`
pub fn certificates(scope: &Scope) -> String {
    format!("{ALL}{}/{}/certificates/", scope.account, scope.region)
}

pub fn certificate(scope: &Scope, id: &str) -> String {
    format!("{}{id}", certificates(scope))
}

pub fn idempotency_token(scope: &Scope, token: &str) -> String {
    format!(
        "{ALL}{}/{}/idempotency-tokens/{token}",
        scope.account, scope.region
    )
}

pub fn is_certificate(key: &str) -> bool {
    directory_of(key) == Some("certificates")
}

pub fn is_idempotency_token(key: &str) -> bool {
    directory_of(key) == Some("idempotency-tokens")
}

fn directory_of(key: &str) -> Option<&str> {
    key.strip_prefix(ALL)?.split('/').nth(2)
}
