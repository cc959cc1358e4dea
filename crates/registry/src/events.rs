//! Pushes and deletions of images, told to whoever subscribed (EventBridge's "ECR Image Action").

use neargate_domain::Scope;

use crate::digest::Digest;
use crate::name::{RepositoryName, Tag};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ImageAction {
    Push,
    Delete,
}

/// One image action that is on disk. A manifest pushed with several tags makes one event for each.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ImageEvent {
    pub scope: Scope,
    pub repository: RepositoryName,
    pub digest: Digest,
    pub media_type: String,
    pub tag: Option<Tag>,
    pub action: ImageAction,
}
