//! Amazon Resource Names: `arn:aws:<service>:<region>:<account>:<resource>`.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// The account and region that a record lives in: a dimension of every record.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Scope {
    /// 12 digits.
    pub account: String,
    pub region: String,
}

impl Scope {
    pub fn new(account: impl Into<String>, region: impl Into<String>) -> Self {
        Self {
            account: account.into(),
            region: region.into(),
        }
    }

    /// The ARN of a resource of this account and region.
    pub fn arn(&self, service: &str, resource: impl fmt::Display) -> Arn {
        Arn {
            service: service.to_owned(),
            scope: self.clone(),
            resource: resource.to_string(),
        }
    }
}

/// An ARN in its parts. `Display` and `FromStr` are inverse.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Arn {
    pub service: String,
    pub scope: Scope,
    /// All after the account: `cluster/default`, `task-definition/web:3`, `log-group:/ecs/web:*`.
    pub resource: String,
}

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("'{0}' is not an ARN; its form is arn:aws:<service>:<region>:<account>:<resource>")]
pub struct InvalidArn(String);

impl fmt::Display for Arn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "arn:aws:{}:{}:{}:{}",
            self.service, self.scope.region, self.scope.account, self.resource
        )
    }
}

impl FromStr for Arn {
    type Err = InvalidArn;

    fn from_str(text: &str) -> Result<Self, InvalidArn> {
        let invalid = || InvalidArn(text.chars().take(256).collect());
        let mut parts = text.splitn(6, ':');
        let mut next = || parts.next().ok_or_else(invalid);
        let (arn, partition) = (next()?, next()?);
        let (service, region, account, resource) = (next()?, next()?, next()?, next()?);
        // One partition: Neargate's ARNs all read `arn:aws`, and one that came in as aws-cn would not read the same
        // on its way out.
        if arn != "arn" || partition != "aws" || service.is_empty() || resource.is_empty() {
            return Err(invalid());
        }
        Ok(Self {
            service: service.to_owned(),
            scope: Scope::new(account, region),
            resource: resource.to_owned(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_and_parts_are_inverse() {
        for text in [
            "arn:aws:ecs:us-east-1:000000000000:cluster/default",
            "arn:aws:ecs:eu-west-1:123456789012:task-definition/web:3",
            "arn:aws:logs:us-east-1:000000000000:log-group:/ecs/web:*",
            "arn:aws:iam::123456789012:role/x",
        ] {
            assert_eq!(
                text.parse::<Arn>().map(|a| a.to_string()).as_deref(),
                Ok(text)
            );
        }
    }

    #[test]
    fn what_is_not_an_arn_is_refused() {
        for text in [
            "",
            "web:3",
            "arn:aws:ecs",
            "arn:aws:ecs:us-east-1:1:",
            "arn:aws-cn:ecs:r:1:cluster/x",
            "xrn:aws:ecs:r:1:c",
        ] {
            assert!(text.parse::<Arn>().is_err(), "{text}");
        }
    }
}
