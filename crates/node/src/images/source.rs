//! What a pull is asked for.

use std::fmt;

/// An image as the task definition names it, and where this node finds it.
#[derive(Clone, PartialEq, Eq)]
pub struct ImageSource {
    /// As in the task definition; it is what error messages repeat.
    pub reference: String,
    /// Where to pull from; differs from `reference` for the built-in registry.
    pub pull_reference: String,
    /// HTTP without TLS, for the built-in registry.
    pub plain_http: bool,
    /// Empty: no credentials.
    pub username: String,
    pub password: String,
}

impl ImageSource {
    /// A public image, pulled from where its reference points.
    pub fn public(reference: &str) -> Self {
        Self {
            reference: reference.to_owned(),
            pull_reference: reference.to_owned(),
            plain_http: false,
            username: String::new(),
            password: String::new(),
        }
    }
}

impl From<neargate_node_api::ImageSource> for ImageSource {
    fn from(source: neargate_node_api::ImageSource) -> Self {
        Self {
            pull_reference: if source.pull_reference.is_empty() {
                source.reference.clone()
            } else {
                source.pull_reference
            },
            reference: source.reference,
            plain_http: source.plain_http,
            username: source.username,
            password: source.password,
        }
    }
}

impl fmt::Debug for ImageSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ImageSource")
            .field("reference", &self.reference)
            .field("pull_reference", &self.pull_reference)
            .field("plain_http", &self.plain_http)
            .finish_non_exhaustive()
    }
}
