//! AssumeRole, AssumeRoleWithWebIdentity.

use neargate_aws_api::sts::types::*;
use neargate_aws_wire::error::ApiError;

use super::identity::{Identity, RoleArn};
use super::{jwt, sessions};
use crate::state::State;

/// Seconds a role session lasts unless the caller says otherwise, and the longest when one role assumes another.
const DEFAULT_SECS: i32 = 3600;
const MAX_CHAINED_SECS: i32 = 3600;

/// Any role exists, and its trust policy allows it: design decision for development.
///
/// <https://docs.aws.amazon.com/STS/latest/APIReference/API_AssumeRole.html>
pub async fn assume_role(
    state: &State,
    caller: &Identity,
    input: AssumeRoleRequest,
) -> Result<AssumeRoleResponse, ApiError> {
    let role = role(&input.role_arn)?;
    check_policy(input.policy.as_deref())?;
    let duration = input.duration_seconds.unwrap_or(DEFAULT_SECS);
    if caller.is_role_session && duration > MAX_CHAINED_SECS {
        return Err(validation(
            "The requested DurationSeconds exceeds the 1 hour session limit for roles assumed by role chaining",
        ));
    }
    let identity = Identity::role_session(&role, &input.role_session_name);
    Ok(AssumeRoleResponse {
        credentials: Some(sessions::start(state, &identity, duration).await?),
        assumed_role_user: Some(assumed_role_user(identity)),
        packed_policy_size: input.policy.map(|_| 1),
        source_identity: input.source_identity,
        ..Default::default()
    })
}

/// <https://docs.aws.amazon.com/STS/latest/APIReference/API_AssumeRoleWithWebIdentity.html>
pub async fn assume_role_with_web_identity(
    state: &State,
    input: AssumeRoleWithWebIdentityRequest,
) -> Result<AssumeRoleWithWebIdentityResponse, ApiError> {
    let role = role(&input.role_arn)?;
    check_policy(input.policy.as_deref())?;
    let claims = jwt::claims(&input.web_identity_token).ok_or_else(|| {
        InvalidIdentityTokenException::new("The ID Token provided is not a valid JWT")
    })?;
    let now = state.now();
    if let Some(expired_at) = claims.expires_at.filter(|at| *at <= now) {
        return Err(ExpiredTokenException::new(format!(
            "Token expired: current date/time {} must be before the expiration date/time {}",
            now.0 / 1000,
            expired_at.0 / 1000
        ))
        .into());
    }
    let identity = Identity::role_session(&role, &input.role_session_name);
    let duration = input.duration_seconds.unwrap_or(DEFAULT_SECS);
    let provider = claims.issuer.trim_start_matches("https://");
    Ok(AssumeRoleWithWebIdentityResponse {
        credentials: Some(sessions::start(state, &identity, duration).await?),
        assumed_role_user: Some(assumed_role_user(identity)),
        audience: Some(claims.audience),
        packed_policy_size: input.policy.map(|_| 1),
        provider: Some(format!(
            "arn:aws:iam::{}:oidc-provider/{provider}",
            role.account
        )),
        subject_from_web_identity_token: Some(claims.subject),
        ..Default::default()
    })
}

fn assumed_role_user(identity: Identity) -> AssumedRoleUser {
    AssumedRoleUser {
        arn: identity.arn,
        assumed_role_id: identity.user_id,
    }
}

fn role(arn: &str) -> Result<RoleArn, ApiError> {
    RoleArn::parse(arn).ok_or_else(|| validation("Request ARN is invalid"))
}

/// Session policies are not enforced in development, but a broken one is a mistake that AWS would report.
pub fn check_policy(policy: Option<&str>) -> Result<(), ApiError> {
    match policy.map(serde_json::from_str::<serde_json::Map<String, serde_json::Value>>) {
        None | Some(Ok(_)) => Ok(()),
        Some(Err(_)) => {
            Err(MalformedPolicyDocumentException::new("Syntax errors in policy.").into())
        }
    }
}

fn validation(message: &str) -> ApiError {
    ApiError::client("ValidationError", message)
}
