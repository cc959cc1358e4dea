//! The IAM API. Each method is a line: what it does is in the module of its own.

use std::sync::Arc;

use async_trait::async_trait;
use neargate_aws_api::iam::Iam;
use neargate_aws_api::iam::types::*;
use neargate_aws_wire::error::ApiError;
use neargate_aws_wire::service::RequestContext;

use super::{server_certificates, tags};
use crate::secrets::Secrets;
use crate::state::State;

pub struct IamService {
    state: State,
    secrets: Arc<Secrets>,
}

impl IamService {
    pub fn new(state: State, secrets: Arc<Secrets>) -> Self {
        Self { state, secrets }
    }
}

type Answer<T> = Result<T, ApiError>;
type Context = RequestContext;

#[async_trait]
impl Iam for IamService {
    async fn upload_server_certificate(
        &self,
        c: &Context,
        r: UploadServerCertificateRequest,
    ) -> Answer<UploadServerCertificateResponse> {
        server_certificates::upload(&self.state, &self.secrets, c, r).await
    }

    async fn get_server_certificate(
        &self,
        c: &Context,
        r: GetServerCertificateRequest,
    ) -> Answer<GetServerCertificateResponse> {
        server_certificates::get(&self.state, c, r).await
    }

    async fn list_server_certificates(
        &self,
        c: &Context,
        r: ListServerCertificatesRequest,
    ) -> Answer<ListServerCertificatesResponse> {
        server_certificates::list(&self.state, c, r).await
    }

    async fn update_server_certificate(
        &self,
        c: &Context,
        r: UpdateServerCertificateRequest,
    ) -> Answer<()> {
        server_certificates::update(&self.state, c, r).await
    }

    async fn delete_server_certificate(
        &self,
        c: &Context,
        r: DeleteServerCertificateRequest,
    ) -> Answer<()> {
        server_certificates::delete(&self.state, c, r).await
    }

    async fn tag_server_certificate(
        &self,
        c: &Context,
        r: TagServerCertificateRequest,
    ) -> Answer<()> {
        tags::add(&self.state, c, r).await
    }

    async fn untag_server_certificate(
        &self,
        c: &Context,
        r: UntagServerCertificateRequest,
    ) -> Answer<()> {
        tags::remove(&self.state, c, r).await
    }

    async fn list_server_certificate_tags(
        &self,
        c: &Context,
        r: ListServerCertificateTagsRequest,
    ) -> Answer<ListServerCertificateTagsResponse> {
        tags::list(&self.state, c, r).await
    }
}
