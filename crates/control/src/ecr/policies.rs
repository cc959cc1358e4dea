//! Repository and registry policies: kept and answered as text. Whoever checks permissions reads them.

use neargate_aws_api::ecr::types::*;
use neargate_aws_wire::service::RequestContext;
use neargate_registry::RepositoryName;
use serde_json::Value;

use super::errors::{self, Failure, absent_in};
use super::{EcrService, scope_of};

/// Setting of a registry that holds its policy.
const REGISTRY_POLICY: &str = "registry-policy";

/// An object with statements that allow or deny; what they say is not looked at here.
pub fn is_policy(text: &str) -> bool {
    let Ok(Value::Object(policy)) = serde_json::from_str::<Value>(text) else {
        return false;
    };
    let is_statement = |statement: &Value| {
        matches!(statement["Effect"].as_str(), Some("Allow" | "Deny"))
            && (statement.get("Action").is_some() || statement.get("NotAction").is_some())
    };
    match policy.get("Statement") {
        Some(Value::Array(statements)) => {
            !statements.is_empty() && statements.iter().all(is_statement)
        }
        Some(statement @ Value::Object(_)) => is_statement(statement),
        _ => false,
    }
}

/// <https://docs.aws.amazon.com/AmazonECR/latest/APIReference/API_SetRepositoryPolicy.html>
pub async fn set(
    service: &EcrService,
    context: &RequestContext,
    request: SetRepositoryPolicyRequest,
) -> Result<SetRepositoryPolicyResponse, Failure> {
    let scope = scope_of(context, request.registry_id.as_deref());
    let name = RepositoryName::parse(&request.repository_name)?;
    if !is_policy(&request.policy_text) {
        return Err(errors::invalid("PolicyText", "Invalid repository policy provided").into());
    }
    service
        .registry
        .update_repository::<_, Failure>(&scope, &name, &|record| {
            record.policy_text = Some(request.policy_text.clone());
            Ok(())
        })
        .await?;
    Ok(SetRepositoryPolicyResponse {
        registry_id: Some(scope.account),
        repository_name: Some(request.repository_name),
        policy_text: Some(request.policy_text),
    })
}

/// <https://docs.aws.amazon.com/AmazonECR/latest/APIReference/API_GetRepositoryPolicy.html>
pub async fn get(
    service: &EcrService,
    context: &RequestContext,
    request: GetRepositoryPolicyRequest,
) -> Result<GetRepositoryPolicyResponse, Failure> {
    let scope = scope_of(context, request.registry_id.as_deref());
    let name = RepositoryName::parse(&request.repository_name)?;
    let record = service.registry.repository(&scope, &name).await?;
    let text = record.policy_text.ok_or_else(|| {
        Failure::Api(
            RepositoryPolicyNotFoundException::new(absent_in("Repository policy", &scope, &name))
                .into(),
        )
    })?;
    Ok(GetRepositoryPolicyResponse {
        registry_id: Some(scope.account),
        repository_name: Some(request.repository_name),
        policy_text: Some(text),
    })
}

/// <https://docs.aws.amazon.com/AmazonECR/latest/APIReference/API_DeleteRepositoryPolicy.html>
pub async fn delete(
    service: &EcrService,
    context: &RequestContext,
    request: DeleteRepositoryPolicyRequest,
) -> Result<DeleteRepositoryPolicyResponse, Failure> {
    let scope = scope_of(context, request.registry_id.as_deref());
    let name = RepositoryName::parse(&request.repository_name)?;
    let text = service
        .registry
        .update_repository::<_, Failure>(&scope, &name, &|record| {
            record.policy_text.take().ok_or_else(|| {
                let text = absent_in("Repository policy", &scope, &name);
                Failure::Api(RepositoryPolicyNotFoundException::new(text).into())
            })
        })
        .await?;
    Ok(DeleteRepositoryPolicyResponse {
        registry_id: Some(scope.account),
        repository_name: Some(request.repository_name),
        policy_text: Some(text),
    })
}

/// <https://docs.aws.amazon.com/AmazonECR/latest/APIReference/API_PutRegistryPolicy.html>
pub async fn put_registry(
    service: &EcrService,
    context: &RequestContext,
    request: PutRegistryPolicyRequest,
) -> Result<PutRegistryPolicyResponse, Failure> {
    let scope = scope_of(context, None);
    if !is_policy(&request.policy_text) {
        return Err(errors::invalid("PolicyText", "Invalid registry policy provided").into());
    }
    service
        .registry
        .put_setting(&scope, REGISTRY_POLICY, &request.policy_text)
        .await?;
    Ok(PutRegistryPolicyResponse {
        registry_id: Some(scope.account),
        policy_text: Some(request.policy_text),
    })
}

/// <https://docs.aws.amazon.com/AmazonECR/latest/APIReference/API_GetRegistryPolicy.html>
pub async fn get_registry(
    service: &EcrService,
    context: &RequestContext,
    _: GetRegistryPolicyRequest,
) -> Result<GetRegistryPolicyResponse, Failure> {
    let scope = scope_of(context, None);
    let text = registry_policy(service, context).await?;
    Ok(GetRegistryPolicyResponse {
        registry_id: Some(scope.account),
        policy_text: Some(text),
    })
}

/// <https://docs.aws.amazon.com/AmazonECR/latest/APIReference/API_DeleteRegistryPolicy.html>
pub async fn delete_registry(
    service: &EcrService,
    context: &RequestContext,
    _: DeleteRegistryPolicyRequest,
) -> Result<DeleteRegistryPolicyResponse, Failure> {
    let scope = scope_of(context, None);
    let text = registry_policy(service, context).await?;
    service
        .registry
        .delete_setting(&scope, REGISTRY_POLICY)
        .await?;
    Ok(DeleteRegistryPolicyResponse {
        registry_id: Some(scope.account),
        policy_text: Some(text),
    })
}

async fn registry_policy(
    service: &EcrService,
    context: &RequestContext,
) -> Result<String, Failure> {
    let scope = scope_of(context, None);
    let found = service.registry.setting(&scope, REGISTRY_POLICY).await?;
    found.ok_or_else(|| {
        let text = format!(
            "Registry policy does not exist in the registry with id '{}'",
            scope.account
        );
        Failure::Api(RegistryPolicyNotFoundException::new(text).into())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn policies_have_statements() {
        for (name, text, want) in [
            (
                "one",
                r#"{"Statement": {"Effect": "Allow", "Action": "ecr:*"}}"#,
                true,
            ),
            (
                "list",
                r#"{"Statement": [{"Effect": "Deny", "NotAction": ["ecr:GetImage"]}]}"#,
                true,
            ),
            ("empty list", r#"{"Statement": []}"#, false),
            (
                "no effect",
                r#"{"Statement": [{"Action": "ecr:*"}]}"#,
                false,
            ),
            (
                "wrong effect",
                r#"{"Statement": [{"Effect": "Maybe", "Action": "ecr:*"}]}"#,
                false,
            ),
            (
                "no action",
                r#"{"Statement": [{"Effect": "Allow"}]}"#,
                false,
            ),
            ("no statement", r#"{"Version": "2012-10-17"}"#, false),
            ("a list", "[]", false),
            ("not JSON", "{", false),
        ] {
            assert_eq!(is_policy(text), want, "{name}");
        }
    }
}
