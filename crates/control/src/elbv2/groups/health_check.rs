//! Health checks of target groups: defaults and what fits together.
//!
//! User guide, "Health checks for target groups"; API reference, CreateTargetGroup.

use neargate_aws_api::elbv2::types::{Matcher, ProtocolEnum};
use neargate_aws_wire::error::ApiError;

use crate::elbv2::errors;
use crate::elbv2::records::{HealthCheckRecord, Protocol, ProtocolVersion, TargetType};

/// What the caller says about health checks; `None`: the default, or what it was.
#[derive(Debug, Clone, Default)]
pub struct Wanted {
    pub enabled: Option<bool>,
    pub protocol: Option<ProtocolEnum>,
    pub port: Option<String>,
    pub path: Option<String>,
    pub interval_secs: Option<i32>,
    pub timeout_secs: Option<i32>,
    pub healthy_threshold: Option<i32>,
    pub unhealthy_threshold: Option<i32>,
    pub matcher: Option<Matcher>,
}

const TRAFFIC_PORT: &str = "traffic-port";
const DEFAULT_INTERVAL_SECS: u32 = 30;
const DEFAULT_HEALTHY_THRESHOLD: u32 = 5;
const DEFAULT_UNHEALTHY_THRESHOLD: u32 = 2;
const GRPC_PATH: &str = "/AWS.ALB/healthcheck";
const HIGHEST_GRPC_CODE: u32 = 99;

/// The kind of group that the checks are for.
#[derive(Debug, Clone, Copy)]
pub struct For {
    pub target_type: TargetType,
    pub protocol: Protocol,
    pub version: Option<ProtocolVersion>,
}

impl For {
    fn is_grpc(self) -> bool {
        self.version == Some(ProtocolVersion::Grpc)
    }

    fn default_timeout_secs(self, check: Protocol) -> u32 {
        match (self.protocol.is_http(), check) {
            (true, _) => 5,
            (false, Protocol::Http) => 6,
            (false, _) => 10,
        }
    }

    fn default_matcher(self) -> &'static str {
        match (self.protocol.is_http(), self.is_grpc()) {
            (_, true) => "12",
            (true, false) => "200",
            (false, false) => "200-399",
        }
    }
}

/// The checks of a new group.
pub fn new(kind: For, wanted: &Wanted) -> Result<HealthCheckRecord, ApiError> {
    // HTTP even for a group with HTTPS.
    let protocol = match kind.protocol.is_http() {
        true => Protocol::Http,
        false => Protocol::Tcp,
    };
    let protocol = check_protocol(kind, wanted)?.unwrap_or(protocol);
    let defaults = HealthCheckRecord {
        protocol,
        port: None,
        path: None,
        interval_secs: DEFAULT_INTERVAL_SECS,
        timeout_secs: kind.default_timeout_secs(protocol),
        healthy_threshold: DEFAULT_HEALTHY_THRESHOLD,
        unhealthy_threshold: DEFAULT_UNHEALTHY_THRESHOLD,
        matcher: None,
    };
    changed(kind, &defaults, wanted)
}

/// The checks after a change.
pub fn changed(
    kind: For,
    before: &HealthCheckRecord,
    wanted: &Wanted,
) -> Result<HealthCheckRecord, ApiError> {
    if wanted.enabled == Some(false) {
        return Err(errors::configuration(format!(
            "Health check enabled must be true for target groups with target type '{}'",
            kind.target_type.as_str()
        )));
    }
    let number = |given: Option<i32>, was: u32| given.map_or(was, i32::unsigned_abs);
    let mut check = HealthCheckRecord {
        protocol: check_protocol(kind, wanted)?.unwrap_or(before.protocol),
        port: match &wanted.port {
            Some(text) => parse_port(text)?,
            None => before.port,
        },
        path: before.path.clone(),
        interval_secs: number(wanted.interval_secs, before.interval_secs),
        timeout_secs: number(wanted.timeout_secs, before.timeout_secs),
        healthy_threshold: number(wanted.healthy_threshold, before.healthy_threshold),
        unhealthy_threshold: number(wanted.unhealthy_threshold, before.unhealthy_threshold),
        matcher: before.matcher.clone(),
    };
    if check.protocol.is_http() {
        check.path = Some(path(kind, before, wanted)?);
        check.matcher = Some(matcher(kind, before, wanted)?);
    } else {
        if wanted.path.is_some() {
            return Err(errors::configuration(
                "Health check paths are not supported for TCP health checks",
            ));
        }
        if wanted.matcher.is_some() {
            return Err(errors::configuration(
                "Health check matchers are not supported for TCP health checks",
            ));
        }
        (check.path, check.matcher) = (None, None);
    }
    check_times(&check)?;
    Ok(check)
}

