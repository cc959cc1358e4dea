//! What a node is told to run: task record and task definition, overrides applied. Pure.

use std::collections::BTreeMap;

use neargate_aws_api::ecs::types as api;
use neargate_node_api as node;
use neargate_planner::log_events::datetime_pattern;

use crate::ecs::records::{ContainerRecord, TaskRecord};

/// Seconds between the stop signal and SIGKILL where the definition sets none.
/// Source: task definition parameters, stopTimeout.
const DEFAULT_STOP_TIMEOUT_SECS: u32 = 30;
/// awslogs `max-buffer-size` where the definition sets none. Source: "Send Amazon ECS logs to CloudWatch".
const DEFAULT_LOG_BUFFER_BYTES: u64 = 10 * 1024 * 1024;

const DATETIME_FORMAT: &str = "awslogs-datetime-format";
const MULTILINE_PATTERN: &str = "awslogs-multiline-pattern";

/// What the control plane knows and the task definition does not.
pub struct Surroundings<'a> {
    /// How the node reaches an image: the built-in registry or the outside.
    pub image_source: &'a dyn Fn(&str) -> node::ImageSource,
    /// Account setting defaultLogDriverMode.
    pub logs_block_by_default: bool,
    /// False where CPU may be overcommitted (dev).
    pub enforce_cpu_quota: bool,
}

/// The spec of a task. The definition's containers and the record's are the same, in the same order.
pub fn task_spec(
    record: &TaskRecord,
    definition: &api::TaskDefinition,
    surroundings: &Surroundings<'_>,
) -> node::TaskSpec {
    let containers = definition
        .container_definitions
        .as_deref()
        .unwrap_or_default();
    node::TaskSpec {
        account: record.scope.account.clone(),
        region: record.scope.region.clone(),
        cluster_arn: record.cluster_arn(),
        family: record.family.clone(),
        revision: record.revision,
        cpu_units: u64::from(record.cpu_units),
        memory_mib: u64::from(record.memory_mib),
        ephemeral_storage_gib: u64::from(record.ephemeral_storage_gib),
        network_interface: Some(network_interface(record)),
        containers: containers
            .iter()
            .zip(&record.containers)
            .map(|(definition, container)| {
                container_spec(record, definition, container, surroundings)
            })
            .collect(),
        volumes: definition
            .volumes
            .as_deref()
            .unwrap_or_default()
            .iter()
            .filter_map(|volume| volume.name.clone())
            .collect(),
        share_pid_namespace: definition.pid_mode == Some(api::PidMode::Task),
        availability_zone: record.network.availability_zone.clone(),
        enforce_cpu_quota: surroundings.enforce_cpu_quota,
    }
}

fn network_interface(record: &TaskRecord) -> node::NetworkInterface {
    let network = &record.network;
    node::NetworkInterface {
        eni_id: network.eni_id.clone(),
        attachment_id: network.attachment_id.clone(),
        mac_address: network.mac_address.clone(),
        private_ipv4_address: network.private_ipv4_address.clone(),
        subnet_cidr: network.subnet_cidr.clone(),
        vpc_cidr: network.vpc_cidr.clone(),
        subnet_gateway: gateway_of(&network.subnet_cidr),
        private_dns_name: network.private_dns_name.clone(),
        assign_public_ip: network.assign_public_ip,
        security_group_ids: network.security_group_ids.clone(),
        relays: false,
    }
}

/// The router of a subnet is its first address after the network's.
fn gateway_of(subnet_cidr: &str) -> String {
    subnet_cidr
        .parse::<ipnet::Ipv4Net>()
        .ok()
        .and_then(|net| net.hosts().next())
        .map(|address| address.to_string())
        .unwrap_or_default()
}

