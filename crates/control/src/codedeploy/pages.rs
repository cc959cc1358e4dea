//! Pages of listings. CodeDeploy's callers do not say how long they are.

use neargate_aws_wire::error::ApiError;

use super::errors;
use crate::page::{decode_token, page_of};

/// AWS names no number; this is as many as the BatchGet operations take.
const PAGE: usize = 100;

/// One page of items, each with what it is sorted by, and the token of the next one.
pub fn page<T>(
    mut items: Vec<(String, T)>,
    token: Option<&str>,
) -> Result<(Vec<T>, Option<String>), ApiError> {
    let position = token
        .map(|token| decode_token(token).ok_or_else(errors::invalid_next_token))
        .transpose()?;
    items.sort_by(|(a, _), (b, _)| a.cmp(b));
    let (page, next) = page_of(items, |(key, _)| key, position.as_deref(), PAGE);
    Ok((page.into_iter().map(|(_, item)| item).collect(), next))
}

/// One page of names.
pub fn names(
    names: impl IntoIterator<Item = String>,
    token: Option<&str>,
) -> Result<(Vec<String>, Option<String>), ApiError> {
    let keyed = names.into_iter().map(|name| (name.clone(), name));
    page(keyed.collect(), token)
}
