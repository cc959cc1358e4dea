//! EC2's filters: the values of one filter are alternatives, the filters are conditions that must all hold.
//!
//! <https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_Filter.html>

use neargate_aws_api::ec2::types::{Filter, Tag};
use neargate_aws_wire::error::ApiError;
use neargate_domain::wildcard;

use super::errors;

/// AWS's limits on a request's filters.
const MAX_FILTERS: usize = 50;
const MAX_VALUES: usize = 200;

/// The values of an item that a filter looks at.
pub type Accessor<T> = fn(&T) -> Vec<String>;

/// The items that all filters let through. `accessors` lists the filters that this kind of item has, beside those on
/// tags.
pub fn apply<T>(
    items: Vec<T>,
    filters: &[Filter],
    accessors: &[(&str, Accessor<T>)],
    tags: fn(&T) -> &[Tag],
) -> Result<Vec<T>, ApiError> {
    if filters.len() > MAX_FILTERS {
        return Err(limit_exceeded("filters", MAX_FILTERS));
    }
    let mut conditions = Vec::with_capacity(filters.len());
    for filter in filters {
        let name = filter.name.as_deref().unwrap_or_default();
        let patterns = filter.values.as_deref().unwrap_or_default();
        if patterns.len() > MAX_VALUES {
            return Err(limit_exceeded("values of a filter", MAX_VALUES));
        }
        conditions.push((subject(name, accessors)?, patterns));
    }
    Ok(items
        .into_iter()
        .filter(|item| {
            conditions.iter().all(|(subject, patterns)| {
                let values = subject.values(item, tags(item));
                patterns
                    .iter()
                    .any(|pattern| values.iter().any(|v| wildcard::matches_filter(pattern, v)))
            })
        })
        .collect())
}

/// What a filter looks at.
enum Subject<'a, T> {
    Field(Accessor<T>),
    /// `tag:<key>`
    Tag(&'a str),
    TagKey,
    TagValue,
}

impl<T> Subject<'_, T> {
    fn values(&self, item: &T, tags: &[Tag]) -> Vec<String> {
        match self {
            Self::Field(accessor) => accessor(item),
            Self::Tag(key) => tags
                .iter()
                .filter(|tag| tag.key.as_deref() == Some(key))
                .map(|tag| tag.value.clone().unwrap_or_default())
                .collect(),
            Self::TagKey => tags.iter().filter_map(|tag| tag.key.clone()).collect(),
            Self::TagValue => tags.iter().filter_map(|tag| tag.value.clone()).collect(),
        }
    }
}

fn subject<'a, T>(
    name: &'a str,
    accessors: &[(&str, Accessor<T>)],
) -> Result<Subject<'a, T>, ApiError> {
    if let Some((_, accessor)) = accessors.iter().find(|(known, _)| *known == name) {
        return Ok(Subject::Field(*accessor));
    }
    match (name, name.strip_prefix("tag:")) {
        (_, Some(key)) => Ok(Subject::Tag(key)),
        ("tag-key", _) => Ok(Subject::TagKey),
        ("tag-value", _) => Ok(Subject::TagValue),
        _ => Err(errors::invalid_value(format!(
            "The filter '{name}' is invalid"
        ))),
    }
}

fn limit_exceeded(what: &str, limit: usize) -> ApiError {
    ApiError::client(
        "FilterLimitExceeded",
        format!("The maximum number of {what} in a request is {limit}"),
    )
}

/// The values of a field that may be absent.
pub fn text(field: &Option<String>) -> Vec<String> {
    field.iter().cloned().collect()
}

/// The same for anything that has a text: booleans, numbers, enumerations.
pub fn shown<T: ToString>(field: Option<T>) -> Vec<String> {
    field.iter().map(T::to_string).collect()
}

/// The values of all elements of a list that may be absent.
pub fn each<T>(list: &Option<Vec<T>>, field: fn(&T) -> Vec<String>) -> Vec<String> {
    list.iter().flatten().flat_map(field).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Item(&'static str, Vec<Tag>);

    const ACCESSORS: &[(&str, Accessor<Item>)] = &[("name", |i| vec![i.0.to_owned()])];

    fn tag(key: &str, value: &str) -> Tag {
        Tag {
            key: Some(key.to_owned()),
            value: Some(value.to_owned()),
        }
    }

    fn names(filters: &[(&str, &[&str])]) -> Result<Vec<&'static str>, ApiError> {
        let filters: Vec<Filter> = filters
            .iter()
            .map(|(name, values)| Filter {
                name: Some((*name).to_owned()),
                values: Some(values.iter().map(|v| (*v).to_owned()).collect()),
            })
            .collect();
        let items = vec![
            Item("blue", vec![tag("env", "prod")]),
            Item("blau", vec![tag("env", "test"), tag("team", "a")]),
            Item("red", vec![]),
        ];
        let found = apply(items, &filters, ACCESSORS, |i| &i.1)?;
        Ok(found.into_iter().map(|i| i.0).collect())
    }

    #[test]
    fn values_are_alternatives_and_filters_conditions() {
        for (name, filters, want) in [
            ("no filter", &[][..], vec!["blue", "blau", "red"]),
            ("exact", &[("name", &["red"][..])], vec!["red"]),
            ("case matters", &[("name", &["RED"][..])], vec![]),
            (
                "alternatives",
                &[("name", &["red", "blau"][..])],
                vec!["blau", "red"],
            ),
            (
                "wildcards",
                &[("name", &["bl?u", "r*"][..])],
                vec!["blau", "red"],
            ),
            ("tag", &[("tag:env", &["prod"][..])], vec!["blue"]),
            ("tag key", &[("tag-key", &["team"][..])], vec!["blau"]),
            ("tag value", &[("tag-value", &["t*"][..])], vec!["blau"]),
            (
                "all must hold",
                &[("name", &["bl*"][..]), ("tag:env", &["test"][..])],
                vec!["blau"],
            ),
            ("no values", &[("name", &[][..])], vec![]),
        ] {
            assert_eq!(names(filters), Ok(want), "{name}");
        }
    }

    #[test]
    fn unknown_filters_are_refused_even_when_nothing_is_there() {
        let error = names(&[("colour", &["red"])]).unwrap_err();
        assert_eq!(&*error.code, "InvalidParameterValue");
        assert_eq!(error.message, "The filter 'colour' is invalid");
    }
}
