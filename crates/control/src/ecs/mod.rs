//! The ECS API on records, and the life of tasks.

mod attributes;
pub mod clusters;
mod errors;
mod idempotency;
pub mod keys;
pub mod notices;
pub mod records;
pub mod services;
mod settings;
mod tags;
pub mod task_definitions;
pub mod tasks;

use std::sync::Arc;

use async_trait::async_trait;
use neargate_aws_api::ecs::{Ecs, types::*};
use neargate_aws_wire::error::ApiError;
use neargate_aws_wire::service::RequestContext;
use neargate_domain::Scope;

use self::services::ServiceBoard;
use crate::caller_arn;
use crate::ec2::AddressPool;
use crate::state::{State, StateError};

/// Value of the `ecs.cpu-architecture` attribute of this machine's tasks.
pub const CPU_ARCHITECTURE_ATTRIBUTE: &str = if cfg!(target_arch = "aarch64") {
    "arm64"
} else {
    "x86_64"
};

/// `runtimePlatform.cpuArchitecture` that this machine runs.
pub const CPU_ARCHITECTURE: CPUArchitecture = if cfg!(target_arch = "aarch64") {
    CPUArchitecture::Arm64
} else {
    CPUArchitecture::X8664
};

/// ECS. Each method is a line: what it does is in the module of its resource.
pub struct EcsService {
    state: State,
    addresses: AddressPool,
    services: Arc<ServiceBoard>,
}

impl EcsService {
    /// `addresses` is shared with EC2, which gives out addresses of the same subnets.
    ///
    /// `services` is followed by the [`services::Reconciler`] of the same store, which must run.
    pub fn new(state: State, addresses: AddressPool, services: Arc<ServiceBoard>) -> Self {
        Self {
            state,
            addresses,
            services,
        }
    }
}

type Answer<T> = Result<T, ApiError>;

#[async_trait]
impl Ecs for EcsService {
    async fn create_cluster(
        &self,
        c: &RequestContext,
        r: CreateClusterRequest,
    ) -> Answer<CreateClusterResponse> {
        clusters::create(&self.state, c, r).await
    }

    async fn describe_clusters(
        &self,
        c: &RequestContext,
        r: DescribeClustersRequest,
    ) -> Answer<DescribeClustersResponse> {
        clusters::describe(&self.state, c, r).await
    }

    async fn list_clusters(
        &self,
        c: &RequestContext,
        r: ListClustersRequest,
    ) -> Answer<ListClustersResponse> {
        clusters::list(&self.state, c, r).await
    }

    async fn delete_cluster(
        &self,
        c: &RequestContext,
        r: DeleteClusterRequest,
    ) -> Answer<DeleteClusterResponse> {
        clusters::delete(&self.state, c, r).await
    }

    async fn update_cluster(
        &self,
        c: &RequestContext,
        r: UpdateClusterRequest,
    ) -> Answer<UpdateClusterResponse> {
        clusters::update(&self.state, c, r).await
    }

    async fn update_cluster_settings(
        &self,
        c: &RequestContext,
        r: UpdateClusterSettingsRequest,
    ) -> Answer<UpdateClusterSettingsResponse> {
        clusters::update_settings(&self.state, c, r).await
    }

    async fn put_cluster_capacity_providers(
        &self,
        c: &RequestContext,
        r: PutClusterCapacityProvidersRequest,
    ) -> Answer<PutClusterCapacityProvidersResponse> {
        clusters::put_capacity_providers(&self.state, c, r).await
    }

    async fn describe_capacity_providers(
        &self,
        c: &RequestContext,
        r: DescribeCapacityProvidersRequest,
    ) -> Answer<DescribeCapacityProvidersResponse> {
        clusters::describe_capacity_providers(c, r)
    }

    async fn register_task_definition(
        &self,
        c: &RequestContext,
        r: RegisterTaskDefinitionRequest,
    ) -> Answer<RegisterTaskDefinitionResponse> {
        task_definitions::register(&self.state, c, r).await
    }

    async fn describe_task_definition(
        &self,
        c: &RequestContext,
        r: DescribeTaskDefinitionRequest,
    ) -> Answer<DescribeTaskDefinitionResponse> {
        task_definitions::describe(&self.state, c, r).await
    }

    async fn deregister_task_definition(
        &self,
        c: &RequestContext,
        r: DeregisterTaskDefinitionRequest,
    ) -> Answer<DeregisterTaskDefinitionResponse> {
        task_definitions::deregister(&self.state, c, r).await
    }

    async fn delete_task_definitions(
        &self,
        c: &RequestContext,
        r: DeleteTaskDefinitionsRequest,
    ) -> Answer<DeleteTaskDefinitionsResponse> {
        task_definitions::delete(&self.state, c, r).await
    }

