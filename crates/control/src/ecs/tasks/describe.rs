//! DescribeTasks and ListTasks.

use neargate_aws_api::ecs::types::*;
use neargate_aws_wire::error::ApiError;
use neargate_aws_wire::service::RequestContext;
use neargate_domain::task as domain;
use neargate_domain::{Scope, id};

use super::render;
use crate::ecs::clusters::active_cluster;
use crate::ecs::records::TaskRecord;
use crate::ecs::{errors, keys, task_definitions};
use crate::page;
use crate::scope_of;
use crate::state::{State, Stored};

/// DescribeTasks takes this many.
const MAX_DESCRIBED: usize = 100;
const MAX_PAGE: i32 = 100;

/// The id of the task that a caller means by id or ARN; `None` for text that can name no task of this cluster.
pub fn task_id(given: &str, scope: &Scope, cluster: &str) -> Option<String> {
    if !given.starts_with("arn:") {
        return id::is_task_id(given).then(|| given.to_owned());
    }
    let arn: neargate_domain::Arn = given.parse().ok()?;
    let task = arn
        .resource
        .strip_prefix("task/")?
        .strip_prefix(cluster)?
        .strip_prefix('/')?;
    (arn.service == "ecs" && arn.scope == *scope && id::is_task_id(task)).then(|| task.to_owned())
}

/// <https://docs.aws.amazon.com/AmazonECS/latest/APIReference/API_DescribeTasks.html>
pub async fn describe(
    state: &State,
    context: &RequestContext,
    request: DescribeTasksRequest,
) -> Result<DescribeTasksResponse, ApiError> {
    let scope = scope_of(context);
    let cluster = active_cluster(state, &scope, request.cluster.as_deref())
        .await?
        .record
        .name;
    if request.tasks.is_empty() {
        return Err(errors::invalid_parameter("Tasks cannot be empty."));
    }
    if request.tasks.len() > MAX_DESCRIBED {
        return Err(errors::invalid_parameter(format!(
            "Tasks can have at most {MAX_DESCRIBED} items."
        )));
    }
    let with_tags = request
        .include
        .unwrap_or_default()
        .contains(&TaskField::Tags);
    let (mut tasks, mut failures) = (Vec::new(), Vec::new());
    for given in request.tasks {
        let found: Option<Stored<TaskRecord>> = match task_id(&given, &scope, &cluster) {
            Some(id) => state.get(&keys::task(&scope, &cluster, &id)).await?,
            None => None,
        };
        match found {
            Some(task) => tasks.push(render::task(&task.record, with_tags)),
            None => failures.push(missing(given, &scope, &cluster)),
        }
    }
    Ok(DescribeTasksResponse {
        tasks: Some(tasks),
        failures: Some(failures),
    })
}

fn missing(given: String, scope: &Scope, cluster: &str) -> Failure {
    let arn = if given.starts_with("arn:") {
        given
    } else {
        scope
            .arn("ecs", format_args!("task/{cluster}/{given}"))
            .to_string()
    };
    Failure {
        arn: Some(arn),
        reason: Some("MISSING".to_owned()),
        detail: None,
    }
}

/// <https://docs.aws.amazon.com/AmazonECS/latest/APIReference/API_ListTasks.html>
pub async fn list(
    state: &State,
    context: &RequestContext,
    request: ListTasksRequest,
) -> Result<ListTasksResponse, ApiError> {
    let scope = scope_of(context);
    let cluster = active_cluster(state, &scope, request.cluster.as_deref())
        .await?
        .record
        .name;
    let limit = crate::ecs::page_limit(request.max_results, MAX_PAGE, MAX_PAGE)?;
    let position = task_definitions::position(request.next_token.as_deref())?;
    let other_filters = request.container_instance.is_some()
        || request.family.is_some()
        || request.service_name.is_some();
    if request.started_by.is_some() && other_filters {
        return Err(errors::invalid_parameter(
            "startedBy must be the only filter: leave the other filters out.",
        ));
    }
    let wanted = Filter::new(&request, &scope);
    let all: Vec<Stored<TaskRecord>> = state.list(&keys::tasks(&scope, &cluster)).await?;
    let matching = all
        .into_iter()
        .map(|t| t.record)
        .filter(|t| wanted.matches(t));
    let (page, next_token) = page::page_of(matching, |t| &t.id, position.as_deref(), limit);
    Ok(ListTasksResponse {
        task_arns: Some(page.iter().map(TaskRecord::arn).collect()),
        next_token,
    })
}

struct Filter {
    family: Option<String>,
    started_by: Option<String>,
    group: Option<String>,
    launch_type: Option<LaunchType>,
    desired_status: DesiredStatus,
    /// Fargate has no container instances: a filter by one matches nothing.
    container_instance: bool,
}

impl Filter {
    fn new(request: &ListTasksRequest, scope: &Scope) -> Self {
        // The family may come with a revision or as an ARN; only the family counts.
        let family = request.family.as_ref().map(|given| {
            task_definitions::Reference::parse(given, scope)
                .map_or_else(|| given.clone(), |r| r.family)
        });
        let service = request.service_name.as_deref().map(|given| {
            let name = given.rsplit('/').next().unwrap_or(given);
            format!("service:{name}")
        });
        Self {
            family,
            started_by: request.started_by.clone(),
            group: service,
            launch_type: request.launch_type,
            desired_status: request.desired_status.unwrap_or(DesiredStatus::Running),
            container_instance: request.container_instance.is_some(),
        }
    }

    fn matches(&self, task: &TaskRecord) -> bool {
        let status = match task.desired_status {
            domain::DesiredStatus::Running => DesiredStatus::Running,
            domain::DesiredStatus::Stopped => DesiredStatus::Stopped,
        };
        status == self.desired_status
            && !self.container_instance
            && self.family.as_ref().is_none_or(|f| *f == task.family)
            && (self.started_by.is_none() || self.started_by == task.started_by)
            && self.group.as_ref().is_none_or(|g| *g == task.group)
            && self.launch_type.is_none_or(|l| l == LaunchType::Fargate)
    }
}
