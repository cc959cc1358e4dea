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

/// Whether a key under [`ALL`] is a task's. Its other parts are account and region.
pub fn is_task(key: &str) -> bool {
    key.strip_prefix(ALL)
        .and_then(|rest| rest.split('/').nth(2))
        == Some("tasks")
}

pub fn client_token(scope: &Scope, cluster: &str, token: &str) -> String {
    format!("{}/client-tokens/{cluster}/{token}", base(scope))
}

pub fn client_tokens(scope: &Scope) -> String {
    format!("{}/client-tokens/", base(scope))
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
    }
}
