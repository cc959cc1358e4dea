//! PutImage: a manifest whose layers are there already, or a new tag for one.

use neargate_aws_api::ecr::types::*;
use neargate_aws_wire::service::RequestContext;
use neargate_registry::{Digest, PutManifest, RegistryError, RepositoryName, Tag as ImageTag};

use super::errors::{self, Failure};
use super::images::identifier;
use super::{EcrService, scope_of};

/// <https://docs.aws.amazon.com/AmazonECR/latest/APIReference/API_PutImage.html>
pub async fn put(
    service: &EcrService,
    context: &RequestContext,
    request: PutImageRequest,
) -> Result<PutImageResponse, Failure> {
    let scope = scope_of(context, request.registry_id.as_deref());
    let name = RepositoryName::parse(&request.repository_name)?;
    // A push by docker may make its repository; this operation says that it is not there.
    service.registry.repository(&scope, &name).await?;
    let tag = request
        .image_tag
        .as_deref()
        .map(ImageTag::parse)
        .transpose()?;
    let digest = request
        .image_digest
        .as_deref()
        .map(Digest::parse)
        .transpose()?;
    let put = PutManifest {
        bytes: request.image_manifest.clone().into(),
        media_type: request.image_manifest_media_type,
        digest,
        tags: tag.iter().cloned().collect(),
        must_be_new: true,
    };
    let stored = match service.registry.put_manifest(&scope, &name, &put).await {
        Ok(stored) => stored,
        Err(error) => {
            return Err(match error {
                RegistryError::ImageExists(digest) => {
                    let tag = tag.as_ref().map(ImageTag::as_str);
                    errors::image_exists(&scope, &name, &digest, tag).into()
                }
                RegistryError::LayersUnknown(digests) => {
                    errors::layers_not_found(&scope, &name, &digests).into()
                }
                RegistryError::ChildrenUnknown(digests) => {
                    errors::images_not_found(&scope, &name, &digests).into()
                }
                other => other.into(),
            });
        }
    };
    Ok(PutImageResponse {
        image: Some(Image {
            registry_id: Some(scope.account),
            repository_name: Some(request.repository_name),
            image_id: Some(identifier(&stored.digest, tag.as_ref())),
            image_manifest: Some(request.image_manifest),
            image_manifest_media_type: Some(stored.media_type),
        }),
    })
}
