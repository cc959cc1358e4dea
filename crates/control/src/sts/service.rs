//! The STS API.

use async_trait::async_trait;
use neargate_aws_api::sts::Sts;
use neargate_aws_api::sts::types::*;
use neargate_aws_wire::access_key;
use neargate_aws_wire::error::ApiError;
use neargate_aws_wire::service::RequestContext;

use super::identity::Identity;
use super::{assume, sessions};
use crate::state::State;

/// Seconds a session of GetSessionToken or GetFederationToken lasts unless the caller says otherwise.
const DEFAULT_SESSION_SECS: i32 = 43_200;

/// STS on records in the store.
pub struct StsService {
    state: State,
}

impl StsService {
    pub fn new(state: State) -> Self {
        Self { state }
    }

    async fn caller(&self, context: &RequestContext) -> Result<Identity, ApiError> {
        let session = match &context.access_key_id {
            Some(id) => sessions::find(&self.state, id).await?,
            None => None,
        };
        Ok(session.unwrap_or_else(|| Identity::root(context)))
    }
}

#[async_trait]
impl Sts for StsService {
    /// <https://docs.aws.amazon.com/STS/latest/APIReference/API_GetCallerIdentity.html>
    async fn get_caller_identity(
        &self,
        context: &RequestContext,
        _input: GetCallerIdentityRequest,
    ) -> Result<GetCallerIdentityResponse, ApiError> {
        let caller = self.caller(context).await?;
        Ok(GetCallerIdentityResponse {
            account: Some(caller.account),
            arn: Some(caller.arn),
            user_id: Some(caller.user_id),
        })
    }

    async fn assume_role(
        &self,
        context: &RequestContext,
        input: AssumeRoleRequest,
    ) -> Result<AssumeRoleResponse, ApiError> {
        let caller = self.caller(context).await?;
        assume::assume_role(&self.state, &caller, input).await
    }

    async fn assume_role_with_web_identity(
        &self,
        _context: &RequestContext,
        input: AssumeRoleWithWebIdentityRequest,
    ) -> Result<AssumeRoleWithWebIdentityResponse, ApiError> {
        assume::assume_role_with_web_identity(&self.state, input).await
    }

    /// <https://docs.aws.amazon.com/STS/latest/APIReference/API_GetSessionToken.html>
    async fn get_session_token(
        &self,
        context: &RequestContext,
        input: GetSessionTokenRequest,
    ) -> Result<GetSessionTokenResponse, ApiError> {
        let caller = self.caller(context).await?;
        let duration = input.duration_seconds.unwrap_or(DEFAULT_SESSION_SECS);
        Ok(GetSessionTokenResponse {
            credentials: Some(sessions::start(&self.state, &caller, duration).await?),
            ..Default::default()
        })
    }

    /// <https://docs.aws.amazon.com/STS/latest/APIReference/API_GetFederationToken.html>
    async fn get_federation_token(
        &self,
        context: &RequestContext,
        input: GetFederationTokenRequest,
    ) -> Result<GetFederationTokenResponse, ApiError> {
        assume::check_policy(input.policy.as_deref())?;
        let user = Identity::federated_user(&context.account, &input.name);
        let duration = input.duration_seconds.unwrap_or(DEFAULT_SESSION_SECS);
        Ok(GetFederationTokenResponse {
            credentials: Some(sessions::start(&self.state, &user, duration).await?),
            federated_user: Some(FederatedUser {
                arn: user.arn,
                federated_user_id: user.user_id,
            }),
            packed_policy_size: input.policy.map(|_| 1),
            ..Default::default()
        })
    }

    /// An id of AWS's form tells its account; other ids pass in development, and belong to the caller's.
    ///
    /// <https://docs.aws.amazon.com/STS/latest/APIReference/API_GetAccessKeyInfo.html>
    async fn get_access_key_info(
        &self,
        context: &RequestContext,
        input: GetAccessKeyInfoRequest,
    ) -> Result<GetAccessKeyInfoResponse, ApiError> {
        let account = access_key::account(&input.access_key_id);
        Ok(GetAccessKeyInfoResponse {
            account: Some(account.unwrap_or_else(|| context.account.clone())),
        })
    }
}
