//! Pages of listings.

use neargate_aws_wire::error::ApiError;

use super::errors;
use crate::page::{decode_token, page_of};

/// Largest page, and the size of one if the caller does not say.
const MAX_PAGE: usize = 400;

/// One page of `items` in the order of their keys, and the marker of the next one.
pub fn page<T>(
    items: Vec<T>,
    key: impl Fn(&T) -> String,
    marker: Option<String>,
    page_size: Option<i32>,
) -> Result<(Vec<T>, Option<String>), ApiError> {
    let position = marker
        .filter(|marker| !marker.is_empty())
        .map(|marker| decode_token(&marker).ok_or_else(errors::invalid_marker))
        .transpose()?;
    let limit = page_size
        .and_then(|size| usize::try_from(size).ok())
        .map_or(MAX_PAGE, |size| size.clamp(1, MAX_PAGE));
    let mut keyed: Vec<(String, T)> = items.into_iter().map(|item| (key(&item), item)).collect();
    keyed.sort_by(|(a, _), (b, _)| a.cmp(b));
    let (page, next) = page_of(keyed, |(key, _)| key, position.as_deref(), limit);
    Ok((page.into_iter().map(|(_, item)| item).collect(), next))
}
