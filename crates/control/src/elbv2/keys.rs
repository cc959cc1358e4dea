//! Where the records of load balancing are in the store.
//!
//! Names are unique in an account and region, so load balancers and target groups are kept by name. A listener's record
//! has its rules, so that whatever changes in a listener changes at once.

use neargate_domain::Scope;

/// Prefix of everything of load balancing, in all accounts and regions.
pub const ALL: &str = "/elbv2/";

/// What a key under [`ALL`] belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    LoadBalancer,
    Listener,
    TargetGroup,
    Target,
    /// Which load balancer uses a target group; follows from listeners.
    Use,
}

/// What is kept at a key; `None` for keys of other services.
pub fn kind_of(key: &str) -> Option<Kind> {
    match key.strip_prefix(ALL)?.split('/').nth(2)? {
        "load-balancers" => Some(Kind::LoadBalancer),
        "listeners" => Some(Kind::Listener),
        "target-groups" => Some(Kind::TargetGroup),
        "targets" => Some(Kind::Target),
        "target-group-uses" => Some(Kind::Use),
        _ => None,
    }
}

fn base(scope: &Scope) -> String {
    format!("{ALL}{}/{}", scope.account, scope.region)
}

pub fn load_balancers(scope: &Scope) -> String {
    format!("{}/load-balancers/", base(scope))
}

pub fn load_balancer(scope: &Scope, name: &str) -> String {
    format!("{}{name}", load_balancers(scope))
}

pub fn all_listeners(scope: &Scope) -> String {
    format!("{}/listeners/", base(scope))
}

pub fn listeners(scope: &Scope, load_balancer_id: &str) -> String {
    format!("{}{load_balancer_id}/", all_listeners(scope))
}

pub fn listener(scope: &Scope, load_balancer_id: &str, id: &str) -> String {
    format!("{}{id}", listeners(scope, load_balancer_id))
}

pub fn target_groups(scope: &Scope) -> String {
    format!("{}/target-groups/", base(scope))
}

pub fn target_group(scope: &Scope, name: &str) -> String {
    format!("{}{name}", target_groups(scope))
}

pub fn uses(scope: &Scope) -> String {
    format!("{}/target-group-uses/", base(scope))
}

/// Exists as long as a listener or rule refers to the group.
pub fn target_group_use(scope: &Scope, group_id: &str) -> String {
    format!("{}{group_id}", uses(scope))
}

pub fn targets(scope: &Scope, group_id: &str) -> String {
    format!("{}/targets/{group_id}/", base(scope))
}

/// The same id on two ports is two targets.
pub fn target(scope: &Scope, group_id: &str, id: &str, port: u16) -> String {
    format!("{}{id}/{port}", targets(scope, group_id))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_tells_what_it_belongs_to() {
        let scope = Scope::new("000000000000", "us-east-1");
        for (key, want) in [
            (load_balancer(&scope, "web"), Some(Kind::LoadBalancer)),
            (listener(&scope, "1", "2"), Some(Kind::Listener)),
            (target_group(&scope, "web"), Some(Kind::TargetGroup)),
            (target(&scope, "1", "10.0.0.1", 80), Some(Kind::Target)),
            (target_group_use(&scope, "1"), Some(Kind::Use)),
            ("/ecs/000000000000/us-east-1/targets/x".to_owned(), None),
        ] {
            assert_eq!(kind_of(&key), want, "{key}");
        }
    }
}
