//! Revisions of applications: AppSpecs, each known by the SHA-256 of its text.
//!
//! Whoever describes a revision without its text (as GetDeployment does) can ask for it here.

use std::collections::BTreeSet;

use neargate_aws_api::codedeploy::types::*;
use neargate_aws_wire::error::ApiError;
use neargate_aws_wire::service::RequestContext;
use neargate_domain::{Scope, Timestamp};

use super::records::{GroupRecord, RevisionRecord};
use super::{app_spec, applications, errors, keys, pages};
use crate::scope_of;
use crate::state::{Attempt, Changes, State, StateError, Stored};

/// Longest description, of revisions and deployments. The API reference says 256, and the GitHub Action cuts at 512.
pub const MAX_DESCRIPTION_CHARS: usize = 512;
/// Revisions that BatchGetApplicationRevisions takes.
const MAX_BATCH: usize = 25;

/// The AppSpec of a revision that a caller gives in full.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Content {
    pub text: String,
    pub sha256: String,
}

/// How a revision is shown: by its SHA-256, with or without its text.
pub fn location(sha256: &str, text: Option<&str>) -> RevisionLocation {
    RevisionLocation {
        revision_type: Some(RevisionLocationType::AppSpecContent),
        app_spec_content: Some(AppSpecContent {
            content: text.map(str::to_owned),
            sha256: Some(sha256.to_owned()),
        }),
        ..RevisionLocation::default()
    }
}

/// The text of a revision that is deployed or registered. If its SHA-256 is given too, it must be right.
pub fn content_of(location: Option<&RevisionLocation>) -> Result<Content, ApiError> {
    let content = app_spec_content(location)?;
    let text = content.content.clone().unwrap_or_default();
    if text.is_empty() {
        return Err(errors::invalid_revision(
            "The content of appSpecContent is empty. Give the text of an AppSpec file.",
        ));
    }
    if text.len() > app_spec::MAX_BYTES {
        return Err(errors::invalid_revision(
            app_spec::AppSpecError::TooLong(text.len()).to_string(),
        ));
    }
    let sha256 = app_spec::sha256(&text);
    match given_sha256(content) {
        Some(given) if !given.eq_ignore_ascii_case(&sha256) => {
            Err(errors::invalid_revision(format!(
                "The SHA-256 of the content is {sha256}, and sha256 says {given}. Give the one of the content, or none."
            )))
        }
        _ => Ok(Content { text, sha256 }),
    }
}

/// The SHA-256 of a revision that is asked for: as given, or of its text.
fn sha256_of(location: &RevisionLocation) -> Result<String, ApiError> {
    let content = app_spec_content(Some(location))?;
    match (given_sha256(content), &content.content) {
        (Some(given), _) => Ok(given.to_ascii_lowercase()),
        (None, Some(text)) => Ok(app_spec::sha256(text)),
        (None, None) => Err(errors::invalid_revision(
            "appSpecContent must have the content of the revision or its sha256.",
        )),
    }
}

fn given_sha256(content: &AppSpecContent) -> Option<&str> {
    content.sha256.as_deref().filter(|given| !given.is_empty())
}

fn app_spec_content(location: Option<&RevisionLocation>) -> Result<&AppSpecContent, ApiError> {
    let location = location.ok_or_else(errors::revision_required)?;
    match (location.revision_type, &location.app_spec_content) {
        (Some(RevisionLocationType::AppSpecContent), Some(content)) => Ok(content),
        (Some(RevisionLocationType::AppSpecContent), None) => Err(errors::invalid_revision(
            "A revision of the type AppSpecContent must have appSpecContent.",
        )),
        (Some(RevisionLocationType::S3), _) => Err(errors::invalid_revision(
            "Neargate has no S3, so a revision cannot be read from there. Give the text of the AppSpec file as appSpecContent.",
        )),
        (Some(other), _) => Err(errors::invalid_revision(format!(
            "The revision type {other} is not for ECS. Give the text of the AppSpec file as appSpecContent."
        ))),
        (None, _) => Err(errors::invalid_revision(
            "revisionType is missing; give AppSpecContent.",
        )),
    }
}

/// What a revision is registered for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Purpose<'a> {
    /// RegisterApplicationRevision.
    Keep { description: Option<&'a str> },
    /// A deployment of it is created.
    Deploy,
}

