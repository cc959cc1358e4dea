//! How a deployment fails, in AWS's words.

use std::time::Duration;

use serde::{Deserialize, Serialize};

/// `errorInformation.code`. The values that make sense for ECS.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum ErrorCode {
    AlarmActive,
    ManualStop,
    Timeout,
    HookExecutionFailure,
    InvalidEcsService,
    EcsUpdateError,
    ElasticLoadBalancingInvalid,
    InvalidLambdaFunction,
    InvalidRevision,
}

impl ErrorCode {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::AlarmActive => "ALARM_ACTIVE",
            Self::ManualStop => "MANUAL_STOP",
            Self::Timeout => "TIMEOUT",
            Self::HookExecutionFailure => "HOOK_EXECUTION_FAILURE",
            Self::InvalidEcsService => "INVALID_ECS_SERVICE",
            Self::EcsUpdateError => "ECS_UPDATE_ERROR",
            Self::ElasticLoadBalancingInvalid => "ELASTIC_LOAD_BALANCING_INVALID",
            Self::InvalidLambdaFunction => "INVALID_LAMBDA_FUNCTION",
            Self::InvalidRevision => "INVALID_REVISION",
        }
    }
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Failure {
    pub code: ErrorCode,
    pub message: String,
}

impl Failure {
    fn new(code: ErrorCode, message: impl Into<String>) -> Self {
        Self {
            code,
            message: message.into(),
        }
    }

    /// The AppSpec cannot be used.
    pub fn invalid_revision(detail: &str) -> Self {
        Self::new(ErrorCode::InvalidRevision, detail)
    }

    /// ECS refused a change of the service.
    pub fn ecs_refused(detail: &str) -> Self {
        let detail = detail.trim_end_matches('.');
        let message = format!(
            "The Amazon ECS service cannot be updated due to an unexpected error: {detail}. Check your Amazon ECS \
             service status."
        );
        Self::new(ErrorCode::EcsUpdateError, message)
    }

    /// Elastic Load Balancing refused a change of a listener.
    pub fn elb_refused(detail: &str) -> Self {
        let message = format!("The ELB could not be updated due to the following error: {detail}");
        Self::new(ErrorCode::ElasticLoadBalancingInvalid, message)
    }

    pub(super) fn green_not_steady() -> Self {
        let message = "The deployment timed out while waiting for the replacement task set to become healthy. \
                       This time out period is 60 minutes.";
        Self::new(ErrorCode::Timeout, message)
    }

    pub(super) fn hook_failed() -> Self {
        let message = "The deployment failed because one or more of the lifecycle event validation functions failed.";
        Self::new(ErrorCode::HookExecutionFailure, message)
    }

    pub(super) fn hook_silent() -> Self {
        let message = "The deployment timed out while waiting for a status callback. CodeDeploy expects a status \
                       callback within one hour after a deployment hook is invoked.";
        Self::new(ErrorCode::Timeout, message)
    }

    pub(super) fn no_such_function(detail: &str) -> Self {
        Self::new(ErrorCode::InvalidLambdaFunction, detail)
    }

    pub(super) fn not_continued(wait: Duration) -> Self {
        let minutes = wait.as_secs() / 60;
        let message = format!(
            "The deployment timed out while waiting for a notification to continue. This time out period is \
             {minutes} minutes."
        );
        Self::new(ErrorCode::Timeout, message)
    }

    pub(super) fn not_behind_listener() -> Self {
        Self::elb_refused("Primary taskset target group must be behind listener")
    }

    pub(super) fn alarms(names: &[String]) -> Self {
        let message = format!(
            "One or more alarms have been activated according to the Amazon CloudWatch metrics you selected, and the \
             affected deployments have been stopped. Activated alarms: <{}>",
            names.join(", ")
        );
        Self::new(ErrorCode::AlarmActive, message)
    }

    pub(super) fn stopped_by_user() -> Self {
        Self::new(
            ErrorCode::ManualStop,
            "The deployment was stopped by a user request.",
        )
    }

    pub(super) fn service_gone(detail: &str) -> Self {
        Self::new(ErrorCode::InvalidEcsService, detail)
    }

    pub(super) fn task_set_gone() -> Self {
        Self::new(
            ErrorCode::EcsUpdateError,
            "A task set of the deployment was deleted while the deployment was in progress.",
        )
    }
}
