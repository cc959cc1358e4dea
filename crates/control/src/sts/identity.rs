//! Who a set of credentials stands for.

use neargate_aws_wire::service::RequestContext;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

/// Characters of a unique id after its prefix of four.
const UNIQUE_ID_CHARS: usize = 17;

/// Who somebody is, as GetCallerIdentity tells.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Identity {
    /// 12 digits.
    pub account: String,
    pub arn: String,
    /// `AROA...:<session>`, `<account>:<name>`, or the account.
    pub user_id: String,
    /// A role that was assumed, which limits how long the next one may be.
    pub is_role_session: bool,
}

impl Identity {
    /// The owner of the account: whoever has credentials that no session made.
    pub fn root(context: &RequestContext) -> Self {
        Self {
            account: context.account.clone(),
            arn: crate::caller_arn(context),
            user_id: context.account.clone(),
            is_role_session: false,
        }
    }

    pub fn role_session(role: &RoleArn, session_name: &str) -> Self {
        let account = &role.account;
        Self {
            arn: format!(
                "arn:aws:sts::{account}:assumed-role/{}/{session_name}",
                role.name
            ),
            user_id: format!("{}:{session_name}", role.unique_id()),
            account: account.clone(),
            is_role_session: true,
        }
    }

    pub fn federated_user(account: &str, name: &str) -> Self {
        Self {
            arn: format!("arn:aws:sts::{account}:federated-user/{name}"),
            user_id: format!("{account}:{name}"),
            account: account.to_owned(),
            is_role_session: false,
        }
    }
}

/// `arn:aws:iam::<account>:role/<path><name>`
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RoleArn {
    text: String,
    pub account: String,
    /// Without its path.
    pub name: String,
}

impl RoleArn {
    pub fn parse(text: &str) -> Option<Self> {
        let arn: neargate_domain::Arn = text.parse().ok()?;
        let (_, name) = arn
            .resource
            .strip_prefix("role/")?
            .rsplit_once('/')
            .or_else(|| Some(("", arn.resource.strip_prefix("role/")?)))?;
        let account = arn.scope.account;
        let is_account = account.len() == 12 && account.bytes().all(|b| b.is_ascii_digit());
        let is_name = !name.is_empty()
            && name.len() <= 64
            && name
                .bytes()
                .all(|b| b.is_ascii_alphanumeric() || b"_+=,.@-".contains(&b));
        (arn.service == "iam" && is_account && is_name).then(|| Self {
            text: text.to_owned(),
            name: name.to_owned(),
            account,
        })
    }

    /// `AROA` and 17 characters; the same for the same role every time, as if it had been created once.
    fn unique_id(&self) -> String {
        const ALPHABET: &[u8; 32] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";
        let hash = Sha256::digest(self.text.as_bytes());
        let id = hash
            .iter()
            .take(UNIQUE_ID_CHARS)
            .map(|byte| char::from(ALPHABET[usize::from(byte % 32)]));
        format!("AROA{}", id.collect::<String>())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn role_arns_are_taken_apart() {
        for (text, want) in [
            (
                "arn:aws:iam::123456789012:role/deploy",
                Some(("123456789012", "deploy")),
            ),
            (
                "arn:aws:iam::123456789012:role/ci/web/deploy",
                Some(("123456789012", "deploy")),
            ),
            ("arn:aws:iam::123456789012:user/deploy", None),
            ("arn:aws:iam::123456789012:role/", None),
            ("arn:aws:iam::1234:role/deploy", None),
            ("arn:aws:sts::123456789012:role/deploy", None),
            ("deploy", None),
        ] {
            let seen = RoleArn::parse(text);
            let seen = seen
                .as_ref()
                .map(|role| (role.account.as_str(), role.name.as_str()));
            assert_eq!(seen, want, "{text}");
        }
    }

    #[test]
    fn a_role_session_is_shown_without_the_roles_path() {
        let role = RoleArn::parse("arn:aws:iam::123456789012:role/ci/deploy").unwrap();
        let identity = Identity::role_session(&role, "build-7");
        assert_eq!(
            identity.arn,
            "arn:aws:sts::123456789012:assumed-role/deploy/build-7"
        );
        let (id, session) = identity.user_id.split_once(':').unwrap();
        assert!(id.starts_with("AROA") && id.len() == 21, "{id}");
        assert_eq!(session, "build-7");
    }
}
