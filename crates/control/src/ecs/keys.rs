//! Where ECS's records are in the store.

use neargate_domain::Scope;

fn base(scope: &Scope) -> String {
    format!("/ecs/{}/{}", scope.account, scope.region)
}

/// Prefix of everything of ECS, in all accounts and regions.
pub const ALL: &str = "/ecs/";

pub fn clusters(scope: &Scope) -> String {
    format!("{}/clusters/", base(scope))
}

pub fn cluster(scope: &Scope, name: &str) -> String {
    format!("{}{name}", clusters(scope))
}

/// The revision counter of a family: it outlives the family's revisions, since numbers are never used twice.
pub fn family(scope: &Scope, family: &str) -> String {
    format!("{}{family}", families(scope))
}

pub fn families(scope: &Scope) -> String {
    format!("{}/families/", base(scope))
}

pub fn task_definitions(scope: &Scope) -> String {
    format!("{}/task-definitions/", base(scope))
}

pub fn task_definitions_of(scope: &Scope, family: &str) -> String {
    format!("{}{family}/", task_definitions(scope))
}

/// Revisions have ten digits, so that the order of keys is the order of revisions.
pub fn task_definition(scope: &Scope, family: &str, revision: u32) -> String {
    format!("{}{revision:010}", task_definitions_of(scope, family))
}

pub fn all_tasks(scope: &Scope) -> String {
    format!("{}/tasks/", base(scope))
}

pub fn tasks(scope: &Scope, cluster: &str) -> String {
    format!("{}{cluster}/", all_tasks(scope))
}

pub fn task(scope: &Scope, cluster: &str, id: &str) -> String {
    format!("{}{id}", tasks(scope, cluster))
}

pub fn all_services(scope: &Scope) -> String {
    format!("{}/services/", base(scope))
}

pub fn services(scope: &Scope, cluster: &str) -> String {
    format!("{}{cluster}/", all_services(scope))
}

pub fn service(scope: &Scope, cluster: &str, name: &str) -> String {
    format!("{}{name}", services(scope, cluster))
}

pub fn service_events(scope: &Scope, cluster: &str, name: &str) -> String {
    format!("{}/service-events/{cluster}/{name}", base(scope))
}

pub fn service_deployments(scope: &Scope, cluster: &str, name: &str) -> String {
    format!("{}/service-deployments/{cluster}/{name}/", base(scope))
}

pub fn service_deployment(scope: &Scope, cluster: &str, name: &str, id: &str) -> String {
    format!("{}{id}", service_deployments(scope, cluster, name))
}

pub fn service_revisions(scope: &Scope, cluster: &str, name: &str) -> String {
    format!("{}/service-revisions/{cluster}/{name}/", base(scope))
}

pub fn service_revision(scope: &Scope, cluster: &str, name: &str, number: &str) -> String {
    format!("{}{number}", service_revisions(scope, cluster, name))
}

/// Whether a key under [`ALL`] is a task's. Its other parts are account and region.
pub fn is_task(key: &str) -> bool {
    kind_of(key) == Some("tasks")
}

/// Whether a key under [`ALL`] is a service's.
pub fn is_service(key: &str) -> bool {
    kind_of(key) == Some("services")
}

/// Whether a key under [`ALL`] is a service deployment's.
pub fn is_service_deployment(key: &str) -> bool {
    kind_of(key) == Some("service-deployments")
}

fn kind_of(key: &str) -> Option<&str> {
    key.strip_prefix(ALL)?.split('/').nth(2)
}

/// Of CreateService; [`client_token`] are RunTask's.
pub fn service_client_token(scope: &Scope, cluster: &str, token: &str) -> String {
    format!("{}/service-client-tokens/{cluster}/{token}", base(scope))
}

/// Whether a key under [`ALL`] is a client token's of CreateService.
pub fn is_service_client_token(key: &str) -> bool {
    kind_of(key) == Some("service-client-tokens")
}

pub fn client_tokens(scope: &Scope) -> String {
    format!("{}/client-tokens/", base(scope))
}

pub fn client_token(scope: &Scope, cluster: &str, token: &str) -> String {
    format!("{}{cluster}/{token}", client_tokens(scope))
}

pub fn account_settings(scope: &Scope) -> String {
    format!("{}/account-settings/", base(scope))
}

pub fn account_setting(scope: &Scope, principal: &str, name: &str) -> String {
    format!("{}{principal}/{name}", account_settings(scope))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tasks_key_is_told_from_the_others() {
        let scope = Scope::new("000000000000", "us-east-1");
        assert!(is_task(&task(&scope, "default", "0")));
        assert!(!is_task(&cluster(&scope, "tasks")));
        assert!(!is_task(&task_definition(&scope, "tasks", 1)));
        assert!(is_service(&service(&scope, "default", "web")));
        assert!(!is_service(&service_events(&scope, "services", "web")));
    }
}
