//! Port mappings.

use std::collections::HashSet;
use std::ops::RangeInclusive;

use neargate_aws_api::ecs::types::{ContainerDefinition, PortMapping, TransportProtocol};

use super::{Verdict, name_of};

const MAX_RANGES: usize = 100;

pub fn check(containers: &[ContainerDefinition]) -> Verdict {
    let mut used = HashSet::new();
    let mut names = HashSet::new();
    for container in containers {
        let name = name_of(container);
        let mappings = container.port_mappings.as_deref().unwrap_or_default();
        let ranges = mappings.iter().filter(|m| m.container_port_range.is_some());
        if ranges.count() > MAX_RANGES {
            return Err(format!(
                "Container '{name}' has more than {MAX_RANGES} container port ranges."
            ));
        }
        for mapping in mappings {
            let protocol = mapping.protocol.unwrap_or(TransportProtocol::Tcp).as_str();
            for port in ports(mapping, name)? {
                if !used.insert((protocol, port)) {
                    return Err(format!(
                        "{} container port '{port}' is used multiple times in task when networkMode=awsvpc.",
                        protocol.to_ascii_uppercase()
                    ));
                }
            }
            if let Some(port_name) = &mapping.name
                && !names.insert(port_name.as_str())
            {
                return Err("When networkMode=awsvpc, port mapping name is already used".to_owned());
            }
        }
    }
    Ok(())
}

fn ports(mapping: &PortMapping, container: &str) -> Result<RangeInclusive<i32>, String> {
    if mapping.host_port.is_some_and(|p| !(0..=65535).contains(&p)) {
        return Err(format!(
            "Invalid 'hostPort' setting for container '{container}'."
        ));
    }
    match (mapping.container_port, &mapping.container_port_range) {
        (Some(_), Some(_)) => Err(format!(
            "Invalid port mapping for container '{container}', cannot specify both single port and port range."
        )),
        (None, Some(range)) => parse_range(range).ok_or_else(|| {
            format!("Invalid 'containerPortRange' setting for container '{container}'.")
        }),
        (port, None) => match port.unwrap_or(0) {
            port @ 1..=65535 => Ok(port..=port),
            _ => Err(format!(
                "Invalid 'containerPort' setting for container '{container}'."
            )),
        },
    }
}

fn parse_range(text: &str) -> Option<RangeInclusive<i32>> {
    let (first, last) = text.split_once('-')?;
    let (first, last) = (first.parse::<u16>().ok()?, last.parse::<u16>().ok()?);
    (first > 0 && first <= last).then_some(i32::from(first)..=i32::from(last))
}
