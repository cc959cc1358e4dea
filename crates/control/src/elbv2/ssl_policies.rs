//! The security policies of TLS listeners: which protocols and ciphers each allows.
//!
//! <https://docs.aws.amazon.com/elasticloadbalancing/latest/application/describe-ssl-policies.html>

use neargate_aws_api::elbv2::types::*;
use neargate_aws_wire::error::ApiError;
use neargate_aws_wire::service::RequestContext;

use super::{Elbv2Service, errors, pages};

/// What listeners get that name none by the API.
pub const DEFAULT: &str = "ELBSecurityPolicy-2016-08";

struct Policy {
    name: &'static str,
    /// Lowest and highest.
    protocols: &'static [&'static str],
    ciphers: &'static [&'static [&'static str]],
}

const V13: &[&str] = &[
    "TLS_AES_128_GCM_SHA256",
    "TLS_AES_256_GCM_SHA384",
    "TLS_CHACHA20_POLY1305_SHA256",
];
const ECDHE_GCM: &[&str] = &[
    "ECDHE-ECDSA-AES128-GCM-SHA256",
    "ECDHE-RSA-AES128-GCM-SHA256",
    "ECDHE-ECDSA-AES256-GCM-SHA384",
    "ECDHE-RSA-AES256-GCM-SHA384",
];
const ECDHE_SHA2: &[&str] = &[
    "ECDHE-ECDSA-AES128-SHA256",
    "ECDHE-RSA-AES128-SHA256",
    "ECDHE-ECDSA-AES256-SHA384",
    "ECDHE-RSA-AES256-SHA384",
];
const ECDHE_SHA1: &[&str] = &[
    "ECDHE-ECDSA-AES128-SHA",
    "ECDHE-RSA-AES128-SHA",
    "ECDHE-RSA-AES256-SHA",
    "ECDHE-ECDSA-AES256-SHA",
];
const RSA_SHA2: &[&str] = &[
    "AES128-GCM-SHA256",
    "AES128-SHA256",
    "AES256-GCM-SHA384",
    "AES256-SHA256",
];
const RSA_SHA1: &[&str] = &["AES128-SHA", "AES256-SHA"];
const TRIPLE_DES: &[&str] = &["DES-CBC3-SHA"];

const FROM_1_0: &[&str] = &["TLSv1", "TLSv1.1", "TLSv1.2"];
const FROM_1_1: &[&str] = &["TLSv1.1", "TLSv1.2"];
const ONLY_1_2: &[&str] = &["TLSv1.2"];
const FROM_1_0_TO_1_3: &[&str] = &["TLSv1", "TLSv1.1", "TLSv1.2", "TLSv1.3"];
const FROM_1_1_TO_1_3: &[&str] = &["TLSv1.1", "TLSv1.2", "TLSv1.3"];
const FROM_1_2_TO_1_3: &[&str] = &["TLSv1.2", "TLSv1.3"];
const ONLY_1_3: &[&str] = &["TLSv1.3"];

const BROAD: &[&[&str]] = &[ECDHE_GCM, ECDHE_SHA2, ECDHE_SHA1, RSA_SHA2, RSA_SHA1];
const BROAD_DES: &[&[&str]] = &[
    ECDHE_GCM, ECDHE_SHA2, ECDHE_SHA1, RSA_SHA2, RSA_SHA1, TRIPLE_DES,
];
const NO_SHA1: &[&[&str]] = &[ECDHE_GCM, ECDHE_SHA2, RSA_SHA2];
const FORWARD: &[&[&str]] = &[ECDHE_GCM, ECDHE_SHA2, ECDHE_SHA1];
const FORWARD_SHA2: &[&[&str]] = &[ECDHE_GCM, ECDHE_SHA2];
const V13_BROAD: &[&[&str]] = &[V13, ECDHE_GCM, ECDHE_SHA2, ECDHE_SHA1, RSA_SHA2, RSA_SHA1];
const V13_NO_SHA1: &[&[&str]] = &[V13, ECDHE_GCM, ECDHE_SHA2, RSA_SHA2];
const V13_FORWARD: &[&[&str]] = &[V13, ECDHE_GCM, ECDHE_SHA2];

const fn policy(
    name: &'static str,
    protocols: &'static [&'static str],
    ciphers: &'static [&'static [&'static str]],
) -> Policy {
    Policy {
        name,
        protocols,
        ciphers,
    }
}

