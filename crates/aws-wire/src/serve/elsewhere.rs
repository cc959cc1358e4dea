//! AWS's services that are not served here, by the names that requests know them by: so that a caller reads which
//! service is missing and not that an operation is unknown.

use crate::error::ApiError;
use crate::protocol::RestXml;
use crate::schema::Protocol;

/// One line per service, from botocore's models: `cargo xtask models` writes it without those that have a model here.
const SERVICES: &str = include_str!("../../../../models/elsewhere.tsv");

/// How a service words its errors.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Form {
    Known(Protocol),
    RestXml(RestXml),
}

/// A service of AWS, as far as requests tell.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Elsewhere {
    /// As AWS calls it: "Amazon SQS".
    name: &'static str,
    signing_name: &'static str,
    /// First labels of its hosts: `sqs`, `api.sagemaker`.
    endpoint_prefix: &'static str,
    /// `-` where the protocol has none.
    target_prefix: &'static str,
    version: &'static str,
    protocol: &'static str,
}

impl Elsewhere {
    /// By the part of `X-Amz-Target` before the operation, which is also the name in the paths of rpc-v2-cbor.
    pub fn by_target(prefix: &str) -> Option<Self> {
        all().find(|service| service.target_prefix == prefix && prefix != "-")
    }

    /// By the service that a request is signed for, the one of that version where several share the name.
    pub fn by_scope(signing_name: &str, version: Option<&str>) -> Option<Self> {
        match version {
            Some(version) => named(signing_name, |service| service.version == version),
            None => named(signing_name, |_| true),
        }
    }

    /// By the service that a request without an action is signed for: the one with paths, where several share the name.
    pub fn by_scope_of_path(signing_name: &str) -> Option<Self> {
        named(signing_name, |service| {
            service.protocol.starts_with("rest-")
        })
        .or_else(|| named(signing_name, |_| true))
    }

    /// By the version of a query request, if only one service of these protocols has it.
    pub fn by_version(version: &str) -> Option<Self> {
        let mut of_version =
            all().filter(|service| service.is_query() && service.version == version);
        of_version.next().filter(|_| of_version.next().is_none())
    }

    /// By the host: `sqs.us-east-1.amazonaws.com`, `bucket.s3.localhost:4566`.
    pub fn by_host(host: &str) -> Option<Self> {
        let name = host.split(':').next()?.to_ascii_lowercase();
        // A bucket or an account may stand before the service. The domain and the region are no service's name.
        let rest = std::iter::successors(Some(name.as_str()), |rest| Some(rest.split_once('.')?.1));
        rest.take_while(|rest| rest.contains('.')).find_map(|rest| {
            all().find(|service| {
                let after = rest.strip_prefix(service.endpoint_prefix);
                after.is_some_and(|after| after.starts_with('.'))
            })
        })
    }

    /// The form of its errors, where the request does not tell the protocol.
    pub fn form(self) -> Form {
        match self.protocol {
            "query" => Form::Known(Protocol::AwsQuery),
            "ec2" => Form::Known(Protocol::Ec2Query),
            "json" => Form::Known(Protocol::AwsJson1_1),
            "smithy-rpc-v2-cbor" => Form::Known(Protocol::RpcV2Cbor),
            "rest-xml" if self.signing_name == "s3" => Form::RestXml(RestXml::Bare),
            "rest-xml" => Form::RestXml(RestXml::Wrapped),
            _ => Form::Known(Protocol::RestJson1),
        }
    }

    pub fn error(self) -> ApiError {
        ApiError::not_a_service(self.name)
    }

    fn is_query(self) -> bool {
        // Services that left the query protocol still understand it, so a caller may speak it to them.
        self.target_prefix != "-" || self.protocol == "query"
    }
}

/// One that is signed for by this name. S3 Control and its like are signed for as the service that they belong to, whose
/// hosts have that name as well.
fn named(signing_name: &str, fits: impl Fn(&Elsewhere) -> bool) -> Option<Elsewhere> {
    let named = || all().filter(|service| service.signing_name == signing_name && fits(service));
    let main = named().find(|service| service.endpoint_prefix == signing_name);
    main.or_else(|| named().next())
}

fn all() -> impl Iterator<Item = Elsewhere> {
    SERVICES.lines().filter_map(|line| {
        let mut fields = line.split('\t');
        let mut next = || fields.next();
        Some(Elsewhere {
            name: next()?,
            signing_name: next()?,
            endpoint_prefix: next()?,
            target_prefix: next()?,
            version: next()?,
            protocol: next()?,
        })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name(found: Option<Elsewhere>) -> Option<&'static str> {
        found.map(|service| service.name)
    }

    #[test]
    fn services_are_known_by_all_their_names() {
        assert_eq!(name(Elsewhere::by_target("AmazonSQS")), Some("Amazon SQS"));
        assert_eq!(name(Elsewhere::by_target("-")), None);
        assert_eq!(name(Elsewhere::by_target("Nobody")), None);
        for (signed_for, want) in [
            ("s3", Some("Amazon S3")),
            ("lambda", Some("AWS Lambda")),
            ("ses", Some("Amazon SES V2")),
            ("ecs", None),
        ] {
            assert_eq!(
                name(Elsewhere::by_scope_of_path(signed_for)),
                want,
                "{signed_for}"
            );
        }
        assert_eq!(
            name(Elsewhere::by_scope(
                "elasticloadbalancing",
                Some("2012-06-01")
            )),
            Some("Elastic Load Balancing")
        );
        assert_eq!(
            name(Elsewhere::by_version("2010-03-31")),
            Some("Amazon SNS")
        );
        for (host, want) in [
            ("sqs.us-east-1.amazonaws.com", Some("Amazon SQS")),
            ("s3.localhost:4566", Some("Amazon S3")),
            ("my.bucket.S3.localhost:4566", Some("Amazon S3")),
            ("localhost:4566", None),
            ("127.0.0.1:4566", None),
            ("s3", None),
        ] {
            assert_eq!(name(Elsewhere::by_host(host)), want, "{host}");
        }
    }

    #[test]
    fn the_table_has_whole_lines_and_no_service_that_is_served() {
        let count = all().count();
        assert!(count > 300 && count == SERVICES.lines().count());
        for service in all() {
            assert!(
                !service.name.is_empty() && !service.signing_name.is_empty(),
                "{service:?}"
            );
        }
        assert_eq!(Elsewhere::by_scope("ecs", None), None);
    }
}
