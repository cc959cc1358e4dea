//! Account settings. Each is kept per principal and region; `default` stands for the whole account.

use std::collections::BTreeMap;

use neargate_aws_api::ecs::types::*;
use neargate_aws_wire::error::ApiError;
use neargate_aws_wire::service::RequestContext;
use neargate_domain::Scope;

use super::records::AccountSettingRecord;
use super::{caller_arn, errors, keys};
use crate::page;
use crate::scope_of;
use crate::state::{Changes, State, StateError, Stored};

/// Principal of the account-wide settings.
const ACCOUNT_WIDE: &str = "default";
const MAX_PAGE: i32 = 10;

/// All settings.
const SETTINGS: &[SettingName] = &[
    SettingName::AwsvpcTrunking,
    SettingName::ContainerInsights,
    SettingName::ContainerInstanceLongArnFormat,
    SettingName::DefaultLogDriverMode,
    SettingName::FargateEventWindows,
    SettingName::FargateFipsMode,
    SettingName::FargateTaskRetirementWaitPeriod,
    SettingName::GuardDutyActivate,
    SettingName::ServiceLongArnFormat,
    SettingName::TagResourceAuthorization,
    SettingName::TaskLongArnFormat,
];

/// Values that a setting takes, and the one that it has when nobody set it. `None`: read-only.
fn values_of(name: SettingName) -> (Option<&'static [&'static str]>, &'static str) {
    match name {
        SettingName::ServiceLongArnFormat
        | SettingName::TaskLongArnFormat
        | SettingName::ContainerInstanceLongArnFormat => {
            (Some(&["enabled", "disabled"]), "enabled")
        }
        SettingName::AwsvpcTrunking
        | SettingName::FargateFipsMode
        | SettingName::FargateEventWindows => (Some(&["enabled", "disabled"]), "disabled"),
        SettingName::ContainerInsights => (Some(&["enabled", "disabled", "enhanced"]), "disabled"),
        SettingName::TagResourceAuthorization => (Some(&["on", "off"]), "on"),
        SettingName::FargateTaskRetirementWaitPeriod => (Some(&["0", "7", "14"]), "7"),
        SettingName::GuardDutyActivate => (None, "off"),
        SettingName::DefaultLogDriverMode => (Some(&["blocking", "non-blocking"]), "non-blocking"),
    }
}

/// <https://docs.aws.amazon.com/AmazonECS/latest/APIReference/API_PutAccountSetting.html>
pub async fn put(
    state: &State,
    context: &RequestContext,
    request: PutAccountSettingRequest,
) -> Result<PutAccountSettingResponse, ApiError> {
    let principal = request.principal_arn.unwrap_or_else(|| caller_arn(context));
    let setting = write(state, context, principal, request.name, request.value).await?;
    Ok(PutAccountSettingResponse {
        setting: Some(setting),
    })
}

/// <https://docs.aws.amazon.com/AmazonECS/latest/APIReference/API_PutAccountSettingDefault.html>
pub async fn put_default(
    state: &State,
    context: &RequestContext,
    request: PutAccountSettingDefaultRequest,
) -> Result<PutAccountSettingDefaultResponse, ApiError> {
    let setting = write(
        state,
        context,
        ACCOUNT_WIDE.to_owned(),
        request.name,
        request.value,
    )
    .await?;
    Ok(PutAccountSettingDefaultResponse {
        setting: Some(setting),
    })
}

async fn write(
    state: &State,
    context: &RequestContext,
    principal: String,
    name: SettingName,
    value: String,
) -> Result<Setting, ApiError> {
    let scope = scope_of(context);
    match values_of(name).0 {
        None => {
            return Err(errors::invalid_parameter(format!(
                "The account setting {name} cannot be changed."
            )));
        }
        Some(values) if !values.contains(&value.as_str()) => {
            return Err(errors::invalid_parameter(format!(
                "Invalid value '{value}' for the account setting {name}; it takes {}.",
                values.join(", ")
            )));
        }
        Some(_) => {}
    }
    let record = AccountSettingRecord {
        principal,
        name: name.as_str().to_owned(),
        value,
    };
    let mut changes = Changes::new();
    changes.put(&setting_key(&scope, &record.principal, name), &record);
    state.commit(changes).await?;
    Ok(render(name, record.value, &record.principal, &scope))
}

