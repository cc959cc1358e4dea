//! Where CodeDeploy's records are in the store.
//!
//! Names of applications and deployment groups are unique, and are the keys; they hold no slash.

use neargate_domain::Scope;

/// Prefix of everything of CodeDeploy, in all accounts and regions.
pub const ALL: &str = "/codedeploy/";

fn base(scope: &Scope) -> String {
    format!("{ALL}{}/{}", scope.account, scope.region)
}

pub fn applications(scope: &Scope) -> String {
    format!("{}/applications/", base(scope))
}

pub fn application(scope: &Scope, name: &str) -> String {
    format!("{}{name}", applications(scope))
}

pub fn all_groups(scope: &Scope) -> String {
    format!("{}/groups/", base(scope))
}

pub fn groups(scope: &Scope, application: &str) -> String {
    format!("{}{application}/", all_groups(scope))
}

pub fn group(scope: &Scope, application: &str, name: &str) -> String {
    format!("{}{name}", groups(scope, application))
}

/// Those that were made here; the predefined ones are in the code.
pub fn configs(scope: &Scope) -> String {
    format!("{}/configs/", base(scope))
}

pub fn config(scope: &Scope, name: &str) -> String {
    format!("{}{name}", configs(scope))
}

pub fn revisions(scope: &Scope, application: &str) -> String {
    format!("{}/revisions/{application}/", base(scope))
}

pub fn revision(scope: &Scope, application: &str, sha256: &str) -> String {
    format!("{}{sha256}", revisions(scope, application))
}

pub fn deployments(scope: &Scope) -> String {
    format!("{}/deployments/", base(scope))
}

pub fn deployment(scope: &Scope, id: &str) -> String {
    format!("{}{id}", deployments(scope))
}

/// Which deployment group has an ECS service: a service is in one at most.
pub fn service(scope: &Scope, cluster: &str, service: &str) -> String {
    format!("{}/services/{cluster}/{service}", base(scope))
}

/// Whether a key under [`ALL`] is a deployment's.
pub fn is_deployment(key: &str) -> bool {
    kind_of(key) == Some("deployments")
}

fn kind_of(key: &str) -> Option<&str> {
    key.strip_prefix(ALL)?.split('/').nth(2)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_deployments_key_is_told_from_the_others() {
        let scope = Scope::new("000000000000", "us-east-1");
        assert!(is_deployment(&deployment(&scope, "d-75I7MBT7C")));
        assert!(!is_deployment(&application(&scope, "deployments")));
        assert!(!is_deployment(&group(&scope, "deployments", "web")));
    }
}