/// Adds to a transaction that an application has a revision. The transaction must pin the application
/// ([`applications::pin`]) or write a deployment group of it.
pub async fn register_in(
    state: &State,
    changes: &mut Changes,
    scope: &Scope,
    application: &str,
    content: &Content,
    purpose: Purpose<'_>,
) -> Result<(), StateError> {
    let now = state.now();
    let key = keys::revision(scope, application, &content.sha256);
    let stored: Option<Stored<RevisionRecord>> = state.get(&key).await?;
    let mut record = match &stored {
        Some(stored) => stored.record.clone(),
        None => RevisionRecord {
            sha256: content.sha256.clone(),
            content: content.text.clone(),
            description: None,
            registered_at: now,
            first_used_at: None,
            last_used_at: None,
        },
    };
    match purpose {
        Purpose::Keep { description } => {
            record.registered_at = now;
            record.description = description.map(str::to_owned);
        }
        Purpose::Deploy => {
            record.first_used_at = record.first_used_at.or(Some(now));
            record.last_used_at = Some(now);
        }
    }
    match &stored {
        Some(stored) => changes.replace(stored, &record),
        None => changes.create(&key, &record),
    };
    Ok(())
}

/// <https://docs.aws.amazon.com/codedeploy/latest/APIReference/API_RegisterApplicationRevision.html>
pub async fn register(
    state: &State,
    context: &RequestContext,
    input: RegisterApplicationRevisionInput,
) -> Result<(), ApiError> {
    let scope = scope_of(context);
    let name = &input.application_name;
    check_description(input.description.as_deref())?;
    state
        .retrying(|| async {
            let application = applications::find(state, &scope, name).await?;
            let content = content_of(Some(&input.revision))?;
            let purpose = Purpose::Keep {
                description: input.description.as_deref(),
            };
            let mut changes = Changes::new();
            applications::pin(&mut changes, &application);
            register_in(state, &mut changes, &scope, name, &content, purpose).await?;
            state.commit(changes).await?;
            Ok::<_, Attempt<ApiError>>(())
        })
        .await
}

pub fn check_description(description: Option<&str>) -> Result<(), ApiError> {
    let chars = description.map_or(0, |text| text.chars().count());
    match chars > MAX_DESCRIPTION_CHARS {
        true => Err(DescriptionTooLongException::new(format!(
            "The description has {chars} characters; the most is {MAX_DESCRIPTION_CHARS}."
        ))
        .into()),
        false => Ok(()),
    }
}

/// <https://docs.aws.amazon.com/codedeploy/latest/APIReference/API_GetApplicationRevision.html>
pub async fn get(
    state: &State,
    context: &RequestContext,
    input: GetApplicationRevisionInput,
) -> Result<GetApplicationRevisionOutput, ApiError> {
    let scope = scope_of(context);
    let name = input.application_name;
    applications::find(state, &scope, &name).await?;
    let sha256 = sha256_of(&input.revision)?;
    let record = find(state, &scope, &name, &sha256)
        .await?
        .ok_or_else(|| not_found(&sha256))?;
    let uses = uses(state, &scope, &name).await?;
    Ok(GetApplicationRevisionOutput {
        revision: Some(location(&record.sha256, Some(&record.content))),
        revision_info: Some(info(&record, &uses)),
        application_name: Some(name),
    })
}

/// <https://docs.aws.amazon.com/codedeploy/latest/APIReference/API_BatchGetApplicationRevisions.html>
pub async fn batch_get(
    state: &State,
    context: &RequestContext,
    input: BatchGetApplicationRevisionsInput,
) -> Result<BatchGetApplicationRevisionsOutput, ApiError> {
    let scope = scope_of(context);
    let name = input.application_name;
    applications::find(state, &scope, &name).await?;
    if input.revisions.is_empty() {
        return Err(errors::revision_required());
    }
    if input.revisions.len() > MAX_BATCH {
        let given = input.revisions.len();
        return Err(errors::batch_limit("revisions", given, MAX_BATCH));
    }
    let uses = uses(state, &scope, &name).await?;
    let mut found = Vec::new();
    let mut unknown = Vec::new();
    for given in &input.revisions {
        let sha256 = sha256_of(given)?;
        match find(state, &scope, &name, &sha256).await? {
            Some(record) => found.push(RevisionInfo {
                generic_revision_info: Some(info(&record, &uses)),
                revision_location: Some(location(&record.sha256, Some(&record.content))),
            }),
            None => unknown.push(sha256),
        }
    }
    Ok(BatchGetApplicationRevisionsOutput {
        application_name: Some(name),
        error_message: (!unknown.is_empty()).then(|| not_found(&unknown.join(", ")).message),
        revisions: Some(found),
    })
}