fn check_protocol(kind: For, wanted: &Wanted) -> Result<Option<Protocol>, ApiError> {
    let Some(given) = wanted.protocol else {
        return Ok(None);
    };
    match (given, kind.protocol.is_http()) {
        (ProtocolEnum::Http, _) => Ok(Some(Protocol::Http)),
        (ProtocolEnum::Https, _) => Ok(Some(Protocol::Https)),
        (ProtocolEnum::Tcp, false) => Ok(Some(Protocol::Tcp)),
        (_, http) => Err(errors::validation(format!(
            "Health check protocol '{given}' must be one of '{}'",
            if http {
                "HTTP, HTTPS"
            } else {
                "HTTP, HTTPS, TCP"
            }
        ))),
    }
}

fn parse_port(text: &str) -> Result<Option<u16>, ApiError> {
    if text == TRAFFIC_PORT {
        return Ok(None);
    }
    match text.parse::<u16>() {
        Ok(port) if port > 0 => Ok(Some(port)),
        _ => Err(errors::validation(format!(
            "Health check port '{text}' must be within '1-65535' or '{TRAFFIC_PORT}'"
        ))),
    }
}

fn path(kind: For, before: &HealthCheckRecord, wanted: &Wanted) -> Result<String, ApiError> {
    let default = if kind.is_grpc() { GRPC_PATH } else { "/" };
    let path = wanted.path.as_ref().or(before.path.as_ref());
    let path = path.map_or(default, String::as_str);
    if !path.starts_with('/') {
        return Err(errors::validation(format!(
            "Health check path '{path}' must begin with a '/' character"
        )));
    }
    // It is sent as it is, in a request line.
    if !path.bytes().all(|b| b.is_ascii_graphic()) {
        return Err(errors::validation(format!(
            "Health check path '{path}' must consist of printable ASCII characters"
        )));
    }
    Ok(path.to_owned())
}

fn matcher(kind: For, before: &HealthCheckRecord, wanted: &Wanted) -> Result<String, ApiError> {
    let given = wanted.matcher.clone().unwrap_or_default();
    let (codes, other) = match kind.is_grpc() {
        true => (given.grpc_code, given.http_code),
        false => (given.http_code, given.grpc_code),
    };
    if other.is_some() {
        return Err(errors::validation(format!(
            "Health check matcher {} code cannot be empty",
            if kind.is_grpc() { "GRPC" } else { "HTTP" }
        )));
    }
    let codes = codes.or_else(|| before.matcher.clone());
    let codes = codes.unwrap_or_else(|| kind.default_matcher().to_owned());
    check_codes(kind, &codes)?;
    Ok(codes)
}

/// `200`, `200,202` or `200-299`.
fn check_codes(kind: For, codes: &str) -> Result<(), ApiError> {
    let (low, high, name) = match (kind.protocol.is_http(), kind.is_grpc()) {
        (_, true) => (0, HIGHEST_GRPC_CODE, "GRPC"),
        (true, false) => (200, 499, "HTTP"),
        (false, false) => (200, 599, "HTTP"),
    };
    let check_one = |text: &str| {
        let digits = !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
        match text.parse::<u32>() {
            Ok(code) if digits && (low..=high).contains(&code) => Ok(code),
            Ok(_) if digits => Err(errors::validation(format!(
                "Health check matcher {name} code '{text}' must be within '{low}-{high}' inclusive"
            ))),
            _ => Err(errors::validation(format!(
                "Health check matcher {name} code '{codes}' must be a single value, a comma-separated list of values or a range of values"
            ))),
        }
    };
    for part in codes.split(',') {
        match part.split_once('-') {
            None => {
                check_one(part)?;
            }
            Some((first, last)) => {
                if check_one(first)? > check_one(last)? {
                    return Err(errors::validation(format!(
                        "Health check matcher {name} code range '{part}' must begin with the lower code"
                    )));
                }
            }
        }
    }
    Ok(())
}

