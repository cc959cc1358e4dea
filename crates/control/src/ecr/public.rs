//! ECR Public, as far as pipelines meet it: they log in to it before they build. Public images are pulled from where
//! they are.

use std::sync::Arc;

use async_trait::async_trait;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use neargate_aws_api::ecr_public::EcrPublic;
use neargate_aws_api::ecr_public::types::*;
use neargate_aws_wire::error::ApiError;
use neargate_aws_wire::service::RequestContext;
use neargate_registry::{Grant, Registry};

use super::auth::TOKEN_TTL_MS;
use super::scope_of;
use crate::clock::Clock;

pub struct EcrPublicService {
    registry: Arc<Registry>,
    clock: Arc<dyn Clock>,
}

impl EcrPublicService {
    pub fn new(registry: Arc<Registry>, clock: Arc<dyn Clock>) -> Self {
        Self { registry, clock }
    }
}

#[async_trait]
impl EcrPublic for EcrPublicService {
    /// <https://docs.aws.amazon.com/AmazonECRPublic/latest/APIReference/API_GetAuthorizationToken.html>
    async fn get_authorization_token(
        &self,
        context: &RequestContext,
        _request: GetAuthorizationTokenRequest,
    ) -> Result<GetAuthorizationTokenResponse, ApiError> {
        let expires_at = self.clock.now().plus_millis(TOKEN_TTL_MS);
        let password = self.registry.sign_token(&Grant::Registry {
            scope: scope_of(context, None),
            expires_at,
        });
        Ok(GetAuthorizationTokenResponse {
            authorization_data: Some(AuthorizationData {
                authorization_token: Some(STANDARD.encode(format!("AWS:{password}"))),
                expires_at: Some(expires_at.to_jiff()),
            }),
        })
    }
}
