//! The server's side of TLS for each listener: certificates by name, policy, ALPN, and the keys of its tickets.

use super::certificate::ServerCertificate;
use super::policy::Policy;
use crate::table::{Listener, LoadBalancer, Problem, Table};
use neargate_lb_api as api;
use rustls::ServerConfig;
use rustls::server::{
    ClientHello, ProducesTickets, ServerSessionMemoryCache, StoresServerSessions,
};
use rustls::sign::SingleCertAndKey;
use std::collections::HashMap;
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

/// Sessions that a listener remembers for clients which resume TLS 1.2 by id rather than by ticket.
const SESSION_CACHE: usize = 4096;

/// TLS of all listeners of one table.
#[derive(Debug, Default)]
pub struct Listeners {
    by_arn: HashMap<Arc<str>, Arc<ListenerTls>>,
    certificates: HashMap<String, Arc<ServerCertificate>>,
    /// What could not be used, for people.
    pub problems: Vec<Problem>,
}

impl Listeners {
    /// What `table` asks for. Whatever is as in `previous` is taken from there.
    pub fn compile(table: &Table, previous: Option<&Listeners>) -> Self {
        let mut compiled = Self::default();
        compiled.parse_certificates(table, previous);
        for endpoint in table.endpoints() {
            let listener = &endpoint.listener;
            if !listener.is_secure() || compiled.by_arn.contains_key(&listener.arn) {
                continue;
            }
            let before = previous.and_then(|listeners| listeners.by_arn.get(&listener.arn));
            match compiled.listener(listener, &endpoint.load_balancer, before) {
                Ok(tls) => {
                    compiled.by_arn.insert(Arc::clone(&listener.arn), tls);
                }
                Err(text) => compiled.problems.push(Problem {
                    arn: listener.arn.to_string(),
                    text,
                }),
            }
        }
        compiled
    }

    /// TLS of a listener; `None` if it has none, or no certificate that can be used.
    pub fn get(&self, listener_arn: &str) -> Option<&Arc<ListenerTls>> {
        self.by_arn.get(listener_arn)
    }

    fn parse_certificates(&mut self, table: &Table, previous: Option<&Listeners>) {
        for (arn, source) in &table.certificates {
            let before = previous.and_then(|listeners| listeners.certificates.get(arn));
            let certificate = match before {
                Some(before) if before.is_from(source) => Ok(Arc::clone(before)),
                _ => ServerCertificate::parse(source).map(Arc::new),
            };
            match certificate {
                Ok(certificate) => {
                    self.certificates.insert(arn.clone(), certificate);
                }
                Err(err) => self.problems.push(Problem {
                    arn: arn.clone(),
                    text: err.to_string(),
                }),
            }
        }
    }

    fn listener(
        &self,
        listener: &Listener,
        load_balancer: &LoadBalancer,
        before: Option<&Arc<ListenerTls>>,
    ) -> Result<Arc<ListenerTls>, String> {
        let certificates: Vec<Arc<ServerCertificate>> = listener
            .certificate_arns
            .iter()
            .filter_map(|arn| self.certificates.get(arn).cloned())
            .collect();
        let settings = Settings {
            policy: Policy::by_name(&listener.ssl_policy),
            alpn: alpn_protocols(listener, load_balancer),
            https: listener.protocol == api::Protocol::Https,
        };
        if let Some(before) = before.filter(|before| before.is_made_of(&certificates, &settings)) {
            return Ok(Arc::clone(before));
        }
        let resumption = match before {
            Some(before) => before.resumption.clone(),
            None => Resumption::new().map_err(|err| err.to_string())?,
        };
        ListenerTls::new(&certificates, settings, resumption).map(Arc::new)
    }
}