    async fn list_task_definitions(
        &self,
        c: &RequestContext,
        r: ListTaskDefinitionsRequest,
    ) -> Answer<ListTaskDefinitionsResponse> {
        task_definitions::list(&self.state, c, r).await
    }

    async fn list_task_definition_families(
        &self,
        c: &RequestContext,
        r: ListTaskDefinitionFamiliesRequest,
    ) -> Answer<ListTaskDefinitionFamiliesResponse> {
        task_definitions::list_families(&self.state, c, r).await
    }

    async fn run_task(&self, c: &RequestContext, r: RunTaskRequest) -> Answer<RunTaskResponse> {
        tasks::run::run(&self.state, &self.addresses, c, r).await
    }

    async fn start_task(
        &self,
        c: &RequestContext,
        r: StartTaskRequest,
    ) -> Answer<StartTaskResponse> {
        tasks::run::start(&self.state, c, r).await
    }

    async fn stop_task(&self, c: &RequestContext, r: StopTaskRequest) -> Answer<StopTaskResponse> {
        tasks::stop::stop(&self.state, c, r).await
    }

    async fn describe_tasks(
        &self,
        c: &RequestContext,
        r: DescribeTasksRequest,
    ) -> Answer<DescribeTasksResponse> {
        tasks::describe::describe(&self.state, c, r).await
    }

    async fn list_tasks(
        &self,
        c: &RequestContext,
        r: ListTasksRequest,
    ) -> Answer<ListTasksResponse> {
        tasks::describe::list(&self.state, c, r).await
    }

    async fn create_service(
        &self,
        c: &RequestContext,
        r: CreateServiceRequest,
    ) -> Answer<CreateServiceResponse> {
        services::create(&self.state, &self.services, c, r).await
    }

    async fn update_service(
        &self,
        c: &RequestContext,
        r: UpdateServiceRequest,
    ) -> Answer<UpdateServiceResponse> {
        services::update(&self.state, &self.services, c, r).await
    }

    async fn delete_service(
        &self,
        c: &RequestContext,
        r: DeleteServiceRequest,
    ) -> Answer<DeleteServiceResponse> {
        services::delete(&self.state, &self.services, c, r).await
    }

    async fn describe_services(
        &self,
        c: &RequestContext,
        r: DescribeServicesRequest,
    ) -> Answer<DescribeServicesResponse> {
        services::describe(&self.state, &self.services, c, r).await
    }

    async fn list_services(
        &self,
        c: &RequestContext,
        r: ListServicesRequest,
    ) -> Answer<ListServicesResponse> {
        services::list(&self.state, c, r).await
    }

    async fn list_services_by_namespace(
        &self,
        _c: &RequestContext,
        r: ListServicesByNamespaceRequest,
    ) -> Answer<ListServicesByNamespaceResponse> {
        services::list_by_namespace(r)
    }

    async fn describe_service_deployments(
        &self,
        c: &RequestContext,
        r: DescribeServiceDeploymentsRequest,
    ) -> Answer<DescribeServiceDeploymentsResponse> {
        services::describe_deployments(&self.state, &self.services, c, r).await
    }

    async fn list_service_deployments(
        &self,
        c: &RequestContext,
        r: ListServiceDeploymentsRequest,
    ) -> Answer<ListServiceDeploymentsResponse> {
        services::list_deployments(&self.state, c, r).await
    }

    async fn describe_service_revisions(
        &self,
        c: &RequestContext,
        r: DescribeServiceRevisionsRequest,
    ) -> Answer<DescribeServiceRevisionsResponse> {
        services::describe_revisions(&self.state, c, r).await
    }

    async fn stop_service_deployment(
        &self,
        c: &RequestContext,
        r: StopServiceDeploymentRequest,
    ) -> Answer<StopServiceDeploymentResponse> {
        services::stop_deployment(&self.state, c, r).await
    }

    async fn continue_service_deployment(
        &self,
        c: &RequestContext,
        r: ContinueServiceDeploymentRequest,
    ) -> Answer<ContinueServiceDeploymentResponse> {
        services::continue_deployment(&self.state, c, r).await
    }

    async fn create_task_set(
        &self,
        c: &RequestContext,
        r: CreateTaskSetRequest,
    ) -> Answer<CreateTaskSetResponse> {
        services::task_sets::create(&self.state, &self.services, c, r).await
    }

    async fn update_task_set(
        &self,
        c: &RequestContext,
        r: UpdateTaskSetRequest,
    ) -> Answer<UpdateTaskSetResponse> {
        services::task_sets::update(&self.state, &self.services, c, r).await
    }

