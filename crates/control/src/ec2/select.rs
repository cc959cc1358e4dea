//! What all Describe operations share: ids, filters and pages.

use std::borrow::Cow;
use std::collections::HashSet;

use neargate_aws_api::ec2::types::{Filter, Tag};
use neargate_aws_wire::error::ApiError;

use super::errors;
use super::filters::{self, Accessor};
use super::kind::Kind;
use crate::page;

/// The longest page, also where the caller sets no MaxResults.
const MAX_PAGE: usize = 1000;

/// Something that is listed.
pub trait Listed: Sized + 'static {
    const KIND: &'static Kind;
    /// Filters beside those on tags.
    const FILTERS: &'static [(&'static str, Accessor<Self>)];
    fn id(&self) -> &str;
    fn tags(&self) -> &[Tag];
    /// Where it stands in a listing; unique.
    fn position(&self) -> Cow<'_, str> {
        Cow::Borrowed(self.id())
    }
}

/// The parameters of a Describe operation.
#[derive(Debug, Default)]
pub struct Query {
    pub ids: Option<Vec<String>>,
    pub filters: Option<Vec<Filter>>,
    pub max_results: Option<i32>,
    pub next_token: Option<String>,
}

impl Query {
    /// Of the newer operations, which take ids and pages together: a page's size is for those that name no ids.
    pub fn of_ids_or_page(self) -> Self {
        let ids = self.ids.filter(|ids| !ids.is_empty());
        Self {
            max_results: self.max_results.filter(|_| ids.is_none()),
            ids,
            ..self
        }
    }
}

/// The page that was asked for, and the token of the next.
pub fn select<T: Listed>(
    items: Vec<T>,
    query: Query,
) -> Result<(Vec<T>, Option<String>), ApiError> {
    let ids = query.ids.unwrap_or_default();
    if !ids.is_empty() && query.max_results.is_some() {
        return Err(errors::invalid_combination(format!(
            "The parameter {}Ids cannot be used with the parameter maxResults in the same call.",
            T::KIND.prefix
        )));
    }
    let items = by_ids(items, &ids)?;
    let filters = query.filters.unwrap_or_default();
    let mut items = filters::apply(items, &filters, T::FILTERS, T::tags)?;
    items.sort_by(|a, b| a.position().cmp(&b.position()));
    let position = match query.next_token.as_deref().filter(|t| !t.is_empty()) {
        Some(token) => Some(page::decode_token(token).ok_or_else(invalid_token)?),
        None => None,
    };
    let limit = match query.max_results {
        Some(limit) => usize::try_from(limit).unwrap_or(1).clamp(1, MAX_PAGE),
        None => MAX_PAGE,
    };
    Ok(page_of(items, position.as_deref(), limit))
}

/// By id, one unknown id fails the whole call; without ids, everything is meant.
fn by_ids<T: Listed>(items: Vec<T>, ids: &[String]) -> Result<Vec<T>, ApiError> {
    if ids.is_empty() {
        return Ok(items);
    }
    for id in ids {
        T::KIND.check(id)?;
    }
    let known: HashSet<&str> = items.iter().map(T::id).collect();
    if let Some(unknown) = ids.iter().find(|id| !known.contains(id.as_str())) {
        return Err(T::KIND.not_found(unknown));
    }
    let wanted: HashSet<&str> = ids.iter().map(String::as_str).collect();
    Ok(items
        .into_iter()
        .filter(|item| wanted.contains(item.id()))
        .collect())
}

fn page_of<T: Listed>(
    items: Vec<T>,
    position: Option<&str>,
    limit: usize,
) -> (Vec<T>, Option<String>) {
    let mut rest: Vec<T> = items
        .into_iter()
        .skip_while(|item| position.is_some_and(|p| *item.position() <= *p))
        .collect();
    if rest.len() <= limit {
        return (rest, None);
    }
    rest.truncate(limit);
    let token = rest.last().map(|last| page::encode_token(&last.position()));
    (rest, token)
}

fn invalid_token() -> ApiError {
    errors::invalid_parameter(
        "nextToken",
        "",
        "Pass the token of the previous answer unchanged.",
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ec2::kind;

    struct Item(String);

    impl Listed for Item {
        const KIND: &'static Kind = &kind::VPC;
        const FILTERS: &'static [(&'static str, Accessor<Self>)] = &[];
        fn id(&self) -> &str {
            &self.0
        }
        fn tags(&self) -> &[Tag] {
            &[]
        }
    }

    fn items() -> Vec<Item> {
        ["vpc-2", "vpc-1", "vpc-3"]
            .map(|id| Item(id.to_owned()))
            .into()
    }

    fn names(items: &[Item]) -> Vec<&str> {
        items.iter().map(|i| i.0.as_str()).collect()
    }

    #[test]
    fn pages_are_sorted_and_complete() {
        let mut token = None;
        let mut pages = Vec::new();
        loop {
            let query = Query {
                max_results: Some(2),
                next_token: token,
                ..Query::default()
            };
            let (page, next) = select(items(), query).unwrap();
            pages.push(names(&page).join(" "));
            token = next;
            if token.is_none() {
                break;
            }
        }
        assert_eq!(pages, ["vpc-1 vpc-2", "vpc-3"]);
    }

    #[test]
    fn wrong_ids_and_tokens_have_their_own_errors() {
        let ids = |ids: &[&str]| Query {
            ids: Some(ids.iter().map(|id| (*id).to_owned()).collect()),
            ..Query::default()
        };
        for (name, query, code) in [
            ("unknown", ids(&["vpc-1", "vpc-9"]), "InvalidVpcID.NotFound"),
            ("malformed", ids(&["subnet-1"]), "InvalidVpcId.Malformed"),
            (
                "ids in pages",
                Query {
                    max_results: Some(5),
                    ..ids(&["vpc-1"])
                },
                "InvalidParameterCombination",
            ),
            (
                "foreign token",
                Query {
                    next_token: Some("%".into()),
                    ..Query::default()
                },
                "InvalidParameterValue",
            ),
        ] {
            let error = select(items(), query).err().unwrap();
            assert_eq!(error.code, code, "{name}");
        }
        let (found, _) = select(items(), ids(&["vpc-3", "vpc-1"])).unwrap();
        assert_eq!(names(&found), ["vpc-1", "vpc-3"]);
    }
}
