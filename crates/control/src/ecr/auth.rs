//! The password that `docker login` takes.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use neargate_aws_api::ecr::types::*;
use neargate_aws_wire::service::RequestContext;
use neargate_registry::Grant;

use super::errors::Failure;
use super::{EcrService, records, scope_of};

/// How long a password is good for (API reference).
pub(super) const TOKEN_TTL_MS: i64 = 12 * 3600 * 1000;

/// <https://docs.aws.amazon.com/AmazonECR/latest/APIReference/API_GetAuthorizationToken.html>
pub async fn get_token(
    service: &EcrService,
    context: &RequestContext,
    request: GetAuthorizationTokenRequest,
) -> Result<GetAuthorizationTokenResponse, Failure> {
    // Deprecated, and still answered: an entry for each registry that is asked for.
    let ids = request
        .registry_ids
        .unwrap_or_else(|| vec![context.account.clone()]);
    let expires_at = service.now().plus_millis(TOKEN_TTL_MS);
    let data = ids.iter().map(|id| {
        let scope = scope_of(context, Some(id));
        // The password says whose registry it is, wherever that is reached.
        let endpoint = service
            .endpoint
            .clone()
            .unwrap_or_else(|| format!("https://{}", records::registry_host(&scope)));
        let password = service
            .registry
            .sign_token(&Grant::Registry { scope, expires_at });
        AuthorizationData {
            authorization_token: Some(STANDARD.encode(format!("AWS:{password}"))),
            expires_at: Some(expires_at.to_jiff()),
            proxy_endpoint: Some(endpoint),
        }
    });
    Ok(GetAuthorizationTokenResponse {
        authorization_data: Some(data.collect()),
    })
}
