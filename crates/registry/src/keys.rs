//! Where the registry's records are in the store.
//!
//! A repository's name may contain `/` but neither `:` nor `@`, so both end it without doubt, and no repository's
//! records lie among another's (`team` and `team/app`).

use neargate_domain::Scope;

use crate::digest::Digest;
use crate::name::{RepositoryName, Tag};

/// The key that signs tokens, of all registries.
pub const TOKEN_KEY: &str = "/ecr/token-key";

/// Everything of this crate.
pub const ALL: &str = "/ecr/";

/// Kinds of records that belong to a repository, and the character that ends its name in their keys.
pub const OF_REPOSITORY: [(&str, char); 8] = [
    ("images", '@'),
    ("manifests", '@'),
    ("tags", ':'),
    ("layers", '@'),
    ("parents", '@'),
    ("referrers", '@'),
    ("pulls", '@'),
    ("notes", ':'),
];

fn of(scope: &Scope, kind: &str, rest: impl std::fmt::Display) -> String {
    format!("/ecr/{}/{}/{kind}/{rest}", scope.account, scope.region)
}

/// Prefix of all records of a kind in a repository.
pub fn prefix(scope: &Scope, kind: &str, name: &RepositoryName, end: char) -> String {
    of(scope, kind, format_args!("{name}{end}"))
}

pub fn repositories(scope: &Scope) -> String {
    of(scope, "repositories", "")
}

pub fn repository(scope: &Scope, name: &RepositoryName) -> String {
    of(scope, "repositories", name)
}

/// Written with each push of an image: its revision tells whether one came in between.
pub fn push_mark(scope: &Scope, name: &RepositoryName) -> String {
    of(scope, "push-marks", name)
}

pub fn images(scope: &Scope, name: &RepositoryName) -> String {
    prefix(scope, "images", name, '@')
}

/// Metadata of an image, index or artifact.
pub fn image(scope: &Scope, name: &RepositoryName, digest: &Digest) -> String {
    of(scope, "images", format_args!("{name}@{digest}"))
}

/// Its manifest: the very bytes that were pushed, not JSON of ours.
pub fn manifest(scope: &Scope, name: &RepositoryName, digest: &Digest) -> String {
    of(scope, "manifests", format_args!("{name}@{digest}"))
}

pub fn tags(scope: &Scope, name: &RepositoryName) -> String {
    prefix(scope, "tags", name, ':')
}

pub fn tag(scope: &Scope, name: &RepositoryName, tag: &Tag) -> String {
    of(scope, "tags", format_args!("{name}:{tag}"))
}

pub fn layers(scope: &Scope, name: &RepositoryName) -> String {
    prefix(scope, "layers", name, '@')
}

pub fn all_layers(scope: &Scope) -> String {
    of(scope, "layers", "")
}

/// The link of a blob to a repository.
pub fn layer(scope: &Scope, name: &RepositoryName, digest: &Digest) -> String {
    of(scope, "layers", format_args!("{name}@{digest}"))
}

/// Prefix of the indexes that refer to a manifest.
pub fn parents(scope: &Scope, name: &RepositoryName, child: &Digest) -> String {
    of(scope, "parents", format_args!("{name}@{child}/"))
}

pub fn parent(scope: &Scope, name: &RepositoryName, child: &Digest, index: &Digest) -> String {
    of(scope, "parents", format_args!("{name}@{child}/{index}"))
}

/// Prefix of the manifests whose `subject` is this digest.
pub fn referrers(scope: &Scope, name: &RepositoryName, subject: &Digest) -> String {
    of(scope, "referrers", format_args!("{name}@{subject}/"))
}

pub fn referrer(scope: &Scope, name: &RepositoryName, subject: &Digest, digest: &Digest) -> String {
    of(
        scope,
        "referrers",
        format_args!("{name}@{subject}/{digest}"),
    )
}

/// When an image was last pulled.
pub fn pull(scope: &Scope, name: &RepositoryName, digest: &Digest) -> String {
    of(scope, "pulls", format_args!("{name}@{digest}"))
}

/// What the ECR API keeps beside a repository, under a name of its own.
pub fn note(scope: &Scope, name: &RepositoryName, note: &str) -> String {
    of(scope, "notes", format_args!("{name}:{note}"))
}

pub fn templates(scope: &Scope) -> String {
    of(scope, "templates", "")
}

pub fn template(scope: &Scope, prefix: &str) -> String {
    of(scope, "templates", prefix)
}

/// Settings of a whole registry, whose form is their owner's business.
pub fn setting(scope: &Scope, name: &str) -> String {
    of(scope, "settings", name)
}

/// The part of a key after its last `separator`.
pub fn last_part(key: &[u8], separator: char) -> &str {
    std::str::from_utf8(key)
        .ok()
        .and_then(|key| key.rsplit_once(separator))
        .map_or("", |(_, last)| last)
}
