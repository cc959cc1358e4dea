//! The ECR API on the registry, which also serves docker and its like: what one pushes the other shows.
//!
//! What is not here answers "not implemented": replication, the pull-through cache, image signing, the archive storage
//! class.

mod auth;
mod errors;
mod images;
mod layers;
mod lifecycle;
mod policies;
mod public;
mod put_image;
mod records;
mod referrers;
mod repositories;
mod scanning;
mod settings;
mod tags;
mod templates;

use std::sync::Arc;

use async_trait::async_trait;
use neargate_aws_api::ecr::Ecr;
use neargate_aws_api::ecr::types::*;
use neargate_aws_wire::error::ApiError;
use neargate_aws_wire::service::RequestContext;
use neargate_domain::{Scope, Timestamp};
use neargate_registry::Registry;

pub use public::EcrPublicService;

pub use lifecycle::{LIFECYCLE_INTERVAL, LifecycleReport, run_lifecycle, run_lifecycle_forever};

use crate::clock::Clock;

/// ECR. Each method is a line: what it does is in the module of its resource.
pub struct EcrService {
    registry: Arc<Registry>,
    clock: Arc<dyn Clock>,
    endpoint: Option<String>,
}

impl EcrService {
    pub fn new(registry: Arc<Registry>, clock: Arc<dyn Clock>) -> Self {
        Self {
            registry,
            clock,
            endpoint: None,
        }
    }

    /// Where `docker login` reaches the registry, such as `http://localhost:4566`. Without, it is told AWS's host names,
    /// which lead to AWS.
    pub fn reached_at(mut self, endpoint: String) -> Self {
        self.endpoint = Some(endpoint);
        self
    }

    fn now(&self) -> Timestamp {
        self.clock.now()
    }
}

/// The registry that a call means: the account it names, else the caller's, in the caller's region.
fn scope_of(context: &RequestContext, registry_id: Option<&str>) -> Scope {
    Scope::new(registry_id.unwrap_or(&context.account), &context.region)
}

type Answer<T> = Result<T, ApiError>;

/// One line per operation: `method(request) -> answer = function;`.
macro_rules! operations {
    ($($method:ident($request:ty) -> $answer:ty = $($function:ident)::+;)+) => {
        #[async_trait]
        impl Ecr for EcrService {
            $(async fn $method(&self, c: &RequestContext, r: $request) -> Answer<$answer> {
                Ok($($function)::+(self, c, r).await?)
            })+
        }
    };
}