const POLICIES: &[Policy] = &[
    policy(DEFAULT, FROM_1_0, BROAD),
    policy("ELBSecurityPolicy-FS-1-1-2019-08", FROM_1_1, FORWARD),
    policy("ELBSecurityPolicy-FS-1-2-2019-08", ONLY_1_2, FORWARD),
    policy(
        "ELBSecurityPolicy-FS-1-2-Res-2019-08",
        ONLY_1_2,
        FORWARD_SHA2,
    ),
    policy(
        "ELBSecurityPolicy-FS-1-2-Res-2020-10",
        ONLY_1_2,
        &[ECDHE_GCM],
    ),
    policy("ELBSecurityPolicy-FS-2018-06", FROM_1_0, FORWARD),
    policy("ELBSecurityPolicy-TLS-1-0-2015-04", FROM_1_0, BROAD_DES),
    policy("ELBSecurityPolicy-TLS-1-1-2017-01", FROM_1_1, BROAD),
    policy("ELBSecurityPolicy-TLS-1-2-2017-01", ONLY_1_2, NO_SHA1),
    policy("ELBSecurityPolicy-TLS-1-2-Ext-2018-06", ONLY_1_2, BROAD),
    policy(
        "ELBSecurityPolicy-TLS13-1-0-2021-06",
        FROM_1_0_TO_1_3,
        V13_BROAD,
    ),
    policy(
        "ELBSecurityPolicy-TLS13-1-1-2021-06",
        FROM_1_1_TO_1_3,
        V13_BROAD,
    ),
    policy(
        "ELBSecurityPolicy-TLS13-1-2-2021-06",
        FROM_1_2_TO_1_3,
        V13_FORWARD,
    ),
    policy(
        "ELBSecurityPolicy-TLS13-1-2-Ext1-2021-06",
        FROM_1_2_TO_1_3,
        V13_NO_SHA1,
    ),
    policy(
        "ELBSecurityPolicy-TLS13-1-2-Ext2-2021-06",
        FROM_1_2_TO_1_3,
        V13_BROAD,
    ),
    policy(
        "ELBSecurityPolicy-TLS13-1-2-Res-2021-06",
        FROM_1_2_TO_1_3,
        &[V13, ECDHE_GCM],
    ),
    policy("ELBSecurityPolicy-TLS13-1-3-2021-06", ONLY_1_3, &[V13]),
];

/// Refuses the name of a policy that there is not.
pub fn check(name: &str) -> Result<(), ApiError> {
    match POLICIES.iter().any(|policy| policy.name == name) {
        true => Ok(()),
        false => Err(not_found(name)),
    }
}

fn not_found(name: &str) -> ApiError {
    SSLPolicyNotFoundException::new(format!("SSL policy '{name}' not found")).into()
}

fn view(policy: &Policy) -> SslPolicy {
    let names = policy.ciphers.iter().copied().flatten();
    let ciphers = names.zip(1..).map(|(name, priority)| Cipher {
        name: Some((*name).to_owned()),
        priority: Some(priority),
    });
    let types = ["application", "network"];
    SslPolicy {
        ciphers: Some(ciphers.collect()),
        name: Some(policy.name.to_owned()),
        ssl_protocols: Some(
            policy
                .protocols
                .iter()
                .map(|&name| name.to_owned())
                .collect(),
        ),
        supported_load_balancer_types: Some(types.map(str::to_owned).to_vec()),
    }
}

/// <https://docs.aws.amazon.com/elasticloadbalancing/latest/APIReference/API_DescribeSSLPolicies.html>
pub async fn describe(
    _: &Elbv2Service,
    _: &RequestContext,
    input: DescribeSSLPoliciesInput,
) -> Result<DescribeSSLPoliciesOutput, ApiError> {
    let names = input.names.unwrap_or_default();
    for name in &names {
        check(name)?;
    }
    if input.load_balancer_type == Some(LoadBalancerTypeEnum::Gateway) {
        return Err(errors::validation(
            "Gateway Load Balancers have no SSL policies",
        ));
    }
    let wanted = POLICIES
        .iter()
        .filter(|policy| names.is_empty() || names.iter().any(|name| name == policy.name));
    let (page, next_marker) = pages::page(
        wanted.collect(),
        |policy| policy.name.to_owned(),
        input.marker,
        input.page_size,
    )?;
    Ok(DescribeSSLPoliciesOutput {
        ssl_policies: Some(page.into_iter().map(view).collect()),
        next_marker,
    })
}
