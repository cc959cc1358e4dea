//! What there are endpoints of: AWS's own services in the caller's region, and the prefix lists of those that have
//! gateway endpoints.

use std::borrow::Cow;

use neargate_aws_api::ec2::types::*;
use neargate_aws_wire::error::ApiError;
use neargate_domain::Scope;
use sha2::{Digest, Sha256};

use super::super::filters::{Accessor, each, shown, text};
use super::super::kind::{self, Kind};
use super::super::select::{Listed, Query, select};
use super::super::zones::zones_of;

/// Services with gateway endpoints. They have interface endpoints too.
const GATEWAYS: [&str; 2] = ["dynamodb", "s3"];

/// What DescribeVpcEndpointServices lists beside them: what those ask for who run containers. An endpoint of a service
/// that is not here can be made all the same; AWS has some hundreds.
const INTERFACES: [&str; 36] = [
    "application-autoscaling",
    "autoscaling",
    "autoscaling-plans",
    "cloudformation",
    "cloudtrail",
    "codebuild",
    "codedeploy",
    "codedeploy-commands-secure",
    "ec2",
    "ec2messages",
    "ecr.api",
    "ecr.dkr",
    "ecs",
    "ecs-agent",
    "ecs-telemetry",
    "elasticache",
    "elasticfilesystem",
    "elasticloadbalancing",
    "events",
    "execute-api",
    "guardduty-data",
    "kinesis-firehose",
    "kinesis-streams",
    "kms",
    "lambda",
    "logs",
    "monitoring",
    "rds",
    "secretsmanager",
    "servicediscovery",
    "sns",
    "sqs",
    "ssm",
    "ssmmessages",
    "states",
    "sts",
];

/// The addresses of a prefix list. AWS's are those of S3 and DynamoDB; there is neither here, so this is a range that
/// is kept for documentation (RFC 5737).
const PREFIXES: [&str; 1] = ["192.0.2.0/24"];

/// The account that owns AWS's prefix lists.
const OWNER: &str = "AWS";

fn full_name(scope: &Scope, short: &str) -> String {
    format!("com.amazonaws.{}.{short}", scope.region)
}

/// `ecr.api` of `com.amazonaws.us-east-1.ecr.api`.
pub fn short_name<'a>(scope: &Scope, name: &'a str) -> &'a str {
    let prefix = full_name(scope, "");
    name.strip_prefix(&prefix).unwrap_or(name)
}

/// The host name of a service without region and domain: `api.ecr` of `ecr.api`.
fn host_name(short: &str) -> String {
    match short {
        "ecr.dkr" => "*.dkr.ecr".to_owned(),
        "execute-api" | "s3" => format!("*.{short}"),
        "kinesis-firehose" => "firehose".to_owned(),
        "kinesis-streams" => "kinesis".to_owned(),
        _ => short.rsplit('.').collect::<Vec<_>>().join("."),
    }
}

/// The name by which clients know a service, which private DNS gives to its endpoint.
pub fn private_name(scope: &Scope, short: &str) -> String {
    format!("{}.{}.amazonaws.com", host_name(short), scope.region)
}

/// What the names of an endpoint of a service end in.
pub fn endpoint_domain(scope: &Scope, short: &str) -> String {
    let host = host_name(short);
    let host = host.trim_start_matches("*.");
    format!("{host}.{}.vpce.amazonaws.com", scope.region)
}

/// Refuses a service that cannot have an endpoint of that type here.
pub fn check(scope: &Scope, name: &str, is_gateway: bool) -> Result<(), ApiError> {
    let short = name.strip_prefix(&full_name(scope, ""));
    match short {
        Some(short) if is_gateway && GATEWAYS.contains(&short) => Ok(()),
        Some(short) if is_gateway && INTERFACES.contains(&short) => Err(ApiError::client(
            "InvalidParameter",
            "Endpoint type (Gateway) does not match available service types ([Interface]).",
        )),
        Some(short) if !is_gateway && !short.is_empty() => Ok(()),
        _ => Err(no_service(name)),
    }
}

fn no_service(name: &str) -> ApiError {
    ApiError::client(
        "InvalidServiceName",
        format!("The Vpc Endpoint Service '{name}' does not exist"),
    )
}

