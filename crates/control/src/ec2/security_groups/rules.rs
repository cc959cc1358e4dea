//! DescribeSecurityGroupRules.

use neargate_aws_api::ec2::types::*;
use neargate_aws_wire::error::ApiError;
use neargate_domain::Scope;

use super::super::filters::{Accessor, text};
use super::super::kind::{self, Kind};
use super::super::records::SecurityGroupRecord;
use super::super::select::{Listed, Query, select};
use super::super::topology::all;
use super::view;
use crate::state::State;

impl Listed for SecurityGroupRule {
    const KIND: &'static Kind = &kind::SECURITY_GROUP_RULE;
    const FILTERS: &'static [(&'static str, Accessor<Self>)] = &[
        ("group-id", |r| text(&r.group_id)),
        ("security-group-rule-id", |r| {
            text(&r.security_group_rule_id)
        }),
    ];
    fn id(&self) -> &str {
        self.security_group_rule_id.as_deref().unwrap_or_default()
    }
    fn tags(&self) -> &[Tag] {
        self.tags.as_deref().unwrap_or_default()
    }
}

/// <https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_DescribeSecurityGroupRules.html>
pub async fn describe_rules(
    state: &State,
    scope: &Scope,
    input: DescribeSecurityGroupRulesRequest,
) -> Result<DescribeSecurityGroupRulesResult, ApiError> {
    let groups = all::<SecurityGroupRecord>(state, scope).await?;
    let rules = groups
        .iter()
        .flat_map(|group| {
            group
                .rules
                .iter()
                .map(|rule| view::rule(scope, group, rule))
        })
        .collect();
    let query = Query {
        ids: input.security_group_rule_ids,
        filters: input.filters,
        max_results: input.max_results,
        next_token: input.next_token,
    };
    let (rules, next_token) = select(rules, query)?;
    Ok(DescribeSecurityGroupRulesResult {
        security_group_rules: Some(rules),
        next_token,
    })
}
