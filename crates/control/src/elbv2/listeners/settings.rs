//! Protocol, certificate and policies of a listener: what fits together.

use neargate_aws_api::elbv2::types::*;
use neargate_aws_wire::error::ApiError;

use crate::certificates;
use crate::elbv2::records::{LoadBalancerKind, Protocol};
use crate::elbv2::{errors, ssl_policies};
use crate::state::State;

const ALPN_POLICIES: [&str; 5] = [
    "HTTP1Only",
    "HTTP2Only",
    "HTTP2Optional",
    "HTTP2Preferred",
    "None",
];

/// What a call says about encryption.
#[derive(Debug, Clone, Default)]
pub struct Wanted {
    pub certificates: Option<Vec<Certificate>>,
    pub ssl_policy: Option<String>,
    pub alpn_policy: Option<Vec<String>>,
    pub mutual_authentication: Option<MutualAuthenticationAttributes>,
}

/// What the listener's record keeps of it.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Encryption {
    pub certificate: Option<String>,
    pub ssl_policy: Option<String>,
    pub alpn_policy: Option<String>,
}

pub fn protocol(kind: LoadBalancerKind, given: ProtocolEnum) -> Result<Protocol, ApiError> {
    let (protocol, allowed) = match (kind, given) {
        (LoadBalancerKind::Application, ProtocolEnum::Http) => return Ok(Protocol::Http),
        (LoadBalancerKind::Application, ProtocolEnum::Https) => return Ok(Protocol::Https),
        (LoadBalancerKind::Network, ProtocolEnum::Tcp) => return Ok(Protocol::Tcp),
        (LoadBalancerKind::Network, ProtocolEnum::Tls) => return Ok(Protocol::Tls),
        (LoadBalancerKind::Network, ProtocolEnum::Udp) => return Ok(Protocol::Udp),
        (LoadBalancerKind::Network, ProtocolEnum::TcpUdp) => return Ok(Protocol::TcpUdp),
        (LoadBalancerKind::Application, other) => (other, "HTTP, HTTPS"),
        (LoadBalancerKind::Network, other @ (ProtocolEnum::Quic | ProtocolEnum::TcpQuic)) => {
            return Err(errors::not_built(&format!(
                "Listeners with the {other} protocol are"
            )));
        }
        // As AWS lists them, with those that are not built.
        (LoadBalancerKind::Network, other) => (other, "TCP, QUIC, TCP_QUIC, UDP, TCP_UDP, TLS"),
    };
    Err(errors::validation(format!(
        "Listener protocol '{protocol}' must be one of '{allowed}'"
    )))
}

/// Takes over what is wanted; what is not said stays as it was.
pub fn encryption(
    protocol: Protocol,
    before: Encryption,
    wanted: &Wanted,
) -> Result<Encryption, ApiError> {
    check_mutual_authentication(wanted)?;
    if !protocol.is_encrypted() {
        return check_plain(protocol, wanted);
    }
    let certificate = match &wanted.certificates {
        Some(given) => default_certificate(protocol, given)?,
        None => before
            .certificate
            .ok_or_else(|| one_certificate(protocol))?,
    };
    let ssl_policy = wanted.ssl_policy.clone().or(before.ssl_policy);
    let ssl_policy = ssl_policy.unwrap_or_else(|| ssl_policies::DEFAULT.to_owned());
    ssl_policies::check(&ssl_policy)?;
    let alpn_policy = match (&wanted.alpn_policy, protocol) {
        (None, Protocol::Tls) => before.alpn_policy,
        (None, _) => None,
        (Some(given), Protocol::Tls) => alpn_policy(given)?,
        (Some(given), _) if given.is_empty() => None,
        (Some(_), _) => {
            return Err(no_alpn_policy(protocol));
        }
    };
    Ok(Encryption {
        certificate: Some(certificate),
        ssl_policy: Some(ssl_policy),
        alpn_policy,
    })
}

fn check_plain(protocol: Protocol, wanted: &Wanted) -> Result<Encryption, ApiError> {
    let given = |list: Option<usize>| list.is_some_and(|len| len > 0);
    let name = protocol.as_str();
    if given(wanted.certificates.as_ref().map(Vec::len)) {
        return Err(no_certificate(protocol));
    }
    if wanted.ssl_policy.is_some() {
        // AWS spells it so.
        return Err(errors::validation(format!(
            "An SSL policy cannot be specifed for {name} listeners"
        )));
    }
    if given(wanted.alpn_policy.as_ref().map(Vec::len)) {
        return Err(no_alpn_policy(protocol));
    }
    Ok(Encryption::default())
}

/// Of a listener without encryption, whether it is a default or an additional one.
pub fn no_certificate(protocol: Protocol) -> ApiError {
    errors::validation(format!(
        "A certificate cannot be specified for {} listeners",
        protocol.as_str()
    ))
}