    async fn delete_task_set(
        &self,
        c: &RequestContext,
        r: DeleteTaskSetRequest,
    ) -> Answer<DeleteTaskSetResponse> {
        services::task_sets::delete(&self.state, &self.services, c, r).await
    }

    async fn describe_task_sets(
        &self,
        c: &RequestContext,
        r: DescribeTaskSetsRequest,
    ) -> Answer<DescribeTaskSetsResponse> {
        services::task_sets::describe(&self.state, &self.services, c, r).await
    }

    async fn update_service_primary_task_set(
        &self,
        c: &RequestContext,
        r: UpdateServicePrimaryTaskSetRequest,
    ) -> Answer<UpdateServicePrimaryTaskSetResponse> {
        services::task_sets::make_primary(&self.state, &self.services, c, r).await
    }

    async fn update_task_protection(
        &self,
        c: &RequestContext,
        r: UpdateTaskProtectionRequest,
    ) -> Answer<UpdateTaskProtectionResponse> {
        tasks::protection::update(&self.state, c, r).await
    }

    async fn get_task_protection(
        &self,
        c: &RequestContext,
        r: GetTaskProtectionRequest,
    ) -> Answer<GetTaskProtectionResponse> {
        tasks::protection::get(&self.state, c, r).await
    }

    async fn tag_resource(
        &self,
        c: &RequestContext,
        r: TagResourceRequest,
    ) -> Answer<TagResourceResponse> {
        tags::tag_resource(&self.state, c, r).await
    }

    async fn untag_resource(
        &self,
        c: &RequestContext,
        r: UntagResourceRequest,
    ) -> Answer<UntagResourceResponse> {
        tags::untag_resource(&self.state, c, r).await
    }

    async fn list_tags_for_resource(
        &self,
        c: &RequestContext,
        r: ListTagsForResourceRequest,
    ) -> Answer<ListTagsForResourceResponse> {
        tags::list_tags(&self.state, c, r).await
    }

    async fn put_account_setting(
        &self,
        c: &RequestContext,
        r: PutAccountSettingRequest,
    ) -> Answer<PutAccountSettingResponse> {
        settings::put(&self.state, c, r).await
    }

    async fn put_account_setting_default(
        &self,
        c: &RequestContext,
        r: PutAccountSettingDefaultRequest,
    ) -> Answer<PutAccountSettingDefaultResponse> {
        settings::put_default(&self.state, c, r).await
    }

    async fn delete_account_setting(
        &self,
        c: &RequestContext,
        r: DeleteAccountSettingRequest,
    ) -> Answer<DeleteAccountSettingResponse> {
        settings::delete(&self.state, c, r).await
    }

    async fn list_account_settings(
        &self,
        c: &RequestContext,
        r: ListAccountSettingsRequest,
    ) -> Answer<ListAccountSettingsResponse> {
        settings::list(&self.state, c, r).await
    }

    async fn put_attributes(
        &self,
        c: &RequestContext,
        r: PutAttributesRequest,
    ) -> Answer<PutAttributesResponse> {
        attributes::put(&self.state, c, r).await
    }

    async fn delete_attributes(
        &self,
        c: &RequestContext,
        r: DeleteAttributesRequest,
    ) -> Answer<DeleteAttributesResponse> {
        attributes::delete(&self.state, c, r).await
    }

    async fn list_attributes(
        &self,
        c: &RequestContext,
        r: ListAttributesRequest,
    ) -> Answer<ListAttributesResponse> {
        attributes::list(&self.state, c, r).await
    }

    /// Fargate shows no container instances.
    async fn list_container_instances(
        &self,
        c: &RequestContext,
        r: ListContainerInstancesRequest,
    ) -> Answer<ListContainerInstancesResponse> {
        clusters::active_cluster(&self.state, &crate::scope_of(c), r.cluster.as_deref()).await?;
        Ok(ListContainerInstancesResponse {
            container_instance_arns: Some(Vec::new()),
            next_token: None,
        })
    }
}

/// Whether containers that name no `mode` wait for their log (account setting defaultLogDriverMode).
pub async fn logs_block_by_default(state: &State, scope: &Scope) -> Result<bool, StateError> {
    let root = format!("arn:aws:iam::{}:root", scope.account);
    Ok(
        settings::effective(state, scope, SettingName::DefaultLogDriverMode, &root).await?
            == "blocking",
    )
}

/// Size of a page: `maxResults` where it is allowed, `default` where it is absent.
fn page_limit(max_results: Option<i32>, default: i32, max: i32) -> Result<usize, ApiError> {
    let limit = max_results.unwrap_or(default);
    if !(1..=max).contains(&limit) {
        return Err(errors::invalid_parameter(format!(
            "maxResults must be between 1 and {max}."
        )));
    }
    Ok(usize::try_from(limit).unwrap_or(1))
}
