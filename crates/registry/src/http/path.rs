//! Paths of the protocol. A repository's name may have slashes, also ones that look like parts of the protocol
//! (`team/manifests/app`), so paths are read from their end.

use percent_encoding::percent_decode_str;

use super::errors::OciError;
use crate::digest::Digest;
use crate::error::RegistryError;
use crate::name::RepositoryName;

#[derive(Debug, PartialEq, Eq)]
pub enum Endpoint {
    Base,
    Catalog,
    Tags {
        name: RepositoryName,
    },
    Referrers {
        name: RepositoryName,
        digest: Digest,
    },
    /// A tag or a digest, not yet looked at.
    Manifest {
        name: RepositoryName,
        reference: String,
    },
    Blob {
        name: RepositoryName,
        digest: Digest,
    },
    Uploads {
        name: RepositoryName,
    },
    Upload {
        name: RepositoryName,
        id: String,
    },
}

pub fn parse(path: &str) -> Result<Endpoint, OciError> {
    let rest = path.strip_prefix("/v2").unwrap_or(path);
    let rest = rest.strip_prefix('/').unwrap_or(rest);
    let rest = percent_decode_str(rest)
        .decode_utf8()
        .map_err(|_| RegistryError::NameInvalid(rest.chars().take(256).collect()))?;
    match &*rest {
        "" => return Ok(Endpoint::Base),
        "_catalog" => return Ok(Endpoint::Catalog),
        _ => {}
    }
    let name = |segments: &[&str]| RepositoryName::parse(&segments.join("/"));
    // The one path with an optional slash at its end: `POST …/blobs/uploads/`.
    let trimmed = rest.strip_suffix('/').unwrap_or(&rest);
    let segments: Vec<&str> = trimmed.split('/').collect();
    let endpoint = match &segments[..] {
        [first @ .., "blobs", "uploads"] => Endpoint::Uploads { name: name(first)? },
        _ if trimmed.len() != rest.len() => return Err(OciError::unknown_path()),
        [first @ .., "blobs", "uploads", id] => Endpoint::Upload {
            name: name(first)?,
            id: (*id).to_owned(),
        },
        [first @ .., "tags", "list"] => Endpoint::Tags { name: name(first)? },
        [first @ .., "manifests", reference] => Endpoint::Manifest {
            name: name(first)?,
            reference: (*reference).to_owned(),
        },
        [first @ .., "blobs", digest] => Endpoint::Blob {
            name: name(first)?,
            digest: Digest::parse(digest)?,
        },
        [first @ .., "referrers", digest] => Endpoint::Referrers {
            name: name(first)?,
            digest: Digest::parse(digest)?,
        },
        _ => return Err(OciError::unknown_path()),
    };
    Ok(endpoint)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn name(text: &str) -> RepositoryName {
        RepositoryName::parse(text).expect("a name")
    }

    #[test]
    fn paths_are_read_from_their_end() {
        let hex = "a".repeat(64);
        let digest = Digest::parse(&format!("sha256:{hex}")).expect("a digest");
        for (path, want) in [
            ("/v2", Some(Endpoint::Base)),
            ("/v2/", Some(Endpoint::Base)),
            ("/v2/_catalog", Some(Endpoint::Catalog)),
            (
                "/v2/app/tags/list",
                Some(Endpoint::Tags { name: name("app") }),
            ),
            (
                "/v2/team/app/manifests/v1",
                Some(Endpoint::Manifest {
                    name: name("team/app"),
                    reference: "v1".into(),
                }),
            ),
            (
                "/v2/team/manifests/app/manifests/v1",
                Some(Endpoint::Manifest {
                    name: name("team/manifests/app"),
                    reference: "v1".into(),
                }),
            ),
            (
                &format!("/v2/app/blobs/sha256:{hex}"),
                Some(Endpoint::Blob {
                    name: name("app"),
                    digest: digest.clone(),
                }),
            ),
            (
                &format!("/v2/app/blobs/sha256%3A{hex}"),
                Some(Endpoint::Blob {
                    name: name("app"),
                    digest: digest.clone(),
                }),
            ),
            (
                &format!("/v2/app/referrers/sha256:{hex}"),
                Some(Endpoint::Referrers {
                    name: name("app"),
                    digest,
                }),
            ),
            (
                "/v2/app/blobs/uploads/",
                Some(Endpoint::Uploads { name: name("app") }),
            ),
            (
                "/v2/app/blobs/uploads",
                Some(Endpoint::Uploads { name: name("app") }),
            ),
            (
                "/v2/app/blobs/uploads/u-1",
                Some(Endpoint::Upload {
                    name: name("app"),
                    id: "u-1".into(),
                }),
            ),
            ("/v2/app/blobs/sha256:short", None),
            ("/v2/app", None),
            ("/v2/app/tags/list/", None),
            ("/v2/App/tags/list", None),
            ("/v2/../../etc/tags/list", None),
            ("/v2/app%2F..%2Fx/tags/list", None),
            ("/v2/a%FF/tags/list", None),
        ] {
            assert_eq!(parse(path).ok(), want, "{path}");
        }
    }

    proptest! {
        #[test]
        fn any_path_is_answered(path in "/v2/[a-z0-9/%:._-]{0,60}") {
            if let Ok(Endpoint::Manifest { name, reference }) = parse(&path) {
                prop_assert!(!reference.contains('/'));
                prop_assert!(!name.as_str().contains("..") || name.as_str().is_empty());
            }
        }
    }
}
