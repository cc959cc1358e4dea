//! Security policies by AWS's names: which protocol versions and suites a listener negotiates.
//!
//! Source: "Security policies for your Application Load Balancer" and the NLB's page of the same name. What differs
//! from AWS: nothing below TLS 1.2 is spoken, and of TLS 1.2's suites only ECDHE with AES-GCM, which each policy that
//! allows TLS 1.2 contains. Post-quantum key exchange is not offered; those policies are served without it.

use rustls::crypto::{CryptoProvider, ring};
use rustls::{CipherSuite, SupportedProtocolVersion, version};
use std::sync::{Arc, LazyLock};

/// What a policy allows of what we have.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Policy {
    pub tls12: bool,
    pub tls13: bool,
    /// Leaves out ChaCha20, which is not approved.
    pub fips: bool,
}

impl Policy {
    /// The policy of that name. The families' names say what they hold, so that one which AWS adds later is served
    /// with its versions too: `TLS13-1-3` has only TLS 1.3, `TLS13-1-x` reaches from 1.x to 1.3, all older ones end
    /// at 1.2.
    pub fn by_name(name: &str) -> Self {
        let family = name.strip_prefix("ELBSecurityPolicy-").unwrap_or(name);
        let tls13 = family.starts_with("TLS13-");
        Self {
            tls12: !family.starts_with("TLS13-1-3"),
            tls13,
            fips: family.contains("FIPS"),
        }
    }

    pub(super) fn versions(self) -> Vec<&'static SupportedProtocolVersion> {
        let mut versions = Vec::new();
        versions.extend(self.tls13.then_some(&version::TLS13));
        versions.extend(self.tls12.then_some(&version::TLS12));
        versions
    }

    pub(super) fn provider(self) -> Arc<CryptoProvider> {
        static ALL: LazyLock<Arc<CryptoProvider>> = LazyLock::new(|| {
            provider_without(&[
                CipherSuite::TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256,
                CipherSuite::TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256,
            ])
        });
        static FIPS: LazyLock<Arc<CryptoProvider>> = LazyLock::new(|| {
            provider_without(&[
                CipherSuite::TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256,
                CipherSuite::TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256,
                CipherSuite::TLS13_CHACHA20_POLY1305_SHA256,
            ])
        });
        Arc::clone(if self.fips { &FIPS } else { &ALL })
    }
}

/// AES-128 before AES-256, as AWS's policies order them; rustls orders them the other way round.
fn provider_without(absent: &[CipherSuite]) -> Arc<CryptoProvider> {
    let mut provider = ring::default_provider();
    provider
        .cipher_suites
        .retain(|suite| !absent.contains(&suite.suite()));
    provider
        .cipher_suites
        .sort_by_key(|suite| preference(suite.suite()));
    Arc::new(provider)
}

fn preference(suite: CipherSuite) -> u8 {
    match suite {
        CipherSuite::TLS13_AES_128_GCM_SHA256 => 0,
        CipherSuite::TLS13_AES_256_GCM_SHA384 => 1,
        CipherSuite::TLS13_CHACHA20_POLY1305_SHA256 => 2,
        CipherSuite::TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256 => 3,
        CipherSuite::TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256 => 4,
        _ => 5,
    }
}

#[cfg(test)]
mod tests {
    use super::Policy;

    #[test]
    fn names_tell_the_versions() {
        for (name, tls12, tls13, fips) in [
            ("ELBSecurityPolicy-2016-08", true, false, false),
            ("ELBSecurityPolicy-TLS-1-0-2015-04", true, false, false),
            ("ELBSecurityPolicy-TLS-1-2-Ext-2018-06", true, false, false),
            ("ELBSecurityPolicy-FS-1-2-Res-2020-10", true, false, false),
            ("ELBSecurityPolicy-TLS13-1-0-2021-06", true, true, false),
            ("ELBSecurityPolicy-TLS13-1-2-2021-06", true, true, false),
            ("ELBSecurityPolicy-TLS13-1-2-Res-2021-06", true, true, false),
            ("ELBSecurityPolicy-TLS13-1-3-2021-06", false, true, false),
            ("ELBSecurityPolicy-TLS13-1-2-FIPS-2023-04", true, true, true),
            ("ELBSecurityPolicy-TLS13-1-3-PQ-2025-09", false, true, false),
            ("", true, false, false),
        ] {
            let want = Policy { tls12, tls13, fips };
            assert_eq!(Policy::by_name(name), want, "{name}");
        }
    }

    #[test]
    fn every_policy_has_suites_for_its_versions() {
        for name in [
            "TLS13-1-3-2021-06",
            "TLS13-1-3-FIPS-2023-04",
            "2016-08",
            "TLS13-1-2-2021-06",
        ] {
            let policy = Policy::by_name(name);
            for version in policy.versions() {
                let suites = policy.provider().cipher_suites.clone();
                assert!(
                    suites.iter().any(|suite| suite.version() == version),
                    "{name}"
                );
            }
        }
    }
}
