//! Where a node pulls an image from.

use async_trait::async_trait;
use neargate_domain::Scope;
use neargate_node_api::ImageSource;

use crate::state::StateError;

/// Knows which images the built-in registry has, and how a node gets at them.
#[async_trait]
pub trait ImageSources: Send + Sync + 'static {
    /// `reference` is an image as a task definition names it. One whose repository the built-in registry has in
    /// `scope` is pulled from there, every other from where it points.
    async fn source_of(&self, scope: &Scope, reference: &str) -> Result<ImageSource, StateError>;
}