fn container_spec(
    task: &TaskRecord,
    definition: &api::ContainerDefinition,
    record: &ContainerRecord,
    surroundings: &Surroundings<'_>,
) -> node::Container {
    let overrides = override_of(task, &record.name);
    let linux = definition.linux_parameters.as_ref();
    let list =
        |values: &Option<Vec<String>>| values.clone().map(|values| node::StringList { values });
    let command = overrides
        .and_then(|o| o.command.clone())
        .or_else(|| definition.command.clone());
    node::Container {
        name: record.name.clone(),
        container_arn: task.container_arn(record),
        runtime_id: record.runtime_id.clone(),
        image: Some((surroundings.image_source)(&record.pull_reference())),
        essential: record.essential,
        cpu_units: u64::from(record.cpu_units),
        memory_mib: u64::from(record.memory_mib.unwrap_or(0)),
        memory_reservation_mib: u64::from(record.memory_reservation_mib.unwrap_or(0)),
        command: list(&command),
        entry_point: list(&definition.entry_point),
        environment: environment(task, definition, overrides),
        working_directory: definition.working_directory.clone().unwrap_or_default(),
        user: definition.user.clone().unwrap_or_default(),
        readonly_root_filesystem: definition.readonly_root_filesystem == Some(true),
        interactive: definition.interactive == Some(true),
        pseudo_terminal: definition.pseudo_terminal == Some(true),
        depends_on: definition
            .depends_on
            .iter()
            .flatten()
            .map(|d| node::Dependency {
                container_name: d.container_name.clone(),
                condition: d.condition.as_str().to_owned(),
            })
            .collect(),
        start_timeout_secs: unsigned(definition.start_timeout).unwrap_or(0),
        stop_timeout_secs: unsigned(definition.stop_timeout).unwrap_or(DEFAULT_STOP_TIMEOUT_SECS),
        health_check: definition.health_check.as_ref().map(health_check),
        restart_policy: definition
            .restart_policy
            .as_ref()
            .filter(|p| p.enabled)
            .map(|p| node::RestartPolicy {
                ignored_exit_codes: p.ignored_exit_codes.clone().unwrap_or_default(),
                restart_attempt_period_secs: unsigned(p.restart_attempt_period).unwrap_or(300),
            }),
        ulimits: definition
            .ulimits
            .iter()
            .flatten()
            .map(|u| node::Ulimit {
                name: u.name.as_str().to_owned(),
                soft_limit: i64::from(u.soft_limit),
                hard_limit: i64::from(u.hard_limit),
            })
            .collect(),
        init_process_enabled: linux.and_then(|l| l.init_process_enabled) == Some(true),
        capabilities_add: linux
            .and_then(|l| l.capabilities.as_ref()?.add.clone())
            .unwrap_or_default(),
        capabilities_drop: linux
            .and_then(|l| l.capabilities.as_ref()?.drop.clone())
            .unwrap_or_default(),
        tmpfs: linux
            .and_then(|l| l.tmpfs.as_ref())
            .into_iter()
            .flatten()
            .map(|t| node::Tmpfs {
                container_path: t.container_path.clone(),
                size_mib: u64::try_from(t.size).unwrap_or(0),
                mount_options: t.mount_options.clone().unwrap_or_default(),
            })
            .collect(),
        mount_points: definition
            .mount_points
            .iter()
            .flatten()
            .map(|m| node::MountPoint {
                source_volume: m.source_volume.clone().unwrap_or_default(),
                container_path: m.container_path.clone().unwrap_or_default(),
                read_only: m.read_only == Some(true),
            })
            .collect(),
        volumes_from: definition
            .volumes_from
            .iter()
            .flatten()
            .map(|v| node::VolumesFrom {
                source_container: v.source_container.clone().unwrap_or_default(),
                read_only: v.read_only == Some(true),
            })
            .collect(),
        system_controls: definition
            .system_controls
            .iter()
            .flatten()
            .map(|s| node::SystemControl {
                namespace: s.namespace.clone().unwrap_or_default(),
                value: s.value.clone().unwrap_or_default(),
            })
            .collect(),
        log_configuration: log_configuration(task, definition, surroundings),
        docker_labels: definition
            .docker_labels
            .iter()
            .flatten()
            .map(|(name, value)| node::EnvironmentVariable {
                name: name.clone(),
                value: value.clone(),
            })
            .collect(),
        port_mappings: definition
            .port_mappings
            .iter()
            .flatten()
            .filter_map(|p| {
                Some(node::PortMapping {
                    container_port: unsigned(p.container_port)?,
                    protocol: p
                        .protocol
                        .map(|p| p.as_str().to_owned())
                        .unwrap_or_default(),
                    name: p.name.clone().unwrap_or_default(),
                })
            })
            .collect(),
    }
}

fn unsigned(value: Option<i32>) -> Option<u32> {
    value.and_then(|v| u32::try_from(v).ok())
}

pub fn override_of<'a>(
    task: &'a TaskRecord,
    container: &str,
) -> Option<&'a api::ContainerOverride> {
    task.overrides
        .container_overrides
        .iter()
        .flatten()
        .find(|o| o.name.as_deref() == Some(container))
}

