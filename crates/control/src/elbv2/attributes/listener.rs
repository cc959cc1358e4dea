//! Attributes of listeners.

use super::{Spec, Values, Words, spec};
use crate::elbv2::listener_records::ListenerRecord;
use crate::elbv2::records::{LoadBalancerKind, Protocol};

/// Attribute and header of what a listener sets on responses: empty leaves the target's header alone.
pub const RESPONSE_HEADERS: &[(&str, &str)] = &[
    (
        "routing.http.response.strict_transport_security.header_value",
        "Strict-Transport-Security",
    ),
    (
        "routing.http.response.access_control_allow_origin.header_value",
        "Access-Control-Allow-Origin",
    ),
    (
        "routing.http.response.access_control_allow_methods.header_value",
        "Access-Control-Allow-Methods",
    ),
    (
        "routing.http.response.access_control_allow_headers.header_value",
        "Access-Control-Allow-Headers",
    ),
    (
        "routing.http.response.access_control_allow_credentials.header_value",
        "Access-Control-Allow-Credentials",
    ),
    (
        "routing.http.response.access_control_expose_headers.header_value",
        "Access-Control-Expose-Headers",
    ),
    (
        "routing.http.response.access_control_max_age.header_value",
        "Access-Control-Max-Age",
    ),
    (
        "routing.http.response.content_security_policy.header_value",
        "Content-Security-Policy",
    ),
    (
        "routing.http.response.x_content_type_options.header_value",
        "X-Content-Type-Options",
    ),
    (
        "routing.http.response.x_frame_options.header_value",
        "X-Frame-Options",
    ),
];

const HTTPS_REQUEST: &[Spec] = &[
    name(
        "routing.http.request.x_amzn_mtls_clientcert_serial_number.header_name",
        "X-Amzn-Mtls-Clientcert-Serial-Number",
    ),
    name(
        "routing.http.request.x_amzn_mtls_clientcert_issuer.header_name",
        "X-Amzn-Mtls-Clientcert-Issuer",
    ),
    name(
        "routing.http.request.x_amzn_mtls_clientcert_subject.header_name",
        "X-Amzn-Mtls-Clientcert-Subject",
    ),
    name(
        "routing.http.request.x_amzn_mtls_clientcert_validity.header_name",
        "X-Amzn-Mtls-Clientcert-Validity",
    ),
    name(
        "routing.http.request.x_amzn_mtls_clientcert_leaf.header_name",
        "X-Amzn-Mtls-Clientcert-Leaf",
    ),
    name(
        "routing.http.request.x_amzn_mtls_clientcert.header_name",
        "X-Amzn-Mtls-Clientcert",
    ),
    name(
        "routing.http.request.x_amzn_tls_version.header_name",
        "X-Amzn-Tls-Version",
    ),
    name(
        "routing.http.request.x_amzn_tls_cipher_suite.header_name",
        "X-Amzn-Tls-Cipher-Suite",
    ),
];

const fn name(key: &'static str, default: &'static str) -> Spec {
    spec(key, default, Values::HeaderName)
}

const TCP_IDLE_TIMEOUT: &str = "tcp.idle_timeout.seconds";
const SERVER: &str = "routing.http.response.server.enabled";

/// Whether some listener has the attribute.
pub fn is_known(key: &str) -> bool {
    key == TCP_IDLE_TIMEOUT
        || key == SERVER
        || RESPONSE_HEADERS.iter().any(|(known, _)| *known == key)
        || HTTPS_REQUEST.iter().any(|spec| spec.key == key)
}

/// All attributes of this listener.
pub fn of_listener(listener: &ListenerRecord) -> Vec<Spec> {
    if listener.load_balancer.kind == LoadBalancerKind::Network {
        return match listener.protocol {
            Protocol::Tcp | Protocol::TcpUdp | Protocol::Tls => {
                vec![spec(TCP_IDLE_TIMEOUT, "350", Values::Range(60, 6000))]
            }
            _ => Vec::new(),
        };
    }
    let mut specs = vec![spec(SERVER, "true", Values::Flag)];
    specs.extend(
        RESPONSE_HEADERS
            .iter()
            .map(|(key, _)| spec(key, "", response_value(key))),
    );
    if listener.protocol == Protocol::Https {
        specs.extend_from_slice(HTTPS_REQUEST);
    }
    specs
}

/// User guide, "HTTP header modification": some headers take only certain values.
fn response_value(key: &str) -> Values {
    match key {
        "routing.http.response.access_control_allow_credentials.header_value" => {
            Values::OneOf(&["", "true"], Words::Following)
        }
        "routing.http.response.x_content_type_options.header_value" => {
            Values::OneOf(&["", "nosniff"], Words::Following)
        }
        "routing.http.response.x_frame_options.header_value" => {
            Values::OneOf(&["", "DENY", "SAMEORIGIN"], Words::Following)
        }
        _ => Values::HeaderValue,
    }
}
