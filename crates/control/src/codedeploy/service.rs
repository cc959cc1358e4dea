//! The CodeDeploy API. Each method is a line: what it does is in the module of its resource.

use std::sync::Arc;

use async_trait::async_trait;
use neargate_aws_api::codedeploy::CodeDeploy;
use neargate_aws_api::codedeploy::types::*;
use neargate_aws_wire::error::ApiError;
use neargate_aws_wire::service::RequestContext;

use super::{applications, configs, deployments, groups, revisions, tags};
use crate::ecs::services::ServiceBoard;
use crate::state::State;

pub struct CodeDeployService {
    state: State,
    services: Arc<ServiceBoard>,
}

impl CodeDeployService {
    pub fn new(state: State, services: Arc<ServiceBoard>) -> Self {
        Self { state, services }
    }
}

/// One line per operation: `method(input) -> output = function;`, with what the function takes besides the state.
macro_rules! operations {
    ($($method:ident($input:ty) -> $output:ty = $($function:ident)::+ $(with $part:ident)?;)+) => {
        #[async_trait]
        impl CodeDeploy for CodeDeployService {
            $(async fn $method(&self, c: &RequestContext, i: $input) -> Result<$output, ApiError> {
                $($function)::+(&self.state, $(&self.$part,)? c, i).await
            })+
        }
    };
}

operations! {
    create_application(CreateApplicationInput) -> CreateApplicationOutput = applications::create;
    get_application(GetApplicationInput) -> GetApplicationOutput = applications::get;
    batch_get_applications(BatchGetApplicationsInput) -> BatchGetApplicationsOutput = applications::batch_get;
    list_applications(ListApplicationsInput) -> ListApplicationsOutput = applications::list;
    update_application(UpdateApplicationInput) -> () = applications::update;
    delete_application(DeleteApplicationInput) -> () = applications::delete;

    create_deployment_config(CreateDeploymentConfigInput) -> CreateDeploymentConfigOutput = configs::create;
    get_deployment_config(GetDeploymentConfigInput) -> GetDeploymentConfigOutput = configs::get;
    list_deployment_configs(ListDeploymentConfigsInput) -> ListDeploymentConfigsOutput = configs::list;
    delete_deployment_config(DeleteDeploymentConfigInput) -> () = configs::delete;

    create_deployment_group(CreateDeploymentGroupInput) -> CreateDeploymentGroupOutput = groups::create;
    get_deployment_group(GetDeploymentGroupInput) -> GetDeploymentGroupOutput = groups::get;
    batch_get_deployment_groups(BatchGetDeploymentGroupsInput) -> BatchGetDeploymentGroupsOutput = groups::batch_get;
    list_deployment_groups(ListDeploymentGroupsInput) -> ListDeploymentGroupsOutput = groups::list;
    update_deployment_group(UpdateDeploymentGroupInput) -> UpdateDeploymentGroupOutput = groups::update;
    delete_deployment_group(DeleteDeploymentGroupInput) -> DeleteDeploymentGroupOutput = groups::delete;

    register_application_revision(RegisterApplicationRevisionInput) -> () = revisions::register;
    get_application_revision(GetApplicationRevisionInput) -> GetApplicationRevisionOutput = revisions::get;
    batch_get_application_revisions(BatchGetApplicationRevisionsInput) -> BatchGetApplicationRevisionsOutput = revisions::batch_get;
    list_application_revisions(ListApplicationRevisionsInput) -> ListApplicationRevisionsOutput = revisions::list;

    create_deployment(CreateDeploymentInput) -> CreateDeploymentOutput = deployments::create;
    get_deployment(GetDeploymentInput) -> GetDeploymentOutput = deployments::get;
    batch_get_deployments(BatchGetDeploymentsInput) -> BatchGetDeploymentsOutput = deployments::batch_get;
    list_deployments(ListDeploymentsInput) -> ListDeploymentsOutput = deployments::list;
    stop_deployment(StopDeploymentInput) -> StopDeploymentOutput = deployments::stop;
    continue_deployment(ContinueDeploymentInput) -> () = deployments::continue_deployment;
    skip_wait_time_for_instance_termination(SkipWaitTimeForInstanceTerminationInput) -> () = deployments::skip_termination_wait;
    put_lifecycle_event_hook_execution_status(PutLifecycleEventHookExecutionStatusInput) -> PutLifecycleEventHookExecutionStatusOutput = deployments::answer;
    get_deployment_target(GetDeploymentTargetInput) -> GetDeploymentTargetOutput = deployments::get_target with services;
    batch_get_deployment_targets(BatchGetDeploymentTargetsInput) -> BatchGetDeploymentTargetsOutput = deployments::batch_get_targets with services;
    list_deployment_targets(ListDeploymentTargetsInput) -> ListDeploymentTargetsOutput = deployments::list_targets;
    get_deployment_instance(GetDeploymentInstanceInput) -> GetDeploymentInstanceOutput = deployments::get_instance;
    batch_get_deployment_instances(BatchGetDeploymentInstancesInput) -> BatchGetDeploymentInstancesOutput = deployments::batch_get_instances;
    list_deployment_instances(ListDeploymentInstancesInput) -> ListDeploymentInstancesOutput = deployments::list_instances;

    tag_resource(TagResourceInput) -> TagResourceOutput = tags::tag;
    untag_resource(UntagResourceInput) -> UntagResourceOutput = tags::untag;
    list_tags_for_resource(ListTagsForResourceInput) -> ListTagsForResourceOutput = tags::list;
}
