//! The container registry behind ECR: repositories, manifests and tags as records in the store, blobs as files.
//!
//! [`Registry`] is the one road to that state. [`http::router`] serves it by the OCI distribution protocol, and the
//! ECR API calls the same methods, so a push by either shows in the other at once.
//!
//! A registry is an account and a region: blobs, like repositories, are never shared across them. Within one registry
//! a blob is one file, and a record links it to each repository that holds it.
//!
//! This crate knows nothing of ECS and of the AWS protocols.

mod auth;
mod blobs;
mod catalog;
mod clear;
mod deletes;
mod digest;
mod error;
mod events;
mod files;
mod gc;
pub mod http;
mod images;
mod keys;
mod limits;
mod manifest;
mod name;
mod pulls;
mod records;
mod registry;
mod repositories;
mod settings;
mod table;
mod templates;
mod token;
mod uploads;

pub use auth::{Access, AuthMode, scope_of_host};
pub use blobs::{BLOB_MOUNTING, Blob};
pub use deletes::{DeletedImage, ImageRef};
pub use digest::{Algorithm, Digest, Hasher};
pub use error::RegistryError;
pub use events::{ImageAction, ImageEvent};
pub use gc::GcReport;
pub use images::{Manifest, PutManifest, StoredManifest};
pub use limits::*;
pub use manifest::{
    MEDIA_TYPE_DOCKER_LIST, MEDIA_TYPE_DOCKER_MANIFEST, MEDIA_TYPE_OCI_INDEX,
    MEDIA_TYPE_OCI_MANIFEST, is_manifest_type,
};
pub use name::{RepositoryName, Tag, is_region};
pub use records::{
    Encryption, ImageRecord, LayerRecord, LifecyclePolicy, Mutability, RepositoryRecord, TagRecord,
    TagRule, TemplateRecord,
};
pub use registry::{Clock, Registry, RegistryConfig};
pub use repositories::RepositoryUpdate;
pub use token::{Grant, TokenError};
pub use uploads::{CompletedUpload, UploadStatus, Writer};