fn detail(scope: &Scope, short: &str, kind: ServiceType) -> ServiceDetail {
    let zones = zones_of(&scope.region);
    let name = full_name(scope, short);
    let private_name = (kind == ServiceType::Interface).then(|| private_name(scope, short));
    ServiceDetail {
        acceptance_required: Some(false),
        availability_zone_ids: Some(zones.iter().map(|zone| zone.id.clone()).collect()),
        availability_zones: Some(zones.into_iter().map(|zone| zone.name).collect()),
        base_endpoint_dns_names: Some(vec![endpoint_domain(scope, short)]),
        manages_vpc_endpoints: Some(false),
        owner: Some("amazon".to_owned()),
        private_dns_name_verification_state: Some(DnsNameState::Verified),
        private_dns_names: Some(
            private_name
                .iter()
                .map(|name| PrivateDnsDetails {
                    private_dns_name: Some(name.clone()),
                })
                .collect(),
        ),
        private_dns_name: private_name,
        service_id: Some(format!(
            "vpce-svc-{}",
            digest(scope, &format!("{short} {kind}"), 17)
        )),
        service_name: Some(name),
        service_region: Some(scope.region.clone()),
        service_type: Some(vec![ServiceTypeDetail {
            service_type: Some(kind),
        }]),
        supported_ip_address_types: Some(vec![ServiceConnectivityType::Ipv4]),
        tags: Some(Vec::new()),
        vpc_endpoint_policy_supported: Some(true),
        ..Default::default()
    }
}

/// Hexadecimal digits that follow from region and name, as ids do that are AWS's own.
fn digest(scope: &Scope, name: &str, digits: usize) -> String {
    let digest = Sha256::digest(format!("{} {name}", scope.region));
    let hex: String = digest.iter().map(|byte| format!("{byte:02x}")).collect();
    hex[..digits].to_owned()
}

impl Listed for ServiceDetail {
    /// Services are named, not numbered; no operation takes an id.
    const KIND: &'static Kind = &kind::VPC_ENDPOINT;
    const FILTERS: &'static [(&'static str, Accessor<Self>)] = &[
        ("owner", |s| text(&s.owner)),
        ("service-name", |s| text(&s.service_name)),
        ("service-region", |s| text(&s.service_region)),
        ("service-type", |s| {
            each(&s.service_type, |t| shown(t.service_type))
        }),
        ("supported-ip-address-types", |s| {
            each(&s.supported_ip_address_types, |t| shown(Some(*t)))
        }),
    ];
    fn id(&self) -> &str {
        self.service_id.as_deref().unwrap_or_default()
    }
    fn tags(&self) -> &[Tag] {
        self.tags.as_deref().unwrap_or_default()
    }
    fn position(&self) -> Cow<'_, str> {
        let name = self.service_name.as_deref().unwrap_or_default();
        Cow::Owned(format!("{name} {}", self.id()))
    }
}

/// <https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_DescribeVpcEndpointServices.html>
pub fn describe_services(
    scope: &Scope,
    input: DescribeVpcEndpointServicesRequest,
) -> Result<DescribeVpcEndpointServicesResult, ApiError> {
    let gateways = GATEWAYS
        .iter()
        .map(|s| detail(scope, s, ServiceType::Gateway));
    let interfaces = GATEWAYS.iter().chain(&INTERFACES);
    let interfaces = interfaces.map(|s| detail(scope, s, ServiceType::Interface));
    let mut services: Vec<ServiceDetail> = gateways.chain(interfaces).collect();
    let wanted = input.service_names.unwrap_or_default();
    if !wanted.is_empty() {
        let known = |name: &&String| {
            services
                .iter()
                .any(|s| s.service_name.as_ref() == Some(*name))
        };
        if let Some(unknown) = wanted.iter().find(|name| !known(name)) {
            return Err(no_service(unknown));
        }
        services.retain(|s| {
            s.service_name
                .as_ref()
                .is_some_and(|name| wanted.contains(name))
        });
    }
    let query = Query {
        ids: None,
        filters: input.filters,
        max_results: input.max_results,
        next_token: input.next_token,
    };
    let (services, next_token) = select(services, query)?;
    let mut names: Vec<String> = services
        .iter()
        .flat_map(|s| text(&s.service_name))
        .collect();
    names.dedup();
    Ok(DescribeVpcEndpointServicesResult {
        next_token,
        service_details: Some(services),
        service_names: Some(names),
    })
}

