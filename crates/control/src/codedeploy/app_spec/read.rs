//! What the keys of an AppSpec mean. Keys are read without regard to case: AWS's own samples use both spellings.
//!
//! Errors are sentences for the caller. Keys that mean nothing to an ECS deployment are passed over.

use std::collections::BTreeMap;
use std::str::FromStr;

use neargate_aws_api::ecs::types::{
    AssignPublicIp, AwsVpcConfiguration, CapacityProviderStrategyItem, NetworkConfiguration,
};
use neargate_planner::codedeploy::Event;

use super::document::Node;
use super::{AppSpec, TargetService};

type Read<T> = Result<T, String>;

/// The only kind of resource of an ECS deployment.
const RESOURCE_TYPE: &str = "AWS::ECS::Service";

pub fn app_spec(document: &Node) -> Read<AppSpec> {
    let top = map(document, "An AppSpec file")?;
    check_version(top)?;
    let resources = get(top, "Resources").ok_or("Resources is missing.")?;
    Ok(AppSpec {
        service: target_service(resources)?,
        hooks: hooks(get(top, "Hooks"))?,
    })
}

/// `0.0`, which is plain `0` once a JSON writer has seen it. AWS takes `1` for ECS as well, which is what people
/// write who come from CloudFormation.
fn check_version(top: &[(String, Node)]) -> Read<()> {
    let given = text(top, "version", "The AppSpec file")?.ok_or("version is missing; give 0.0.")?;
    match given.parse::<f64>() {
        Ok(0.0 | 1.0) => Ok(()),
        _ => Err(format!("The version is {given}; it must be 0.0 or 1.")),
    }
}

fn target_service(resources: &Node) -> Read<TargetService> {
    let [resource] = list(resources, "Resources")? else {
        return Err("Resources must have exactly one TargetService.".to_owned());
    };
    // The one key is TargetService in AWS's documents, but any name that the author has for the service will do.
    let [(name, service)] = map(resource, "A resource")? else {
        return Err("A resource must have exactly one key, TargetService.".to_owned());
    };
    let service = map(service, name)?;
    match text(service, "Type", name)? {
        Some(RESOURCE_TYPE) => {}
        _ => return Err(format!("The Type of {name} must be {RESOURCE_TYPE}.")),
    }
    let properties =
        get(service, "Properties").ok_or_else(|| format!("Properties of {name} is missing."))?;
    properties_of(map(properties, "Properties")?)
}

fn properties_of(properties: &[(String, Node)]) -> Read<TargetService> {
    const OWNER: &str = "Properties";
    let balancer =
        get(properties, "LoadBalancerInfo").ok_or("LoadBalancerInfo of Properties is missing.")?;
    let balancer = map(balancer, "LoadBalancerInfo")?;
    Ok(TargetService {
        task_definition: required(properties, "TaskDefinition", OWNER)?.to_owned(),
        container_name: required(balancer, "ContainerName", "LoadBalancerInfo")?.to_owned(),
        container_port: port(required(balancer, "ContainerPort", "LoadBalancerInfo")?)?,
        platform_version: text(properties, "PlatformVersion", OWNER)?.map(str::to_owned),
        network: get(properties, "NetworkConfiguration")
            .map(network)
            .transpose()?,
        capacity_provider_strategy: get(properties, "CapacityProviderStrategy")
            .map(strategy)
            .transpose()?,
    })
}

fn port(text: &str) -> Read<u16> {
    match text.parse() {
        Ok(0) | Err(_) => Err(format!(
            "ContainerPort is {text}; it must be a number from 1 to 65535."
        )),
        Ok(port) => Ok(port),
    }
}

/// All three members or none. Source: the user guide's NetworkConfiguration.
fn network(node: &Node) -> Read<NetworkConfiguration> {
    const OWNER: &str = "AwsvpcConfiguration";
    let outer = map(node, "NetworkConfiguration")?;
    let inner =
        get(outer, OWNER).ok_or("AwsvpcConfiguration of NetworkConfiguration is missing.")?;
    let inner = map(inner, OWNER)?;
    let texts = |key: &str| -> Read<Vec<String>> {
        let node = get(inner, key).ok_or_else(|| format!("{key} of {OWNER} is missing."))?;
        list(node, key)?
            .iter()
            .map(|item| item_text(item, key))
            .collect()
    };
    let assign_public_ip = required(inner, "AssignPublicIp", OWNER)?;
    Ok(NetworkConfiguration {
        awsvpc_configuration: Some(AwsVpcConfiguration {
            subnets: texts("Subnets")?,
            security_groups: Some(texts("SecurityGroups")?),
            assign_public_ip: Some(AssignPublicIp::from_str(assign_public_ip).map_err(|_| {
                format!("AssignPublicIp is {assign_public_ip}; it must be ENABLED or DISABLED.")
            })?),
        }),
    })
}