/// What a listener offers by ALPN, best first; empty: none is negotiated.
///
/// Sources: "Application Load Balancers" (HTTP/2 on HTTPS listeners unless `routing.http2.enabled` is false),
/// "TLS listeners for your Network Load Balancer", ALPN policies.
fn alpn_protocols(listener: &Listener, load_balancer: &LoadBalancer) -> &'static [&'static [u8]] {
    if listener.protocol == api::Protocol::Https {
        return match load_balancer.attributes.http2_enabled {
            true => &[b"h2", b"http/1.1"],
            false => &[b"http/1.1"],
        };
    }
    match listener.alpn_policy.as_str() {
        "HTTP1Only" => &[b"http/1.1", b"http/1.0"],
        "HTTP2Only" => &[b"h2"],
        "HTTP2Optional" => &[b"http/1.1", b"http/1.0", b"h2"],
        "HTTP2Preferred" => &[b"h2", b"http/1.1", b"http/1.0"],
        _ => &[],
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Settings {
    policy: Policy,
    alpn: &'static [&'static [u8]],
    /// The listener is an application load balancer's.
    https: bool,
}

/// What lets clients come back without a full handshake.
#[derive(Clone, Debug)]
struct Resumption {
    ticketer: Arc<dyn ProducesTickets>,
    sessions: Arc<dyn StoresServerSessions>,
}

impl Resumption {
    fn new() -> Result<Self, rustls::Error> {
        Ok(Self {
            ticketer: rustls::crypto::ring::Ticketer::new()?,
            sessions: ServerSessionMemoryCache::new(SESSION_CACHE),
        })
    }
}

/// One listener's server side.
#[derive(Debug)]
pub struct ListenerTls {
    /// The default first, then the certificate list.
    offers: Vec<Offer>,
    /// Indices into `offers` of the certificate list, by name (with its `*.`).
    by_name: HashMap<String, Vec<usize>>,
    settings: Settings,
    resumption: Resumption,
}

/// A certificate with the configurations that serve it.
#[derive(Debug)]
pub(super) struct Offer {
    pub certificate: Arc<ServerCertificate>,
    with_alpn: Arc<ServerConfig>,
    without_alpn: Arc<ServerConfig>,
}

impl ListenerTls {
    fn new(
        certificates: &[Arc<ServerCertificate>],
        settings: Settings,
        resumption: Resumption,
    ) -> Result<Self, String> {
        if certificates.is_empty() {
            return Err("none of its certificates can be used".to_owned());
        }
        let offers = certificates
            .iter()
            .map(|certificate| Offer::new(certificate, &settings, &resumption))
            .collect::<Result<Vec<_>, _>>()
            .map_err(|err| err.to_string())?;
        let mut by_name: HashMap<String, Vec<usize>> = HashMap::new();
        for (index, certificate) in certificates.iter().enumerate().skip(1) {
            for name in &certificate.names {
                by_name.entry(name.clone()).or_default().push(index);
            }
        }
        Ok(Self {
            offers,
            by_name,
            settings,
            resumption,
        })
    }

    fn is_made_of(&self, certificates: &[Arc<ServerCertificate>], settings: &Settings) -> bool {
        self.settings == *settings
            && self.offers.len() == certificates.len()
            && self
                .offers
                .iter()
                .zip(certificates)
                .all(|(offer, certificate)| Arc::ptr_eq(&offer.certificate, certificate))
    }

    /// The certificate for a client: the best of those in the list whose names match and that the client can verify;
    /// the default where no name matches or none was sent.
    pub(super) fn choose(&self, hello: &ClientHello<'_>) -> &Offer {
        let default = &self.offers[0];
        let Some(name) = hello.server_name() else {
            return default;
        };
        let name = name.trim_end_matches('.').to_ascii_lowercase();
        let wildcard = name
            .split_once('.')
            .map(|(_, parent)| format!("*.{parent}"));
        let named = self.by_name.get(&name).into_iter();
        let matching = named
            .chain(wildcard.and_then(|wildcard| self.by_name.get(&wildcard)))
            .flatten()
            .map(|&index| &self.offers[index]);
        let now = SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .map_or(0, |since| {
                i64::try_from(since.as_secs()).unwrap_or(i64::MAX)
            });
        let tls13 = self.settings.policy.tls13;
        let better = |best: &'_ Offer, offer: &'_ Offer| {
            let (best_suits, suits) = (
                best.certificate.suits(hello, tls13),
                offer.certificate.suits(hello, tls13),
            );
            match (best_suits, suits) {
                (true, false) => false,
                (false, true) => true,
                _ => offer.certificate.better_than(&best.certificate, now),
            }
        };
        matching
            .reduce(|best, offer| if better(best, offer) { offer } else { best })
            .unwrap_or(default)
    }

    /// How the handshake goes on. An application load balancer takes clients whose ALPN names nothing that it knows
    /// as HTTP/1.1; a network load balancer's policy is a demand, and rustls refuses the handshake.
    pub(super) fn config(&self, offer: &Offer, hello: &ClientHello<'_>) -> Arc<ServerConfig> {
        let known = hello.alpn().is_none_or(|mut offered| {
            offered.any(|protocol| self.settings.alpn.contains(&protocol))
        });
        Arc::clone(if known || !self.settings.https {
            &offer.with_alpn
        } else {
            &offer.without_alpn
        })
    }

    /// Whether connections to targets behind this listener may use TLS 1.3: AWS's fixed policy towards targets has it
    /// exactly when the listener's has.
    pub fn allows_tls13(&self) -> bool {
        self.settings.policy.tls13
    }

    /// Whether what comes is HTTP, so that a client which forgot the TLS is told so.
    pub(super) fn is_https(&self) -> bool {
        self.settings.https
    }
}

impl Offer {
    fn new(
        certificate: &Arc<ServerCertificate>,
        settings: &Settings,
        resumption: &Resumption,
    ) -> Result<Self, rustls::Error> {
        let policy = settings.policy;
        let mut config = ServerConfig::builder_with_provider(policy.provider())
            .with_protocol_versions(&policy.versions())?
            .with_no_client_auth()
            .with_cert_resolver(Arc::new(SingleCertAndKey::from(Arc::clone(
                &certificate.certified,
            ))));
        // AWS takes its own order over the client's.
        config.ignore_client_order = true;
        config.ticketer = Arc::clone(&resumption.ticketer);
        config.session_storage = Arc::clone(&resumption.sessions);
        let without_alpn = Arc::new(config.clone());
        config.alpn_protocols = settings.alpn.iter().map(|name| name.to_vec()).collect();
        Ok(Self {
            certificate: Arc::clone(certificate),
            with_alpn: Arc::new(config),
            without_alpn,
        })
    }
}