/// Id of the prefix list of a service that has gateway endpoints.
pub fn prefix_list_of(scope: &Scope, service_name: &str) -> Option<String> {
    let short = short_name(scope, service_name);
    GATEWAYS
        .contains(&short)
        .then(|| format!("{}-{}", kind::PREFIX_LIST.prefix, digest(scope, short, 8)))
}

/// Names and ids of the prefix lists.
fn prefix_lists(scope: &Scope) -> impl Iterator<Item = (String, String)> {
    GATEWAYS.iter().filter_map(move |short| {
        let name = full_name(scope, short);
        let id = prefix_list_of(scope, &name)?;
        Some((name, id))
    })
}

impl Listed for PrefixList {
    const KIND: &'static Kind = &kind::PREFIX_LIST;
    const FILTERS: &'static [(&'static str, Accessor<Self>)] = &[
        ("prefix-list-id", |l| text(&l.prefix_list_id)),
        ("prefix-list-name", |l| text(&l.prefix_list_name)),
    ];
    fn id(&self) -> &str {
        self.prefix_list_id.as_deref().unwrap_or_default()
    }
    fn tags(&self) -> &[Tag] {
        &[]
    }
}

/// <https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_DescribePrefixLists.html>
pub fn describe_prefix_lists(
    scope: &Scope,
    input: DescribePrefixListsRequest,
) -> Result<DescribePrefixListsResult, ApiError> {
    let lists = prefix_lists(scope).map(|(name, id)| PrefixList {
        cidrs: Some(PREFIXES.map(str::to_owned).into()),
        prefix_list_id: Some(id),
        prefix_list_name: Some(name),
    });
    let query = Query {
        ids: input.prefix_list_ids,
        filters: input.filters,
        max_results: input.max_results,
        next_token: input.next_token,
    };
    let (lists, next_token) = select(lists.collect(), query)?;
    Ok(DescribePrefixListsResult {
        next_token,
        prefix_lists: Some(lists),
    })
}

impl Listed for ManagedPrefixList {
    const KIND: &'static Kind = &kind::PREFIX_LIST;
    const FILTERS: &'static [(&'static str, Accessor<Self>)] = &[
        ("owner-id", |l| text(&l.owner_id)),
        ("prefix-list-id", |l| text(&l.prefix_list_id)),
        ("prefix-list-name", |l| text(&l.prefix_list_name)),
    ];
    fn id(&self) -> &str {
        self.prefix_list_id.as_deref().unwrap_or_default()
    }
    fn tags(&self) -> &[Tag] {
        &[]
    }
}

/// <https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_DescribeManagedPrefixLists.html>
pub fn describe_managed_prefix_lists(
    scope: &Scope,
    input: DescribeManagedPrefixListsRequest,
) -> Result<DescribeManagedPrefixListsResult, ApiError> {
    let lists = prefix_lists(scope).map(|(name, id)| ManagedPrefixList {
        address_family: Some("IPv4".to_owned()),
        owner_id: Some(OWNER.to_owned()),
        prefix_list_arn: Some(format!("arn:aws:ec2:{}:aws:prefix-list/{id}", scope.region)),
        prefix_list_id: Some(id),
        prefix_list_name: Some(name),
        state: Some(PrefixListState::CreateComplete),
        tags: Some(Vec::new()),
        ..Default::default()
    });
    let query = Query {
        ids: input.prefix_list_ids,
        filters: input.filters,
        max_results: input.max_results,
        next_token: input.next_token,
    };
    let (lists, next_token) = select(lists.collect(), query)?;
    Ok(DescribeManagedPrefixListsResult {
        next_token,
        prefix_lists: Some(lists),
    })
}

/// <https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_GetManagedPrefixListEntries.html>
pub fn prefix_list_entries(
    scope: &Scope,
    input: GetManagedPrefixListEntriesRequest,
) -> Result<GetManagedPrefixListEntriesResult, ApiError> {
    let id = &input.prefix_list_id;
    kind::PREFIX_LIST.check(id)?;
    if !prefix_lists(scope).any(|(_, known)| known == *id) {
        return Err(kind::PREFIX_LIST.not_found(id));
    }
    let entries = PREFIXES.map(|cidr| PrefixListEntry {
        cidr: Some(cidr.to_owned()),
        description: None,
    });
    Ok(GetManagedPrefixListEntriesResult {
        entries: Some(entries.into()),
        next_token: None,
    })
}
