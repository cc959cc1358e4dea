//! Image references as people write them: `nginx`, `localhost:4566/app:v1`, `repo@sha256:…`.

use std::fmt;
use std::str::FromStr;

use oci_spec::distribution::Reference;

use super::Digest;

/// No reference of a legal registry, repository (255), tag (128) and digest is longer.
const MAX_REFERENCE_BYTES: usize = 1024;

/// Where docker.io's images really are.
const DOCKER_HUB: &str = "docker.io";
const DOCKER_HUB_HOST: &str = "registry-1.docker.io";

/// A parsed reference with Docker's defaults filled in: registry `docker.io`, `library/` before its one-word
/// repositories, tag `latest` if there is neither a tag nor a digest.
///
/// Its text form is the complete one: `docker.io/library/nginx:latest`.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct ImageReference {
    registry: String,
    repository: String,
    tag: Option<String>,
    digest: Option<Digest>,
}

/// The reference cannot be pulled.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("invalid reference format: {0}")]
pub struct InvalidReference(String);

impl ImageReference {
    /// `docker.io`, `localhost:4566`, `123456789012.dkr.ecr.us-east-1.amazonaws.com`, …
    pub fn registry(&self) -> &str {
        &self.registry
    }

    /// Host and port to connect to, which differs from [`Self::registry`] for docker.io alone.
    pub fn host(&self) -> &str {
        if self.registry == DOCKER_HUB {
            DOCKER_HUB_HOST
        } else {
            &self.registry
        }
    }

    pub fn repository(&self) -> &str {
        &self.repository
    }

    pub fn tag(&self) -> Option<&str> {
        self.tag.as_deref()
    }

    /// With a digest the tag says nothing any more: the digest is what is pulled.
    pub fn digest(&self) -> Option<&Digest> {
        self.digest.as_ref()
    }
}

impl FromStr for ImageReference {
    type Err = InvalidReference;

    fn from_str(text: &str) -> Result<Self, InvalidReference> {
        if text.len() > MAX_REFERENCE_BYTES {
            return Err(InvalidReference(format!(
                "longer than {MAX_REFERENCE_BYTES} bytes"
            )));
        }
        if !text.bytes().all(|byte| byte.is_ascii_graphic()) {
            return Err(InvalidReference(
                "not made of ASCII letters, digits and punctuation".to_owned(),
            ));
        }
        // The grammar is distribution's, in oci-spec; what is added here is what it leaves open.
        let parsed =
            Reference::try_from(text).map_err(|error| InvalidReference(error.to_string()))?;
        let digest = parsed.digest().map(str::parse).transpose();
        let digest =
            digest.map_err(|error: super::InvalidDigest| InvalidReference(error.to_string()))?;
        if parsed.repository().is_empty() {
            return Err(InvalidReference("no repository".to_owned()));
        }
        if parsed.repository().bytes().any(|b| b.is_ascii_uppercase()) {
            return Err(InvalidReference(
                "repository name must be lowercase".to_owned(),
            ));
        }
        if let Some((_, port)) = parsed.registry().rsplit_once(':')
            && !port.ends_with(']')
            && port.parse::<u16>().is_err()
        {
            return Err(InvalidReference(format!("'{port}' is not a port")));
        }
        Ok(Self {
            registry: parsed.registry().to_owned(),
            repository: parsed.repository().to_owned(),
            tag: parsed.tag().map(str::to_owned),
            digest,
        })
    }
}

impl fmt::Display for ImageReference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.registry, self.repository)?;
        if let Some(tag) = &self.tag {
            write!(f, ":{tag}")?;
        }
        if let Some(digest) = &self.digest {
            write!(f, "@{digest}")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEX: &str = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";

    #[test]
    fn dockers_defaults_are_filled_in() {
        for (given, want) in [
            ("nginx", "docker.io/library/nginx:latest"),
            ("nginx:1.27", "docker.io/library/nginx:1.27"),
            ("grafana/grafana", "docker.io/grafana/grafana:latest"),
            (
                "index.docker.io/library/nginx",
                "docker.io/library/nginx:latest",
            ),
            (
                "public.ecr.aws/nginx/nginx:1",
                "public.ecr.aws/nginx/nginx:1",
            ),
            ("localhost/app", "localhost/app:latest"),
            ("localhost:4566/app:v1", "localhost:4566/app:v1"),
            ("127.0.0.1:4566/team/app", "127.0.0.1:4566/team/app:latest"),
            (
                "123456789012.dkr.ecr.us-east-1.amazonaws.com/team/app:V_1.0",
                "123456789012.dkr.ecr.us-east-1.amazonaws.com/team/app:V_1.0",
            ),
            (
                &format!("app@sha256:{HEX}"),
                &format!("docker.io/library/app@sha256:{HEX}"),
            ),
            (
                &format!("app:v1@sha256:{HEX}"),
                &format!("docker.io/library/app:v1@sha256:{HEX}"),
            ),
        ] {
            let parsed: ImageReference = given
                .parse()
                .unwrap_or_else(|error| panic!("{given}: {error}"));
            assert_eq!(parsed.to_string(), want, "{given}");
            assert_eq!(
                parsed.to_string().parse(),
                Ok(parsed),
                "{given}: the text form means the same"
            );
        }
    }

    #[test]
    fn docker_hub_answers_under_another_name() {
        let reference: ImageReference = "nginx".parse().expect("a reference");
        assert_eq!(
            (reference.registry(), reference.host()),
            ("docker.io", "registry-1.docker.io")
        );
    }

    #[test]
    fn what_no_registry_could_hold_is_refused() {
        let long = "a/".repeat(600);
        for given in [
            "",
            "/",
            ":tag",
            "@sha256:abc",
            "App",
            "localhost:4566/",
            "localhost:99999/app",
            "localhost:4566/../../v2/other/app",
            "localhost:4566/app:v1?x=y",
            "localhost:4566/app:v1#x",
            "http://localhost/app",
            "user@host/app",
            "app:tag with space",
            "app\n",
            "app\0",
            "app:ü",
            "app@sha256:e3b0",
            "app@md5:d41d8cd98f00b204e9800998ecf8427e",
            &format!("app@sha256:{}", HEX.to_uppercase()),
            &long,
        ] {
            assert!(given.parse::<ImageReference>().is_err(), "{given:?}");
        }
    }
}
