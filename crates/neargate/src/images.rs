//! Which images the built-in registry has.

use std::net::SocketAddr;
use std::sync::Arc;

use async_trait::async_trait;
use neargate_control::nodes::images::ImageSources;
use neargate_control::state::StateError;
use neargate_domain::{Scope, Timestamp};
use neargate_node_api::ImageSource;
use neargate_registry::{Grant, Registry, scope_of_host};

/// A node's token is the same for this long, so that all pulls of an image look alike and are done once.
const TOKEN_PERIOD_MILLIS: i64 = 6 * 3600 * 1000;

pub struct RegistryImages {
    pub registry: Arc<Registry>,
    /// Where the registry listens.
    pub listen: SocketAddr,
}

#[async_trait]
impl ImageSources for RegistryImages {
    async fn source_of(&self, scope: &Scope, reference: &str) -> Result<ImageSource, StateError> {
        // Whether the repository is there or not: these names are ours, and asking anybody else for them would hand the
        // answer to whoever runs the resolver.
        if let Some((scope, image)) = self.own(scope, reference) {
            let now: Timestamp = jiff::Timestamp::now().into();
            let expires_at = Timestamp((now.0 / TOKEN_PERIOD_MILLIS + 2) * TOKEN_PERIOD_MILLIS);
            return Ok(ImageSource {
                reference: reference.to_owned(),
                pull_reference: format!("{}/{image}", self.listen),
                plain_http: true,
                username: "AWS".to_owned(),
                password: self
                    .registry
                    .sign_token(&Grant::Registry { scope, expires_at }),
            });
        }
        Ok(ImageSource {
            reference: reference.to_owned(),
            pull_reference: reference.to_owned(),
            ..ImageSource::default()
        })
    }
}

impl RegistryImages {
    /// The registry and the image in it, for a reference that names one of ours.
    fn own(&self, scope: &Scope, reference: &str) -> Option<(Scope, String)> {
        let (host, image) = reference.split_once('/')?;
        let scope = match scope_of_host(host) {
            Some(scope) => scope,
            None if self.is_our_address(host) => scope.clone(),
            None => return None,
        };
        Some((scope, image.to_owned()))
    }

    fn is_our_address(&self, host: &str) -> bool {
        let port = format!(":{}", self.listen.port());
        host.strip_suffix(&port)
            .is_some_and(|name| name == "localhost" || name == self.listen.ip().to_string())
    }
}
