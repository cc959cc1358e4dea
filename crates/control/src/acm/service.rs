//! The ACM API. Each method is a line: what it does is in the module of its own.

use std::sync::Arc;

use async_trait::async_trait;
use neargate_aws_api::acm::Acm;
use neargate_aws_api::acm::types::*;
use neargate_aws_wire::error::ApiError;
use neargate_aws_wire::service::RequestContext;

use super::{Authority, describe, export, import, list, request, tags};
use crate::secrets::Secrets;
use crate::state::State;

pub struct AcmService {
    state: State,
    secrets: Arc<Secrets>,
    authority: Arc<Authority>,
}

impl AcmService {
    pub fn new(state: State, secrets: Arc<Secrets>, authority: Arc<Authority>) -> Self {
        Self {
            state,
            secrets,
            authority,
        }
    }
}

type Answer<T> = Result<T, ApiError>;
type Context = RequestContext;

#[async_trait]
impl Acm for AcmService {
    async fn request_certificate(
        &self,
        c: &Context,
        r: RequestCertificateRequest,
    ) -> Answer<RequestCertificateResponse> {
        request::request(&self.state, &self.secrets, &self.authority, c, r).await
    }

    async fn import_certificate(
        &self,
        c: &Context,
        r: ImportCertificateRequest,
    ) -> Answer<ImportCertificateResponse> {
        import::import(&self.state, &self.secrets, c, r).await
    }

    async fn describe_certificate(
        &self,
        c: &Context,
        r: DescribeCertificateRequest,
    ) -> Answer<DescribeCertificateResponse> {
        describe::describe(&self.state, c, r).await
    }

    async fn get_certificate(
        &self,
        c: &Context,
        r: GetCertificateRequest,
    ) -> Answer<GetCertificateResponse> {
        describe::get(&self.state, c, r).await
    }

    async fn list_certificates(
        &self,
        c: &Context,
        r: ListCertificatesRequest,
    ) -> Answer<ListCertificatesResponse> {
        list::list(&self.state, c, r).await
    }

    async fn delete_certificate(&self, c: &Context, r: DeleteCertificateRequest) -> Answer<()> {
        describe::delete(&self.state, c, r).await
    }

    async fn export_certificate(
        &self,
        c: &Context,
        r: ExportCertificateRequest,
    ) -> Answer<ExportCertificateResponse> {
        export::export(&self.state, &self.secrets, c, r).await
    }

    async fn update_certificate_options(
        &self,
        c: &Context,
        r: UpdateCertificateOptionsRequest,
    ) -> Answer<()> {
        describe::update_options(&self.state, c, r).await
    }

    async fn add_tags_to_certificate(
        &self,
        c: &Context,
        r: AddTagsToCertificateRequest,
    ) -> Answer<()> {
        tags::add(&self.state, c, &r.certificate_arn, &r.tags).await
    }

    async fn remove_tags_from_certificate(
        &self,
        c: &Context,
        r: RemoveTagsFromCertificateRequest,
    ) -> Answer<()> {
        tags::remove(&self.state, c, &r.certificate_arn, &r.tags).await
    }

    async fn list_tags_for_certificate(
        &self,
        c: &Context,
        r: ListTagsForCertificateRequest,
    ) -> Answer<ListTagsForCertificateResponse> {
        let tags = tags::list(&self.state, c, &r.certificate_arn).await?;
        Ok(ListTagsForCertificateResponse { tags: Some(tags) })
    }

    async fn tag_resource(&self, c: &Context, r: TagResourceRequest) -> Answer<()> {
        tags::add(&self.state, c, &r.resource_arn, &r.tags).await
    }

    async fn untag_resource(&self, c: &Context, r: UntagResourceRequest) -> Answer<()> {
        tags::remove_keys(&self.state, c, &r.resource_arn, &r.tag_keys).await
    }

    async fn list_tags_for_resource(
        &self,
        c: &Context,
        r: ListTagsForResourceRequest,
    ) -> Answer<ListTagsForResourceResponse> {
        let tags = tags::list(&self.state, c, &r.resource_arn).await?;
        Ok(ListTagsForResourceResponse { tags: Some(tags) })
    }
}