fn no_alpn_policy(protocol: Protocol) -> ApiError {
    errors::configuration(match protocol.is_http() {
        true => "You cannot set ALPN policy on load balancers of type 'application'".to_owned(),
        false => format!(
            "An ALPN policy cannot be specified for {} listeners",
            protocol.as_str()
        ),
    })
}

fn check_mutual_authentication(wanted: &Wanted) -> Result<(), ApiError> {
    let Some(given) = &wanted.mutual_authentication else {
        return Ok(());
    };
    match given.mode.as_deref() {
        None | Some("off") if given.trust_store_arn.is_none() => Ok(()),
        None | Some("off" | "passthrough" | "verify") => {
            Err(errors::not_built("Mutual authentication by TLS is"))
        }
        Some(_) => Err(errors::validation(
            "Mutual Authentication mode required not found",
        )),
    }
}

fn one_certificate(protocol: Protocol) -> ApiError {
    errors::validation(format!(
        "A certificate must be specified for {} listeners",
        protocol.as_str()
    ))
}

fn default_certificate(protocol: Protocol, given: &[Certificate]) -> Result<String, ApiError> {
    let certificate = match given {
        [] => return Err(one_certificate(protocol)),
        [only] => only,
        several => {
            return Err(errors::validation(format!(
                "Up to '1' certificate ARNs can be specified, but '{}' were specified",
                several.len()
            )));
        }
    };
    if certificate.is_default.is_some() {
        return Err(errors::validation(
            "IsDefault cannot be specified for the certificate of a listener",
        ));
    }
    certificate
        .certificate_arn
        .clone()
        .ok_or_else(|| one_certificate(protocol))
}

fn alpn_policy(given: &[String]) -> Result<Option<String>, ApiError> {
    match given {
        [] => Ok(None),
        [policy] if ALPN_POLICIES.contains(&policy.as_str()) => Ok(Some(policy.clone())),
        [policy] => Err(ALPNPolicyNotSupportedException::new(format!(
            "ALPN policy [{policy}] is not found"
        ))
        .into()),
        several => Err(errors::validation(format!(
            "Up to '1' ALPN policy can be specified, but '{}' were specified",
            several.len()
        ))),
    }
}

/// Refuses a certificate that there is not.
pub async fn check_certificate(state: &State, arn: &str) -> Result<(), ApiError> {
    match certificates::find(state, arn).await? {
        Some(_) => Ok(()),
        None => {
            let text = format!("Certificate '{arn}' not found");
            Err(CertificateNotFoundException::new(text).into())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn with_certificates(count: usize) -> Wanted {
        let certificate = Certificate {
            certificate_arn: Some("arn".to_owned()),
            is_default: None,
        };
        Wanted {
            certificates: Some(vec![certificate; count]),
            ..Default::default()
        }
    }

    #[test]
    fn encryption_fits_the_protocol() {
        let alpn = |name: &str| Wanted {
            alpn_policy: Some(vec![name.to_owned()]),
            ..with_certificates(1)
        };
        let policy = |name: &str| Wanted {
            ssl_policy: Some(name.to_owned()),
            ..with_certificates(1)
        };
        for (name, protocol, wanted, want) in [
            ("plain", Protocol::Http, Wanted::default(), true),
            (
                "plain with certificate",
                Protocol::Http,
                with_certificates(1),
                false,
            ),
            ("none", Protocol::Https, Wanted::default(), false),
            ("one", Protocol::Https, with_certificates(1), true),
            ("two", Protocol::Https, with_certificates(2), false),
            ("empty list", Protocol::Tls, with_certificates(0), false),
            ("alpn", Protocol::Tls, alpn("HTTP2Preferred"), true),
            ("unknown alpn", Protocol::Tls, alpn("HTTP3"), false),
            ("alpn on https", Protocol::Https, alpn("HTTP2Only"), false),
            (
                "policy",
                Protocol::Https,
                policy("ELBSecurityPolicy-TLS13-1-2-2021-06"),
                true,
            ),
            (
                "unknown policy",
                Protocol::Https,
                policy("ELBSecurityPolicy-2099"),
                false,
            ),
        ] {
            let outcome = encryption(protocol, Encryption::default(), &wanted);
            assert_eq!(outcome.is_ok(), want, "{name}: {outcome:?}");
        }
    }

    #[test]
    fn what_is_not_said_stays_and_goes_with_the_encryption() {
        let before = encryption(
            Protocol::Https,
            Encryption::default(),
            &with_certificates(1),
        )
        .unwrap();
        assert_eq!(before.ssl_policy.as_deref(), Some(ssl_policies::DEFAULT));
        let kept = encryption(Protocol::Https, before.clone(), &Wanted::default()).unwrap();
        assert_eq!(kept, before);
        let plain = encryption(Protocol::Http, before, &Wanted::default()).unwrap();
        assert_eq!(plain, Encryption::default());
    }
}
