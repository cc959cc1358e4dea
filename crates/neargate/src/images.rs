//! Which images the built-in registry has.

use std::net::SocketAddr;
use std::sync::Arc;

use async_trait::async_trait;
use neargate_control::nodes::images::ImageSources;
use neargate_control::state::StateError;
use neargate_domain::{Scope, Timestamp};
use neargate_node_api::ImageSource;
use neargate_registry::{Grant, Registry, RepositoryName};

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
        if let Some((scope, image)) = self.own(scope, reference).await {
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
    /// The registry and the image in it, for a reference to a repository that is there.
    async fn own(&self, scope: &Scope, reference: &str) -> Option<(Scope, String)> {
        let (host, image) = reference.split_once('/')?;
        let scope = match ecr_scope(host) {
            Some(scope) => scope,
            None if self.is_our_address(host) => scope.clone(),
            None => return None,
        };
        let name = image.split(['@', ':']).next()?;
        let name = RepositoryName::parse(name).ok()?;
        self.registry.repository(&scope, &name).await.ok()?;
        Some((scope, image.to_owned()))
    }

    fn is_our_address(&self, host: &str) -> bool {
        let port = format!(":{}", self.listen.port());
        host.strip_suffix(&port)
            .is_some_and(|name| name == "localhost" || name == self.listen.ip().to_string())
    }
}

/// `ACCOUNT.dkr.ecr.REGION.amazonaws.com`
fn ecr_scope(host: &str) -> Option<Scope> {
    let rest = host.strip_suffix(".amazonaws.com")?;
    let (account, region) = rest.split_once(".dkr.ecr.")?;
    (account.len() == 12 && account.bytes().all(|b| b.is_ascii_digit()))
        .then(|| Scope::new(account, region))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ecr_hosts_name_account_and_region() {
        for (host, want) in [
            (
                "123456789012.dkr.ecr.eu-west-1.amazonaws.com",
                Some(("123456789012", "eu-west-1")),
            ),
            ("docker.io", None),
            ("12.dkr.ecr.eu-west-1.amazonaws.com", None),
            ("123456789012.dkr.ecr.eu-west-1.example.com", None),
        ] {
            assert_eq!(
                ecr_scope(host),
                want.map(|(a, r)| Scope::new(a, r)),
                "{host}"
            );
        }
    }
}
