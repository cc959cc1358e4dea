//! Where IAM's records are. IAM is global: its records have an account and no region.

/// Prefix of everything of IAM, in all accounts.
pub const ALL: &str = "/iam/";

/// `/iam/<account>/server-certificates/`
pub fn server_certificates(account: &str) -> String {
    format!("{ALL}{account}/server-certificates/")
}

/// Names are unique whatever their case. Source: IAM guide, reference_identifiers.
pub fn server_certificate(account: &str, name: &str) -> String {
    format!("{}{}", server_certificates(account), name.to_lowercase())
}

pub fn is_server_certificate(key: &str) -> bool {
    key.strip_prefix(ALL)
        .and_then(|rest| rest.split('/').nth(1))
        == Some("server-certificates")
}