/// The definition's variables, overrides over them, and what ECS injects below both.
fn environment(
    task: &TaskRecord,
    definition: &api::ContainerDefinition,
    overrides: Option<&api::ContainerOverride>,
) -> Vec<node::EnvironmentVariable> {
    let mut variables = BTreeMap::new();
    variables.insert("AWS_EXECUTION_ENV".to_owned(), "AWS_ECS_FARGATE".to_owned());
    let given = definition.environment.iter().flatten().chain(
        overrides
            .and_then(|o| o.environment.as_ref())
            .into_iter()
            .flatten(),
    );
    for variable in given {
        if let Some(name) = &variable.name {
            variables.insert(name.clone(), variable.value.clone().unwrap_or_default());
        }
    }
    // Only where the definition says nothing of a region.
    if !variables.contains_key("AWS_REGION") && !variables.contains_key("AWS_DEFAULT_REGION") {
        for name in ["AWS_REGION", "AWS_DEFAULT_REGION"] {
            variables.insert(name.to_owned(), task.scope.region.clone());
        }
    }
    variables
        .into_iter()
        .map(|(name, value)| node::EnvironmentVariable { name, value })
        .collect()
}

fn health_check(check: &api::HealthCheck) -> node::HealthCheck {
    node::HealthCheck {
        command: check.command.clone(),
        interval_secs: unsigned(check.interval).unwrap_or(30),
        timeout_secs: unsigned(check.timeout).unwrap_or(5),
        retries: unsigned(check.retries).unwrap_or(3),
        start_period_secs: unsigned(check.start_period).unwrap_or(0),
    }
}

fn log_configuration(
    task: &TaskRecord,
    definition: &api::ContainerDefinition,
    surroundings: &Surroundings<'_>,
) -> Option<node::LogConfiguration> {
    let target = LogTarget::of(task, definition)?;
    let mode = target.options.get("mode").map(String::as_str);
    Some(node::LogConfiguration {
        multiline_pattern: target
            .event_start()
            .map_or_else(String::new, |(_, pattern)| pattern),
        log_group: target.group,
        log_stream: target.stream,
        region: target.region,
        blocking: mode.map_or(surroundings.logs_block_by_default, |mode| {
            mode == "blocking"
        }),
        max_buffer_bytes: target
            .options
            .get("max-buffer-size")
            .and_then(|size| parse_size(size))
            .unwrap_or(DEFAULT_LOG_BUFFER_BYTES),
    })
}

/// Where a container's log goes.
pub struct LogTarget<'a> {
    pub group: String,
    pub stream: String,
    pub region: String,
    pub create_group: bool,
    options: &'a BTreeMap<String, String>,
}

impl<'a> LogTarget<'a> {
    /// `None` for a container that does not log to CloudWatch.
    pub fn of(task: &TaskRecord, definition: &'a api::ContainerDefinition) -> Option<Self> {
        let logs = definition.log_configuration.as_ref()?;
        if logs.log_driver != api::LogDriver::Awslogs {
            return None;
        }
        let options = logs.options.as_ref()?;
        let name = definition.name.as_deref().unwrap_or_default();
        Some(Self {
            group: options.get("awslogs-group")?.clone(),
            stream: match options.get("awslogs-stream-prefix") {
                Some(prefix) => format!("{prefix}/{name}/{}", task.id),
                None => task.id.clone(),
            },
            region: options
                .get("awslogs-region")
                .cloned()
                .unwrap_or_else(|| task.scope.region.clone()),
            create_group: options
                .get("awslogs-create-group")
                .is_some_and(|v| v == "true"),
            options,
        })
    }

    /// The regular expression that a line must contain to begin an event, and the option that it comes from. A format
    /// wins over a pattern, as at AWS.
    pub fn event_start(&self) -> Option<(&'static str, String)> {
        let given = |option: &'static str| Some((option, self.options.get(option)?.as_str()));
        let (option, text) = given(DATETIME_FORMAT)
            .or_else(|| given(MULTILINE_PATTERN))
            .filter(|(_, text)| !text.is_empty())?;
        let pattern = match option {
            DATETIME_FORMAT => datetime_pattern(text),
            _ => text.to_owned(),
        };
        Some((option, pattern))
    }
}

