//! URI templates: which operation a method and path mean.

use percent_encoding::percent_decode_str;

use crate::query::parse_pairs;
use crate::schema::{OperationSchema, ServiceSchema};

/// Label values of a matched path, percent-decoded, by label name.
pub(crate) type Labels = Vec<(&'static str, String)>;

/// The operations of one REST service by method and path.
pub(crate) struct RouteTable {
    routes: Vec<Template>,
}

struct Template {
    operation: &'static OperationSchema,
    segments: Vec<Segment>,
    /// `?key` or `?key=value` of the template, which the request must have.
    query: Vec<(&'static str, Option<&'static str>)>,
}

#[derive(PartialEq)]
enum Segment {
    Literal(&'static str),
    Label(&'static str),
    Greedy(&'static str),
}

pub(crate) enum RouteMatch {
    Operation(&'static OperationSchema, Labels),
    /// The path exists with another method.
    WrongMethod,
    None,
}

impl RouteTable {
    pub(crate) fn new(service: &'static ServiceSchema) -> Self {
        let mut routes: Vec<Template> = service.operations.iter().map(Template::new).collect();
        // The most specific template first: more literal segments and more query literals.
        routes.sort_by_key(|route| std::cmp::Reverse(route.specificity()));
        Self { routes }
    }

    pub(crate) fn find(&self, method: &str, path: &str, query: &str) -> RouteMatch {
        // A query that is not text matches no literal; reading the request reports it.
        let pairs = parse_pairs(query.as_bytes()).unwrap_or_default();
        let mut wrong_method = false;
        for route in &self.routes {
            if !route.query_matches(&pairs) {
                continue;
            }
            let Some(labels) = route.labels(path) else {
                continue;
            };
            if route.operation.http_method == method {
                return RouteMatch::Operation(route.operation, labels);
            }
            wrong_method = true;
        }
        if wrong_method {
            RouteMatch::WrongMethod
        } else {
            RouteMatch::None
        }
    }
}

impl Template {
    fn new(operation: &'static OperationSchema) -> Self {
        let (path, query) = operation
            .http_uri
            .split_once('?')
            .unwrap_or((operation.http_uri, ""));
        let segments = split_path(path)
            .map(
                |segment| match segment.strip_prefix('{').and_then(|s| s.strip_suffix('}')) {
                    Some(name) => match name.strip_suffix('+') {
                        Some(name) => Segment::Greedy(name),
                        None => Segment::Label(name),
                    },
                    None => Segment::Literal(segment),
                },
            )
            .collect();
        let query = query
            .split('&')
            .filter(|pair| !pair.is_empty())
            .map(|pair| match pair.split_once('=') {
                Some((key, value)) => (key, Some(value).filter(|v| !v.is_empty())),
                None => (pair, None),
            })
            .collect();
        Self {
            operation,
            segments,
            query,
        }
    }

    fn specificity(&self) -> (usize, usize) {
        let literals = self
            .segments
            .iter()
            .filter(|s| matches!(s, Segment::Literal(_)))
            .count();
        (literals, self.query.len())
    }

    fn query_matches(&self, pairs: &[(String, String)]) -> bool {
        self.query.iter().all(|(key, value)| {
            pairs
                .iter()
                .any(|(k, v)| k == key && value.is_none_or(|value| v == value))
        })
    }

    fn labels(&self, path: &str) -> Option<Labels> {
        let parts: Vec<&str> = split_path(path).collect();
        let mut labels = Vec::new();
        let mut at = 0;
        for (index, segment) in self.segments.iter().enumerate() {
            match segment {
                Segment::Literal(literal) => {
                    if parts.get(at) != Some(literal) {
                        return None;
                    }
                    at += 1;
                }
                Segment::Label(name) => {
                    labels.push((*name, decode(parts.get(at).filter(|p| !p.is_empty())?)?));
                    at += 1;
                }
                Segment::Greedy(name) => {
                    let after = self.segments.len() - index - 1;
                    let end = parts.len().checked_sub(after).filter(|end| *end > at)?;
                    labels.push((*name, decode(&parts[at..end].join("/"))?));
                    at = end;
                }
            }
        }
        (at == parts.len()).then_some(labels)
    }
}

fn split_path(path: &str) -> impl Iterator<Item = &str> {
    let path = path.strip_prefix('/').unwrap_or(path);
    // "/" has no segments, "/a/" is "/a".
    let path = path.strip_suffix('/').unwrap_or(path);
    path.split('/').filter(move |_| !path.is_empty())
}

fn decode(text: &str) -> Option<String> {
    Some(percent_decode_str(text).decode_utf8().ok()?.into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn operation(
        name: &'static str,
        http_method: &'static str,
        http_uri: &'static str,
    ) -> OperationSchema {
        OperationSchema {
            name,
            index: 0,
            http_method,
            http_uri,
            http_status: 200,
            input: None,
            output: None,
            result_wrapper: None,
            errors: &[],
            modelled: true,
        }
    }

    static OPERATIONS: [OperationSchema; 6] = [
        operation("Get", "GET", "/schedules/{Name}"),
        operation("Create", "POST", "/schedules/{Name}"),
        operation("List", "GET", "/schedules"),
        operation("Special", "GET", "/schedules/special"),
        operation("Greedy", "GET", "/files/{Path+}/content"),
        operation("Literal", "GET", "/schedules?versions"),
    ];

    static SERVICE: ServiceSchema = ServiceSchema {
        name: "test",
        service_id: "Test",
        signing_name: "test",
        api_version: "2020-01-01",
        target_prefix: "Test",
        xml_namespace: "",
        protocols: &[crate::schema::Protocol::RestJson1],
        operations: &OPERATIONS,
        validation: crate::schema::ValidationStyle::Coral,
        query_compatible: false,
    };

    #[test]
    fn finds_operations() {
        let table = RouteTable::new(&SERVICE);
        for (method, path, query, want) in [
            ("GET", "/schedules/a", "", "Get Name=a"),
            ("GET", "/schedules/a%2Fb%3Ac", "", "Get Name=a/b:c"),
            ("POST", "/schedules/a", "", "Create Name=a"),
            ("DELETE", "/schedules/a", "", "wrong method"),
            ("GET", "/schedules", "", "List"),
            ("GET", "/schedules/", "", "List"),
            ("GET", "/schedules", "versions", "Literal"),
            ("GET", "/schedules/special", "", "Special"),
            ("GET", "/files/a/b/content", "", "Greedy Path=a/b"),
            ("GET", "/files/content", "", "none"),
            ("GET", "/schedules//", "", "none"),
            ("GET", "/schedules/%ff", "", "none"),
            ("GET", "/", "", "none"),
        ] {
            let got = match table.find(method, path, query) {
                RouteMatch::Operation(operation, labels) => {
                    let labels: String = labels
                        .iter()
                        .map(|(name, value)| format!(" {name}={value}"))
                        .collect();
                    format!("{}{labels}", operation.name)
                }
                RouteMatch::WrongMethod => "wrong method".to_owned(),
                RouteMatch::None => "none".to_owned(),
            };
            assert_eq!(got, want, "{method} {path}?{query}");
        }
    }
}
