//! Load balancers as answers show them.

use neargate_aws_api::elbv2::types::*;

use crate::elbv2::data_plane::DataPlane;
use crate::elbv2::records::{LoadBalancerKind, LoadBalancerRecord};

/// What resolves to this machine on every host without set-up.
const DNS_SUFFIX: &str = "elb.localhost";

/// `NAME-<digits>.REGION.elb.localhost`, for an internal one with `internal-` before it; a network load balancer has
/// its id in place of the digits.
pub fn dns_name(
    kind: LoadBalancerKind,
    internal: bool,
    name: &str,
    id: &str,
    region: &str,
) -> String {
    let number = match kind {
        // Unique as the id is, and digits only.
        LoadBalancerKind::Application => {
            u64::from_str_radix(id, 16).map_or_else(|_| id.to_owned(), |id| id.to_string())
        }
        LoadBalancerKind::Network => id.to_owned(),
    };
    let prefix = match (kind, internal) {
        (LoadBalancerKind::Application, true) => "internal-",
        _ => "",
    };
    // Names are compared without regard to case, so one spelling is kept.
    format!("{prefix}{name}-{number}.{region}.{DNS_SUFFIX}")
}

pub fn view(record: &LoadBalancerRecord, plane: &dyn DataPlane) -> LoadBalancer {
    let network = record.kind == LoadBalancerKind::Network;
    LoadBalancer {
        availability_zones: Some(zones(record)),
        canonical_hosted_zone_id: Some(hosted_zone(record.kind, &record.scope.region).to_owned()),
        created_time: Some(record.created_at.to_jiff()),
        dns_name: Some(record.dns_name.clone()),
        enforce_security_group_inbound_rules_on_private_link_traffic: (network
            && !record.security_group_ids.is_empty())
        .then(|| "on".to_owned()),
        ip_address_type: record.ip_address_type.parse().ok(),
        load_balancer_arn: Some(record.arn()),
        load_balancer_name: Some(record.name.clone()),
        scheme: Some(scheme(record.internal)),
        security_groups: (!network || !record.security_group_ids.is_empty())
            .then(|| record.security_group_ids.clone()),
        state: Some(LoadBalancerState {
            code: Some(state_of(record, plane)),
            reason: None,
        }),
        r#type: Some(match record.kind {
            LoadBalancerKind::Application => LoadBalancerTypeEnum::Application,
            LoadBalancerKind::Network => LoadBalancerTypeEnum::Network,
        }),
        vpc_id: Some(record.vpc_id.clone()),
        ..Default::default()
    }
}

pub fn scheme(internal: bool) -> LoadBalancerSchemeEnum {
    match internal {
        true => LoadBalancerSchemeEnum::Internal,
        false => LoadBalancerSchemeEnum::InternetFacing,
    }
}

/// Once active, it stays so: what the data plane reports later is for health, not for this state.
fn state_of(record: &LoadBalancerRecord, plane: &dyn DataPlane) -> LoadBalancerStateEnum {
    match record.active_since.is_some() || plane.serving(&record.arn()) {
        true => LoadBalancerStateEnum::Active,
        false => LoadBalancerStateEnum::Provisioning,
    }
}

pub fn zones(record: &LoadBalancerRecord) -> Vec<AvailabilityZone> {
    let network = record.kind == LoadBalancerKind::Network;
    let zones = record.zones.iter().map(|zone| AvailabilityZone {
        // Addresses that the caller chose are shown, as on AWS.
        load_balancer_addresses: Some(match network && zone.address_was_given {
            true => vec![LoadBalancerAddress {
                private_ipv4_address: Some(zone.address.to_string()),
                ..Default::default()
            }],
            false => Vec::new(),
        }),
        subnet_id: Some(zone.subnet_id.clone()),
        zone_name: Some(zone.zone.clone()),
        ..Default::default()
    });
    zones.collect()
}

/// AWS's hosted zones of load balancers' names. Route 53 is not here, so the id is only to be shown and compared.
///
/// <https://docs.aws.amazon.com/general/latest/gr/elb.html>
fn hosted_zone(kind: LoadBalancerKind, region: &str) -> &'static str {
    const ZONES: [(&str, &str, &str); 9] = [
        ("us-east-1", "Z35SXDOTRQ7X7K", "Z26RNL4JYFTOTI"),
        ("us-east-2", "Z3AADJGX6KTTL2", "ZLMOA37VPKANP"),
        ("us-west-1", "Z368ELLRRE2KJ0", "Z24FKFUX50B4VW"),
        ("us-west-2", "Z1H1FL5HABSF5", "Z18D5FSROUN65G"),
        ("ap-northeast-1", "Z14GRHDCWA56QT", "Z31USIVHYNEOWT"),
        ("ap-northeast-2", "ZWKZPGTI48KDX", "ZIBE1TIR4HY56"),
        ("ap-southeast-1", "Z1LMS91P8CMLE5", "ZKVM4W9LS7TM"),
        ("eu-central-1", "Z215JYRZR1TBD5", "Z3F0SRJ5LGBH90"),
        ("eu-west-1", "Z32O12XQLNTSW2", "Z2IFOLAFXWLO4F"),
    ];
    let (_, application, network) = ZONES
        .into_iter()
        .find(|(name, ..)| *name == region)
        .unwrap_or(ZONES[0]);
    match kind {
        LoadBalancerKind::Application => application,
        LoadBalancerKind::Network => network,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_end_where_every_host_resolves_them() {
        use LoadBalancerKind::*;
        for (kind, internal, want) in [
            (Application, false, "web-255.us-east-1.elb.localhost"),
            (
                Application,
                true,
                "internal-web-255.us-east-1.elb.localhost",
            ),
            (
                Network,
                false,
                "web-00000000000000ff.us-east-1.elb.localhost",
            ),
            (
                Network,
                true,
                "web-00000000000000ff.us-east-1.elb.localhost",
            ),
        ] {
            let got = dns_name(kind, internal, "web", "00000000000000ff", "us-east-1");
            assert_eq!(got, want);
        }
    }
}
