//! The verbs: one module per AWS service, on records in the store.

pub mod acm;
pub mod certificates;
pub mod clock;
pub mod codedeploy;
pub mod ec2;
pub mod ecr;
pub mod ecs;
pub mod elbv2;
mod fields;
pub mod functions;
pub mod iam;
pub mod lb;
pub mod logs;
pub mod nodes;
pub mod page;
#[cfg(test)]
mod request_fields;
pub mod secrets;
pub mod state;
pub mod sts;

use neargate_aws_wire::service::RequestContext;
use neargate_domain::Scope;

/// The account and region that a call works in.
pub fn scope_of(context: &RequestContext) -> Scope {
    Scope::new(&context.account, &context.region)
}

/// ARN of the caller, as records keep it (`registeredBy`, `createdBy`) and STS shows it.
pub fn caller_arn(context: &RequestContext) -> String {
    format!("arn:aws:iam::{}:root", context.account)
}