fn check_times(check: &HealthCheckRecord) -> Result<(), ApiError> {
    let (timeout, interval) = (check.timeout_secs, check.interval_secs);
    let relation = match check.protocol.is_http() {
        true if timeout >= interval => "smaller than the interval",
        false if timeout > interval => "smaller than or equal to the interval",
        _ => return Ok(()),
    };
    Err(errors::validation(format!(
        "Health check timeout '{timeout}' must be {relation} '{interval}'"
    )))
}

#[cfg(test)]
mod tests {
    use super::*;

    const ALB: For = For {
        target_type: TargetType::Ip,
        protocol: Protocol::Https,
        version: Some(ProtocolVersion::Http1),
    };
    const GRPC: For = For {
        target_type: TargetType::Ip,
        protocol: Protocol::Http,
        version: Some(ProtocolVersion::Grpc),
    };
    const NLB: For = For {
        target_type: TargetType::Ip,
        protocol: Protocol::Tcp,
        version: None,
    };

    #[test]
    fn defaults_are_awss() {
        for (name, kind, given, want) in [
            (
                "alb",
                ALB,
                None,
                (Protocol::Http, 5, Some("/"), Some("200")),
            ),
            (
                "grpc",
                GRPC,
                None,
                (Protocol::Http, 5, Some(GRPC_PATH), Some("12")),
            ),
            ("nlb", NLB, None, (Protocol::Tcp, 10, None, None)),
            (
                "nlb by http",
                NLB,
                Some(ProtocolEnum::Http),
                (Protocol::Http, 6, Some("/"), Some("200-399")),
            ),
            (
                "nlb by https",
                NLB,
                Some(ProtocolEnum::Https),
                (Protocol::Https, 10, Some("/"), Some("200-399")),
            ),
        ] {
            let wanted = Wanted {
                protocol: given,
                ..Default::default()
            };
            let check = new(kind, &wanted).unwrap();
            let got = (
                check.protocol,
                check.timeout_secs,
                check.path.as_deref(),
                check.matcher.as_deref(),
            );
            assert_eq!(got, want, "{name}");
            assert_eq!(
                (
                    check.interval_secs,
                    check.healthy_threshold,
                    check.unhealthy_threshold
                ),
                (30, 5, 2)
            );
        }
    }

    #[test]
    fn what_does_not_fit_is_refused() {
        let http = |codes: &str| Wanted {
            matcher: Some(Matcher {
                http_code: Some(codes.to_owned()),
                grpc_code: None,
            }),
            ..Default::default()
        };
        let times = |timeout, interval| Wanted {
            timeout_secs: Some(timeout),
            interval_secs: Some(interval),
            ..Default::default()
        };
        let port = |text: &str| Wanted {
            port: Some(text.to_owned()),
            ..Default::default()
        };
        let path = |text: &str| Wanted {
            path: Some(text.to_owned()),
            ..Default::default()
        };
        for (name, kind, wanted, want) in [
            ("list", ALB, http("200,202"), true),
            ("range", ALB, http("200-299"), true),
            ("mixed", ALB, http("200,300-399"), true),
            ("backwards", ALB, http("299-200"), false),
            ("too high", ALB, http("500"), false),
            ("no number", ALB, http("ok"), false),
            ("empty", ALB, http(""), false),
            ("half a range", ALB, http("200-"), false),
            ("http code for grpc", GRPC, http("200"), false),
            ("timeout below", ALB, times(29, 30), true),
            ("timeout equal", ALB, times(30, 30), false),
            ("timeout equal by tcp", NLB, times(30, 30), true),
            ("timeout above by tcp", NLB, times(31, 30), false),
            ("port", ALB, port("8080"), true),
            ("traffic port", ALB, port("traffic-port"), true),
            ("port 0", ALB, port("0"), false),
            ("port name", ALB, port("http"), false),
            ("path", ALB, path("/health?x=1"), true),
            ("relative path", ALB, path("health"), false),
            ("path with a line", ALB, path("/a\r\nb"), false),
            ("path by tcp", NLB, path("/health"), false),
            ("matcher by tcp", NLB, http("200"), false),
        ] {
            let outcome = new(kind, &wanted);
            assert_eq!(outcome.is_ok(), want, "{name}: {outcome:?}");
        }
        let tcp = Wanted {
            protocol: Some(ProtocolEnum::Tcp),
            ..Default::default()
        };
        assert!(new(ALB, &tcp).is_err());
        assert!(new(NLB, &tcp).is_ok());
    }
}