async fn find(
    state: &State,
    scope: &Scope,
    application: &str,
    sha256: &str,
) -> Result<Option<RevisionRecord>, StateError> {
    // What is no digest cannot be a part of a key either.
    if !sha256.bytes().all(|b| b.is_ascii_hexdigit()) {
        return Ok(None);
    }
    let key = keys::revision(scope, application, sha256);
    let found: Option<Stored<RevisionRecord>> = state.get(&key).await?;
    Ok(found.map(|found| found.record))
}

fn not_found(sha256: &str) -> ApiError {
    RevisionDoesNotExistException::new(format!("No revision found with the SHA-256 {sha256}"))
        .into()
}

/// Which deployment groups have which revision as their target.
async fn uses(
    state: &State,
    scope: &Scope,
    application: &str,
) -> Result<BTreeSet<(String, String)>, StateError> {
    let groups: Vec<Stored<GroupRecord>> = state.list(&keys::groups(scope, application)).await?;
    Ok(groups
        .into_iter()
        .filter_map(|group| Some((group.record.target_revision?, group.record.name)))
        .collect())
}

fn info(record: &RevisionRecord, uses: &BTreeSet<(String, String)>) -> GenericRevisionInfo {
    let groups = uses.iter().filter(|(sha256, _)| *sha256 == record.sha256);
    GenericRevisionInfo {
        deployment_groups: Some(groups.map(|(_, group)| group.clone()).collect()),
        description: record.description.clone(),
        first_used_time: record.first_used_at.map(Timestamp::to_jiff),
        last_used_time: record.last_used_at.map(Timestamp::to_jiff),
        register_time: Some(record.registered_at.to_jiff()),
    }
}

/// <https://docs.aws.amazon.com/codedeploy/latest/APIReference/API_ListApplicationRevisions.html>
pub async fn list(
    state: &State,
    context: &RequestContext,
    input: ListApplicationRevisionsInput,
) -> Result<ListApplicationRevisionsOutput, ApiError> {
    let scope = scope_of(context);
    let name = &input.application_name;
    applications::find(state, &scope, name).await?;
    let by_bucket = input.s3_bucket.is_some() || input.s3_key_prefix.is_some();
    if input.s3_bucket.is_none() && by_bucket {
        return Err(BucketNameFilterRequiredException::new(
            "s3KeyPrefix goes with s3Bucket only. Give both.",
        )
        .into());
    }
    let deployed: BTreeSet<String> = uses(state, &scope, name)
        .await?
        .into_iter()
        .map(|(sha256, _)| sha256)
        .collect();
    let mut revisions: Vec<Stored<RevisionRecord>> =
        state.list(&keys::revisions(&scope, name)).await?;
    // None is in S3.
    revisions.retain(|found| {
        let is_deployed = deployed.contains(&found.record.sha256);
        !by_bucket && passes(input.deployed, is_deployed)
    });
    let descending = input.sort_order == Some(SortOrder::Descending);
    let keyed = revisions.into_iter().map(|found| {
        let record = found.record;
        (position(&record, input.sort_by, descending), record.sha256)
    });
    let (page, next_token) = pages::page(keyed.collect(), input.next_token.as_deref())?;
    let shown = page.iter().map(|sha256| location(sha256, None));
    Ok(ListApplicationRevisionsOutput {
        next_token,
        revisions: Some(shown.collect()),
    })
}

fn passes(filter: Option<ListStateFilterAction>, is_deployed: bool) -> bool {
    match filter {
        None | Some(ListStateFilterAction::Ignore) => true,
        Some(ListStateFilterAction::Include) => is_deployed,
        Some(ListStateFilterAction::Exclude) => !is_deployed,
    }
}

/// A text that sorts as asked for: by a time, the oldest or the newest first, those without it last.
fn position(
    record: &RevisionRecord,
    by: Option<ApplicationRevisionSortBy>,
    descending: bool,
) -> String {
    let at = match by {
        None | Some(ApplicationRevisionSortBy::RegisterTime) => Some(record.registered_at),
        Some(ApplicationRevisionSortBy::FirstUsedTime) => record.first_used_at,
        Some(ApplicationRevisionSortBy::LastUsedTime) => record.last_used_at,
    };
    let millis = match at {
        Some(Timestamp(millis)) if descending => i64::MAX - millis,
        Some(Timestamp(millis)) => millis,
        None => i64::MAX,
    };
    format!("{millis:020} {}", record.sha256)
}