operations! {
    get_authorization_token(GetAuthorizationTokenRequest) -> GetAuthorizationTokenResponse = auth::get_token;

    create_repository(CreateRepositoryRequest) -> CreateRepositoryResponse = repositories::create;
    describe_repositories(DescribeRepositoriesRequest) -> DescribeRepositoriesResponse = repositories::describe;
    delete_repository(DeleteRepositoryRequest) -> DeleteRepositoryResponse = repositories::delete;
    put_image_tag_mutability(PutImageTagMutabilityRequest) -> PutImageTagMutabilityResponse = repositories::put_tag_mutability;

    describe_images(DescribeImagesRequest) -> DescribeImagesResponse = images::describe;
    list_images(ListImagesRequest) -> ListImagesResponse = images::list;
    batch_get_image(BatchGetImageRequest) -> BatchGetImageResponse = images::batch_get;
    batch_delete_image(BatchDeleteImageRequest) -> BatchDeleteImageResponse = images::batch_delete;
    put_image(PutImageRequest) -> PutImageResponse = put_image::put;
    list_image_referrers(ListImageReferrersRequest) -> ListImageReferrersResponse = referrers::list;

    batch_check_layer_availability(BatchCheckLayerAvailabilityRequest) -> BatchCheckLayerAvailabilityResponse = layers::check;
    initiate_layer_upload(InitiateLayerUploadRequest) -> InitiateLayerUploadResponse = layers::initiate;
    upload_layer_part(UploadLayerPartRequest) -> UploadLayerPartResponse = layers::upload_part;
    complete_layer_upload(CompleteLayerUploadRequest) -> CompleteLayerUploadResponse = layers::complete;
    get_download_url_for_layer(GetDownloadUrlForLayerRequest) -> GetDownloadUrlForLayerResponse = layers::download_url;

    set_repository_policy(SetRepositoryPolicyRequest) -> SetRepositoryPolicyResponse = policies::set;
    get_repository_policy(GetRepositoryPolicyRequest) -> GetRepositoryPolicyResponse = policies::get;
    delete_repository_policy(DeleteRepositoryPolicyRequest) -> DeleteRepositoryPolicyResponse = policies::delete;
    put_registry_policy(PutRegistryPolicyRequest) -> PutRegistryPolicyResponse = policies::put_registry;
    get_registry_policy(GetRegistryPolicyRequest) -> GetRegistryPolicyResponse = policies::get_registry;
    delete_registry_policy(DeleteRegistryPolicyRequest) -> DeleteRegistryPolicyResponse = policies::delete_registry;

    put_lifecycle_policy(PutLifecyclePolicyRequest) -> PutLifecyclePolicyResponse = lifecycle::put;
    get_lifecycle_policy(GetLifecyclePolicyRequest) -> GetLifecyclePolicyResponse = lifecycle::get;
    delete_lifecycle_policy(DeleteLifecyclePolicyRequest) -> DeleteLifecyclePolicyResponse = lifecycle::delete;
    start_lifecycle_policy_preview(StartLifecyclePolicyPreviewRequest) -> StartLifecyclePolicyPreviewResponse = lifecycle::start_preview;
    get_lifecycle_policy_preview(GetLifecyclePolicyPreviewRequest) -> GetLifecyclePolicyPreviewResponse = lifecycle::get_preview;

    tag_resource(TagResourceRequest) -> TagResourceResponse = tags::tag;
    untag_resource(UntagResourceRequest) -> UntagResourceResponse = tags::untag;
    list_tags_for_resource(ListTagsForResourceRequest) -> ListTagsForResourceResponse = tags::list;

    put_image_scanning_configuration(PutImageScanningConfigurationRequest) -> PutImageScanningConfigurationResponse = scanning::put_image_configuration;
    put_registry_scanning_configuration(PutRegistryScanningConfigurationRequest) -> PutRegistryScanningConfigurationResponse = scanning::put_registry_configuration;
    get_registry_scanning_configuration(GetRegistryScanningConfigurationRequest) -> GetRegistryScanningConfigurationResponse = scanning::get_registry_configuration;
    batch_get_repository_scanning_configuration(BatchGetRepositoryScanningConfigurationRequest) -> BatchGetRepositoryScanningConfigurationResponse = scanning::batch_get;
    describe_image_scan_findings(DescribeImageScanFindingsRequest) -> DescribeImageScanFindingsResponse = scanning::findings;
    start_image_scan(StartImageScanRequest) -> StartImageScanResponse = scanning::start;

    create_repository_creation_template(CreateRepositoryCreationTemplateRequest) -> CreateRepositoryCreationTemplateResponse = templates::create;
    update_repository_creation_template(UpdateRepositoryCreationTemplateRequest) -> UpdateRepositoryCreationTemplateResponse = templates::update;
    delete_repository_creation_template(DeleteRepositoryCreationTemplateRequest) -> DeleteRepositoryCreationTemplateResponse = templates::delete;
    describe_repository_creation_templates(DescribeRepositoryCreationTemplatesRequest) -> DescribeRepositoryCreationTemplatesResponse = templates::describe;

    describe_registry(DescribeRegistryRequest) -> DescribeRegistryResponse = settings::describe_registry;
    put_replication_configuration(PutReplicationConfigurationRequest) -> PutReplicationConfigurationResponse = settings::put_replication;
    get_account_setting(GetAccountSettingRequest) -> GetAccountSettingResponse = settings::get;
    put_account_setting(PutAccountSettingRequest) -> PutAccountSettingResponse = settings::put;
}
