//! Regions and availability zones.

/// Regions that DescribeRegions lists. Any other name works too: a region is just a dimension of the records.
pub const REGIONS: [&str; 17] = [
    "ap-northeast-1",
    "ap-northeast-2",
    "ap-northeast-3",
    "ap-south-1",
    "ap-southeast-1",
    "ap-southeast-2",
    "ca-central-1",
    "eu-central-1",
    "eu-north-1",
    "eu-west-1",
    "eu-west-2",
    "eu-west-3",
    "sa-east-1",
    "us-east-1",
    "us-east-2",
    "us-west-1",
    "us-west-2",
];

/// One availability zone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Zone {
    /// `us-east-1a`
    pub name: String,
    /// `use1-az1`
    pub id: String,
}

/// The zones of a region, in order.
pub fn zones_of(region: &str) -> Vec<Zone> {
    // As on AWS, whose zone ids follow no order. Regions with other letters than a, b, c are the exception.
    let letters = match region {
        "us-east-1" => "abcdef",
        "us-west-2" | "ap-northeast-2" => "abcd",
        "us-west-1" => "ab",
        "ap-northeast-1" => "acd",
        _ => "abc",
    };
    let short = short_name(region);
    letters
        .chars()
        .zip(1..)
        .map(|(letter, number)| Zone {
            name: format!("{region}{letter}"),
            id: format!("{short}-az{number}"),
        })
        .collect()
}

/// `us-east-1` → `use1`, `ap-northeast-2` → `apne2`, `us-gov-west-1` → `usgw1`.
fn short_name(region: &str) -> String {
    let mut parts = region.split('-');
    let mut short = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        match part {
            "northeast" => short.push_str("ne"),
            "northwest" => short.push_str("nw"),
            "southeast" => short.push_str("se"),
            "southwest" => short.push_str("sw"),
            number if number.starts_with(|c: char| c.is_ascii_digit()) => short.push_str(number),
            word => short.extend(word.chars().take(1)),
        }
    }
    short
}

/// Domain of the VPC's private host names.
///
/// <https://docs.aws.amazon.com/vpc/latest/userguide/vpc-dns.html>
pub fn private_domain(region: &str) -> String {
    match region {
        "us-east-1" => "ec2.internal".to_owned(),
        region => format!("{region}.compute.internal"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn zones_are_named_as_on_aws() {
        for (region, count, first, id) in [
            ("us-east-1", 6, "us-east-1a", "use1-az1"),
            ("ap-northeast-2", 4, "ap-northeast-2a", "apne2-az1"),
            ("ca-central-1", 3, "ca-central-1a", "cac1-az1"),
            ("us-gov-west-1", 3, "us-gov-west-1a", "usgw1-az1"),
            ("local", 3, "locala", "local-az1"),
        ] {
            let zones = zones_of(region);
            assert_eq!(
                (zones.len(), &*zones[0].name, &*zones[0].id),
                (count, first, id),
                "{region}"
            );
        }
    }
}