fn strategy(node: &Node) -> Read<Vec<CapacityProviderStrategyItem>> {
    const OWNER: &str = "CapacityProviderStrategy";
    let item = |node: &Node| -> Read<CapacityProviderStrategyItem> {
        let item = map(node, "An item of CapacityProviderStrategy")?;
        Ok(CapacityProviderStrategyItem {
            capacity_provider: required(item, "CapacityProvider", OWNER)?.to_owned(),
            base: number(item, "Base", OWNER)?,
            weight: number(item, "Weight", OWNER)?,
        })
    };
    list(node, OWNER)?.iter().map(item).collect()
}

fn hooks(node: Option<&Node>) -> Read<BTreeMap<Event, String>> {
    let mut hooks = BTreeMap::new();
    let Some(node) = node else {
        return Ok(hooks);
    };
    for item in list(node, "Hooks")? {
        for (name, function) in map(item, "A hook")? {
            let event = hook_event(name)?;
            let function = match function {
                Node::Scalar(function) if !function.is_empty() => function.clone(),
                _ => return Err(format!("The hook {name} must name a Lambda function.")),
            };
            if hooks.insert(event, function).is_some() {
                return Err(format!("The hook {name} is given twice."));
            }
        }
    }
    Ok(hooks)
}

fn hook_event(name: &str) -> Read<Event> {
    let event = Event::ALL
        .into_iter()
        .find(|event| event.as_str().eq_ignore_ascii_case(name));
    match event {
        Some(event) if event.takes_hook() => Ok(event),
        Some(event) => Err(format!(
            "{} is CodeDeploy's own work and takes no hook.",
            event.as_str()
        )),
        None => {
            let names: Vec<&str> = Event::ALL
                .into_iter()
                .filter(|event| event.takes_hook())
                .map(Event::as_str)
                .collect();
            let names = names.join(", ");
            Err(format!("There is no hook {name}; there are {names}."))
        }
    }
}

/// The value of a key; `None` also for one without a value.
fn get<'a>(entries: &'a [(String, Node)], key: &str) -> Option<&'a Node> {
    entries
        .iter()
        .find(|(name, _)| name.eq_ignore_ascii_case(key))
        .map(|(_, value)| value)
        .filter(|value| **value != Node::Null)
}

/// A text; empty ones count as absent, as templates leave them.
fn text<'a>(entries: &'a [(String, Node)], key: &str, owner: &str) -> Read<Option<&'a str>> {
    match get(entries, key) {
        None => Ok(None),
        Some(Node::Scalar(text)) => Ok(Some(text.as_str()).filter(|text| !text.is_empty())),
        Some(_) => Err(format!("{key} of {owner} must be a text or a number.")),
    }
}

fn required<'a>(entries: &'a [(String, Node)], key: &str, owner: &str) -> Read<&'a str> {
    text(entries, key, owner)?.ok_or_else(|| format!("{key} of {owner} is missing."))
}

fn number(entries: &[(String, Node)], key: &str, owner: &str) -> Read<Option<i32>> {
    let parse = |text: &str| {
        text.parse()
            .map_err(|_| format!("{key} of {owner} is {text}; it must be a whole number."))
    };
    text(entries, key, owner)?.map(parse).transpose()
}

fn item_text(item: &Node, key: &str) -> Read<String> {
    match item {
        Node::Scalar(text) if !text.is_empty() => Ok(text.clone()),
        _ => Err(format!("{key} must be a list of texts.")),
    }
}

fn map<'a>(node: &'a Node, what: &str) -> Read<&'a [(String, Node)]> {
    match node {
        Node::Map(entries) => Ok(entries),
        _ => Err(format!("{what} must be an object of keys and values.")),
    }
}

fn list<'a>(node: &'a Node, what: &str) -> Read<&'a [Node]> {
    match node {
        Node::List(items) => Ok(items),
        _ => Err(format!("{what} must be a list.")),
    }
}