/// <https://docs.aws.amazon.com/AmazonECS/latest/APIReference/API_DeleteAccountSetting.html>
pub async fn delete(
    state: &State,
    context: &RequestContext,
    request: DeleteAccountSettingRequest,
) -> Result<DeleteAccountSettingResponse, ApiError> {
    let scope = scope_of(context);
    let principal = request.principal_arn.unwrap_or_else(|| caller_arn(context));
    let mut changes = Changes::new();
    changes.delete(&setting_key(&scope, &principal, request.name));
    state.commit(changes).await?;
    let value = effective(state, &scope, request.name, &principal).await?;
    Ok(DeleteAccountSettingResponse {
        setting: Some(render(request.name, value, &principal, &scope)),
    })
}

/// <https://docs.aws.amazon.com/AmazonECS/latest/APIReference/API_ListAccountSettings.html>
pub async fn list(
    state: &State,
    context: &RequestContext,
    request: ListAccountSettingsRequest,
) -> Result<ListAccountSettingsResponse, ApiError> {
    let scope = scope_of(context);
    let limit = super::page_limit(request.max_results, MAX_PAGE, MAX_PAGE)?;
    let position = super::task_definitions::position(request.next_token.as_deref())?;
    let principal = request.principal_arn.unwrap_or_else(|| caller_arn(context));
    let mut found = BTreeMap::new();
    for name in SETTINGS {
        if request.name.is_some_and(|wanted| wanted != *name) {
            continue;
        }
        let value = if request.effective_settings == Some(true) {
            Some(effective(state, &scope, *name, &principal).await?)
        } else {
            own(state, &scope, *name, &principal).await?
        };
        if let Some(value) =
            value.filter(|v| request.value.as_ref().is_none_or(|wanted| wanted == v))
        {
            found.insert(name.as_str(), render(*name, value, &principal, &scope));
        }
    }
    let (page, next_token) = page::page_of(found, |(name, _)| name, position.as_deref(), limit);
    Ok(ListAccountSettingsResponse {
        settings: Some(page.into_iter().map(|(_, setting)| setting).collect()),
        next_token,
    })
}

/// The value that holds for a principal: its own, else the account's, else ECS's.
pub async fn effective(
    state: &State,
    scope: &Scope,
    name: SettingName,
    principal: &str,
) -> Result<String, StateError> {
    for principal in [principal, ACCOUNT_WIDE] {
        if let Some(value) = own(state, scope, name, principal).await? {
            return Ok(value);
        }
    }
    Ok(values_of(name).1.to_owned())
}

async fn own(
    state: &State,
    scope: &Scope,
    name: SettingName,
    principal: &str,
) -> Result<Option<String>, StateError> {
    let stored: Option<Stored<AccountSettingRecord>> =
        state.get(&setting_key(scope, principal, name)).await?;
    Ok(stored.map(|s| s.record.value))
}

fn setting_key(scope: &Scope, principal: &str, name: SettingName) -> String {
    keys::account_setting(scope, principal, name.as_str())
}

fn render(name: SettingName, value: String, principal: &str, scope: &Scope) -> Setting {
    let principal_arn = if principal == ACCOUNT_WIDE {
        format!("arn:aws:iam::{}:root", scope.account)
    } else {
        principal.to_owned()
    };
    let r#type = if values_of(name).0.is_some() {
        SettingType::User
    } else {
        SettingType::AwsManaged
    };
    Setting {
        name: Some(name),
        value: Some(value),
        principal_arn: Some(principal_arn),
        r#type: Some(r#type),
    }
}
