//! The rule operations as the API has them. Each pair differs in its direction only, and its types come from the model
//! twice.

use neargate_aws_api::ec2::types::*;
use neargate_aws_wire::error::ApiError;
use neargate_domain::Scope;

use super::super::{errors, kind, tags};
use super::changes::{GroupName, Revocation, authorize, modify, revoke, update_descriptions};
use super::parse::RuleParameters;
use super::{Direction, view};
use crate::state::State;

/// The group of a request that may name it either way.
macro_rules! group {
    ($input:ident) => {
        GroupName {
            id: $input.group_id,
            name: $input.group_name,
        }
    };
}

/// The rules of a request, with the old form's single rule.
macro_rules! parameters {
    ($input:ident) => {
        RuleParameters {
            permissions: $input.ip_permissions,
            cidr_ip: $input.cidr_ip,
            ip_protocol: $input.ip_protocol,
            from_port: $input.from_port,
            to_port: $input.to_port,
            source_group_name: $input.source_security_group_name,
        }
    };
}

pub async fn authorize_ingress(
    state: &State,
    scope: &Scope,
    input: AuthorizeSecurityGroupIngressRequest,
) -> Result<AuthorizeSecurityGroupIngressResult, ApiError> {
    let rule_tags =
        tags::from_specifications(&kind::SECURITY_GROUP_RULE, input.tag_specifications)?;
    let group = group!(input);
    let parameters = parameters!(input);
    let direction = Direction::Ingress;
    let (group, rules) = authorize(state, scope, group, direction, parameters, rule_tags).await?;
    let rules = rules.iter().map(|rule| view::rule(scope, &group, rule));
    Ok(AuthorizeSecurityGroupIngressResult {
        r#return: Some(true),
        security_group_rules: Some(rules.collect()),
    })
}

pub async fn revoke_ingress(
    state: &State,
    scope: &Scope,
    input: RevokeSecurityGroupIngressRequest,
) -> Result<RevokeSecurityGroupIngressResult, ApiError> {
    let group = group!(input);
    let ids = input.security_group_rule_ids;
    let revocation = revocation(ids, parameters!(input))?;
    let (group, rules) = revoke(state, scope, group, Direction::Ingress, revocation).await?;
    let revoked = rules.iter().map(|rule| view::revoked(&group, rule));
    Ok(RevokeSecurityGroupIngressResult {
        r#return: Some(true),
        revoked_security_group_rules: Some(revoked.collect()),
        unknown_ip_permissions: None,
    })
}

pub async fn update_descriptions_ingress(
    state: &State,
    scope: &Scope,
    input: UpdateSecurityGroupRuleDescriptionsIngressRequest,
) -> Result<UpdateSecurityGroupRuleDescriptionsIngressResult, ApiError> {
    let group = group!(input);
    let by_rule = RuleParameters {
        permissions: input.ip_permissions,
        ..Default::default()
    };
    let by_id = input.security_group_rule_descriptions.unwrap_or_default();
    update_descriptions(state, scope, group, Direction::Ingress, by_rule, by_id).await?;
    Ok(UpdateSecurityGroupRuleDescriptionsIngressResult {
        r#return: Some(true),
    })
}

pub async fn authorize_egress(
    state: &State,
    scope: &Scope,
    input: AuthorizeSecurityGroupEgressRequest,
) -> Result<AuthorizeSecurityGroupEgressResult, ApiError> {
    let rule_tags =
        tags::from_specifications(&kind::SECURITY_GROUP_RULE, input.tag_specifications)?;
    let group = GroupName {
        id: Some(input.group_id),
        name: None,
    };
    let parameters = parameters!(input);
    let direction = Direction::Egress;
    let (group, rules) = authorize(state, scope, group, direction, parameters, rule_tags).await?;
    let rules = rules.iter().map(|rule| view::rule(scope, &group, rule));
    Ok(AuthorizeSecurityGroupEgressResult {
        r#return: Some(true),
        security_group_rules: Some(rules.collect()),
    })
}

pub async fn revoke_egress(
    state: &State,
    scope: &Scope,
    input: RevokeSecurityGroupEgressRequest,
) -> Result<RevokeSecurityGroupEgressResult, ApiError> {
    let group = GroupName {
        id: Some(input.group_id),
        name: None,
    };
    let ids = input.security_group_rule_ids;
    let revocation = revocation(ids, parameters!(input))?;
    let (group, rules) = revoke(state, scope, group, Direction::Egress, revocation).await?;
    let revoked = rules.iter().map(|rule| view::revoked(&group, rule));
    Ok(RevokeSecurityGroupEgressResult {
        r#return: Some(true),
        revoked_security_group_rules: Some(revoked.collect()),
        unknown_ip_permissions: None,
    })
}

pub async fn update_descriptions_egress(
    state: &State,
    scope: &Scope,
    input: UpdateSecurityGroupRuleDescriptionsEgressRequest,
) -> Result<UpdateSecurityGroupRuleDescriptionsEgressResult, ApiError> {
    let group = group!(input);
    let by_rule = RuleParameters {
        permissions: input.ip_permissions,
        ..Default::default()
    };
    let by_id = input.security_group_rule_descriptions.unwrap_or_default();
    update_descriptions(state, scope, group, Direction::Egress, by_rule, by_id).await?;
    Ok(UpdateSecurityGroupRuleDescriptionsEgressResult {
        r#return: Some(true),
    })
}

pub async fn modify_rules(
    state: &State,
    scope: &Scope,
    input: ModifySecurityGroupRulesRequest,
) -> Result<ModifySecurityGroupRulesResult, ApiError> {
    let group = GroupName {
        id: Some(input.group_id),
        name: None,
    };
    modify(state, scope, group, input.security_group_rules).await?;
    Ok(ModifySecurityGroupRulesResult {
        r#return: Some(true),
    })
}

fn revocation(
    ids: Option<Vec<String>>,
    parameters: RuleParameters,
) -> Result<Revocation, ApiError> {
    match ids.filter(|ids| !ids.is_empty()) {
        None => Ok(Revocation::Rules(parameters)),
        Some(ids) if parameters.is_empty() => Ok(Revocation::Ids(ids)),
        Some(_) => Err(errors::invalid_combination(
            "Only one of securityGroupRuleIds or ipPermissions can be specified",
        )),
    }
}
