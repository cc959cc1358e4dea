//! ARNs, ids, and what names may be beyond what the model says.

use neargate_domain::{Arn, Scope};

/// Own deployment configurations must not begin so. Source: CreateDeploymentConfig reference.
pub const PREDEFINED_PREFIX: &str = "CodeDeployDefault.";

pub fn new_id() -> String {
    neargate_domain::id::uuid(&mut rand::rng())
}

/// What an ARN of CodeDeploy names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Resource {
    Application(String),
    Group { application: String, group: String },
    Config(String),
}

impl Resource {
    /// `None` if it is no ARN of CodeDeploy in this account and region.
    pub fn parse(scope: &Scope, arn: &str) -> Option<Self> {
        let arn: Arn = arn.parse().ok()?;
        if arn.service != "codedeploy" || arn.scope != *scope {
            return None;
        }
        let (kind, name) = arn.resource.split_once(':')?;
        let resource = match kind {
            "application" => Self::Application(name.to_owned()),
            "deploymentgroup" => {
                let (application, group) = name.split_once('/')?;
                Self::Group {
                    application: application.to_owned(),
                    group: group.to_owned(),
                }
            }
            "deploymentconfig" => Self::Config(name.to_owned()),
            _ => return None,
        };
        resource.has_plain_names().then_some(resource)
    }

    /// The parts of keys must not hold what separates them.
    fn has_plain_names(&self) -> bool {
        let plain = |name: &str| !name.is_empty() && !name.contains('/');
        match self {
            Self::Application(name) | Self::Config(name) => plain(name),
            Self::Group { application, group } => plain(application) && plain(group),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arns_are_told_apart() {
        let scope = Scope::new("000000000000", "us-east-1");
        let group = Resource::Group {
            application: "web".to_owned(),
            group: "blue-green".to_owned(),
        };
        for (resource, want) in [
            (
                "application:web",
                Some(Resource::Application("web".to_owned())),
            ),
            ("deploymentgroup:web/blue-green", Some(group)),
            (
                "deploymentconfig:slow",
                Some(Resource::Config("slow".to_owned())),
            ),
            ("deploymentgroup:web", None),
            ("deploymentgroup:web/", None),
            ("deploymentgroup:web/blue/green", None),
            ("application:we/b", None),
            ("instance:web", None),
            ("web", None),
        ] {
            let arn = format!("arn:aws:codedeploy:us-east-1:000000000000:{resource}");
            assert_eq!(Resource::parse(&scope, &arn), want, "{resource}");
            let elsewhere = arn.replace("us-east-1", "eu-west-1");
            assert_eq!(Resource::parse(&scope, &elsewhere), None, "{elsewhere}");
        }
        let other_service = "arn:aws:ecs:us-east-1:000000000000:application:web";
        assert_eq!(Resource::parse(&scope, other_service), None);
    }
}
