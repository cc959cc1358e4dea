//! Redirect actions.

use neargate_aws_api::elbv2::types::{RedirectActionConfig, RedirectActionStatusCodeEnum};
use neargate_aws_wire::error::ApiError;

use crate::elbv2::errors;
use crate::elbv2::listener_records::Redirect;
use crate::elbv2::records::Protocol;

/// Part, and the placeholders that may stand in it (user guide, redirect actions).
const PLACEHOLDERS: [(&str, &[&str]); 5] = [
    ("Protocol", &["protocol"]),
    ("Host", &["host"]),
    ("Port", &["port"]),
    ("Path", &["host", "port", "path"]),
    ("Query", &["protocol", "host", "port", "path", "query"]),
];

const DEFAULT_PATH: &str = "/#{path}";

pub fn parse(config: RedirectActionConfig) -> Result<Redirect, ApiError> {
    let part = |given: Option<String>, default: &str| given.unwrap_or_else(|| default.to_owned());
    let redirect = Redirect {
        status_code: match config.status_code {
            RedirectActionStatusCodeEnum::Http301 => 301,
            RedirectActionStatusCodeEnum::Http302 => 302,
        },
        protocol: part(config.protocol, "#{protocol}"),
        host: part(config.host, "#{host}"),
        port: part(config.port, "#{port}"),
        path: part(config.path, DEFAULT_PATH),
        query: part(config.query, "#{query}"),
    };
    let parts = [
        &redirect.protocol,
        &redirect.host,
        &redirect.port,
        &redirect.path,
        &redirect.query,
    ];
    for ((name, allowed), text) in PLACEHOLDERS.iter().zip(parts) {
        check_placeholders(name, allowed, text)?;
    }
    if redirect.port != "#{port}" && !redirect.port.parse::<u16>().is_ok_and(|port| port > 0) {
        return Err(errors::action(
            "The Port parameter must be either an integer between 1 and 65535 or '#{port}'.",
        ));
    }
    if !redirect.path.starts_with('/') {
        return Err(errors::action(
            "The Path parameter must be a valid path, should start with a '/', and may contain up to one of each of these placeholders: '#{path}', '#{host}', '#{port}'.",
        ));
    }
    Ok(redirect)
}

fn check_placeholders(part: &str, allowed: &[&str], text: &str) -> Result<(), ApiError> {
    let mut rest = text;
    while let Some(start) = rest.find("#{") {
        rest = &rest[start + 2..];
        let name = rest.split('}').next().unwrap_or_default();
        if !allowed.contains(&name) {
            return Err(errors::action(format!(
                "The placeholder '#{{{name}}}' cannot be used in the {part} of a redirect"
            )));
        }
    }
    Ok(())
}

/// What depends on the listener: a redirect to itself, or from HTTPS to HTTP.
pub fn check(redirect: &Redirect, protocol: Protocol, port: u16) -> Result<(), ApiError> {
    let own = protocol.as_str();
    if protocol == Protocol::Https && redirect.protocol == "HTTP" {
        return Err(errors::action("You cannot redirect HTTPS to HTTP."));
    }
    let same_protocol = redirect.protocol == "#{protocol}" || redirect.protocol == own;
    let same_port = redirect.port == "#{port}" || redirect.port == port.to_string();
    let same = same_protocol && same_port && redirect.host == "#{host}";
    if same && redirect.path == DEFAULT_PATH {
        return Err(errors::action(
            "The redirect configuration is not valid because it creates a loop.",
        ));
    }
    Ok(())
}

pub fn view(redirect: &Redirect) -> RedirectActionConfig {
    RedirectActionConfig {
        host: Some(redirect.host.clone()),
        path: Some(redirect.path.clone()),
        port: Some(redirect.port.clone()),
        protocol: Some(redirect.protocol.clone()),
        query: Some(redirect.query.clone()),
        status_code: match redirect.status_code {
            301 => RedirectActionStatusCodeEnum::Http301,
            _ => RedirectActionStatusCodeEnum::Http302,
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config(protocol: &str, host: &str, port: &str, path: &str) -> RedirectActionConfig {
        let given = |text: &str| (!text.is_empty()).then(|| text.to_owned());
        RedirectActionConfig {
            protocol: given(protocol),
            host: given(host),
            port: given(port),
            path: given(path),
            ..Default::default()
        }
    }

    #[test]
    fn a_redirect_goes_somewhere_else_and_never_from_https_to_http() {
        let (http, https) = (Protocol::Http, Protocol::Https);
        for (name, listener, given, want) in [
            ("to https", http, config("HTTPS", "", "443", ""), true),
            ("nowhere else", http, config("", "", "", ""), false),
            (
                "own protocol by name",
                http,
                config("HTTP", "", "80", ""),
                false,
            ),
            (
                "another host",
                http,
                config("", "example.com", "", ""),
                true,
            ),
            ("another path", http, config("", "", "", "/new"), true),
            ("another port", http, config("", "", "8080", ""), true),
            ("to http", https, config("HTTP", "", "", ""), false),
            ("port 0", http, config("", "", "0", ""), false),
            ("port name", http, config("", "", "web", ""), false),
            ("relative path", http, config("", "", "", "new"), false),
            ("host in path", http, config("", "", "", "/#{host}"), true),
            (
                "query in path",
                http,
                config("", "", "", "/#{query}"),
                false,
            ),
            (
                "path in host",
                http,
                config("", "#{path}.example.com", "", ""),
                false,
            ),
        ] {
            let outcome = parse(given).and_then(|redirect| check(&redirect, listener, 80));
            assert_eq!(outcome.is_ok(), want, "{name}: {outcome:?}");
        }
    }
}
