//! The App Mesh proxy.

use neargate_aws_api::ecs::types::{ProxyConfiguration, RegisterTaskDefinitionRequest};

use super::{Verdict, is_awsvpc};

pub fn check(request: &RegisterTaskDefinitionRequest) -> Verdict {
    let Some(proxy) = &request.proxy_configuration else {
        return Ok(());
    };
    if !is_awsvpc(request) {
        return Err(
            "APPMESH proxy configuration is only supported in networkMode=awsvpc".to_owned(),
        );
    }
    let mut containers = request.container_definitions.iter();
    if !containers.any(|c| c.name.as_ref() == Some(&proxy.container_name)) {
        return Err(format!(
            "Proxy container [{}] does not exist.",
            proxy.container_name
        ));
    }
    match has_property(proxy, "ProxyIngressPort") {
        true => Ok(()),
        false => Err("Ingress port not found".to_owned()),
    }
}

fn has_property(proxy: &ProxyConfiguration, name: &str) -> bool {
    let mut properties = proxy.properties.iter().flatten();
    properties
        .any(|p| p.name.as_deref() == Some(name) && p.value.as_ref().is_some_and(|v| !v.is_empty()))
}