/// Docker's sizes: `25m`, `1g`, `512k`, `1024`.
fn parse_size(text: &str) -> Option<u64> {
    let text = text.trim().to_ascii_lowercase();
    let text = text.strip_suffix('b').unwrap_or(&text);
    let (number, factor) = match text.chars().last()? {
        'k' => (&text[..text.len() - 1], 1 << 10),
        'm' => (&text[..text.len() - 1], 1 << 20),
        'g' => (&text[..text.len() - 1], 1 << 30),
        _ => (text, 1),
    };
    number.parse::<u64>().ok()?.checked_mul(factor)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ecs::tasks::fixture;

    fn spec(
        definition: api::ContainerDefinition,
        overrides: Vec<api::ContainerOverride>,
    ) -> node::Container {
        let mut record = fixture::task();
        record.overrides.container_overrides = Some(overrides);
        let definition = api::TaskDefinition {
            container_definitions: Some(vec![api::ContainerDefinition {
                name: Some("app".to_owned()),
                ..definition
            }]),
            ..api::TaskDefinition::default()
        };
        let surroundings = Surroundings {
            image_source: &|reference| node::ImageSource {
                reference: reference.to_owned(),
                ..Default::default()
            },
            logs_block_by_default: false,
            enforce_cpu_quota: false,
        };
        task_spec(&record, &definition, &surroundings)
            .containers
            .remove(0)
    }

    fn variables(pairs: &[(&str, &str)]) -> Option<Vec<api::KeyValuePair>> {
        Some(
            pairs
                .iter()
                .map(|(n, v)| api::KeyValuePair {
                    name: Some((*n).to_owned()),
                    value: Some((*v).to_owned()),
                })
                .collect(),
        )
    }

    #[test]
    fn overrides_replace_the_command_and_merge_the_environment() {
        let definition = api::ContainerDefinition {
            command: Some(vec!["serve".to_owned()]),
            environment: variables(&[("A", "1"), ("B", "1")]),
            ..Default::default()
        };
        let overrides = api::ContainerOverride {
            name: Some("app".to_owned()),
            command: Some(vec!["migrate".to_owned()]),
            environment: variables(&[("B", "2"), ("C", "3")]),
            ..Default::default()
        };
        let container = spec(definition, vec![overrides]);
        assert_eq!(
            container.command.map(|c| c.values),
            Some(vec!["migrate".to_owned()])
        );
        let got: Vec<(&str, &str)> = container
            .environment
            .iter()
            .map(|v| (v.name.as_str(), v.value.as_str()))
            .collect();
        assert_eq!(
            got,
            [
                ("A", "1"),
                ("AWS_DEFAULT_REGION", "us-east-1"),
                ("AWS_EXECUTION_ENV", "AWS_ECS_FARGATE"),
                ("AWS_REGION", "us-east-1"),
                ("B", "2"),
                ("C", "3"),
            ]
        );
    }

    #[test]
    fn a_region_of_the_definition_is_left_alone() {
        let container = spec(
            api::ContainerDefinition {
                environment: variables(&[("AWS_REGION", "eu-west-1")]),
                ..Default::default()
            },
            vec![],
        );
        let regions: Vec<_> = container
            .environment
            .iter()
            .filter(|v| v.name.contains("REGION"))
            .collect();
        assert_eq!(regions.len(), 1);
    }

    #[test]
    fn the_log_stream_is_named_after_prefix_container_and_task() {
        let options = [
            ("awslogs-group", "/ecs/web"),
            ("awslogs-region", "us-east-1"),
            ("awslogs-stream-prefix", "p"),
            ("mode", "blocking"),
            ("max-buffer-size", "25m"),
            ("awslogs-datetime-format", "%Y-%m-%d"),
        ];
        let container = spec(
            api::ContainerDefinition {
                log_configuration: Some(api::LogConfiguration {
                    log_driver: api::LogDriver::Awslogs,
                    options: Some(
                        options
                            .iter()
                            .map(|(k, v)| ((*k).to_owned(), (*v).to_owned()))
                            .collect(),
                    ),
                    ..Default::default()
                }),
                ..Default::default()
            },
            vec![],
        );
        let logs = container.log_configuration.expect("awslogs is configured");
        assert_eq!(logs.log_stream, "p/app/0123456789abcdef0123456789abcdef");
        assert!(logs.blocking);
        assert_eq!(logs.max_buffer_bytes, 25 << 20);
        assert_eq!(logs.multiline_pattern, datetime_pattern("%Y-%m-%d"));
    }

    #[test]
    fn sizes_are_read_as_docker_does() {
        for (text, want) in [
            ("1024", Some(1024)),
            ("1k", Some(1024)),
            ("2MB", Some(2 << 20)),
            ("1g", Some(1 << 30)),
            ("", None),
            ("x", None),
        ] {
            assert_eq!(parse_size(text), want, "{text}");
        }
    }

    #[test]
    fn the_gateway_is_the_subnets_first_address() {
        assert_eq!(gateway_of("172.31.16.0/20"), "172.31.16.1");
    }
}
