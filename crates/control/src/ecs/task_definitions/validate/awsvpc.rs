//! What the network mode awsvpc rules out.

use neargate_aws_api::ecs::types::ContainerDefinition;

use super::{Verdict, has_any};

pub fn check(containers: &[ContainerDefinition]) -> Verdict {
    for container in containers {
        let refused = [
            (
                has_any(&container.links),
                "Links are not supported when networkMode=awsvpc.",
            ),
            (
                container.hostname.is_some(),
                "hostname is not supported on container when networkMode=awsvpc.",
            ),
            (
                has_any(&container.extra_hosts),
                "Extra hosts are not supported on container when networkMode=awsvpc.",
            ),
            (
                has_any(&container.dns_servers) || has_any(&container.dns_search_domains),
                "DNS servers are not supported on container when networkMode=awsvpc.",
            ),
            (
                container.disable_networking == Some(true),
                "Disable Networking is not supported on container when networkMode=awsvpc.",
            ),
        ];
        if let Some((_, message)) = refused.into_iter().find(|(is_given, _)| *is_given) {
            return Err(message.to_owned());
        }
        for mapping in container.port_mappings.as_deref().unwrap_or_default() {
            let host_port = mapping.host_port.unwrap_or(0);
            if host_port != 0 && Some(host_port) != mapping.container_port {
                return Err("When networkMode=awsvpc, the host ports and container ports in port mappings must match.".to_owned());
            }
        }
    }
    Ok(())
}
