//! From the server's spec of a task to OCI bundles and the shim's spec.

use std::fs;
use std::io;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use neargate_cgroup::TaskCgroup;
use neargate_files::private;
use neargate_node_api as node;
use neargate_runtime::spec::{
    self, Bind, ContainerSettings, ImageConfig, Placement, Tmpfs, Ulimit,
};
use neargate_shim::spec as shim;

use super::start::StartError;
use crate::images::{self, Image};
use crate::network::TaskFiles;

/// When the machine itself runs out of memory, a container's process is killed before any other that uses less than half
/// of the memory more. Neargate's own are at the other end, see `neargate_shim`.
const CONTAINER_OOM_SCORE_ADJ: i32 = 500;

/// Of a task's processor time, what its supervisor may spend on its output beside it. Some 5 MB of usual lines per second
/// for the smallest task.
const LOG_CPU_PERCENT: u64 = 10;

/// A container with everything that its bundle needs.
pub struct Prepared<'a> {
    pub container: &'a node::Container,
    pub image: &'a Image,
    pub rootfs: PathBuf,
}

/// Where the parts of a task are.
pub struct TaskDir<'a> {
    pub root: &'a Path,
}

impl TaskDir<'_> {
    pub fn container(&self, name: &str) -> PathBuf {
        self.root.join("containers").join(name)
    }

    pub fn volume(&self, name: &str) -> PathBuf {
        self.root.join("volumes").join(name)
    }

    fn network_file(&self, name: &str) -> PathBuf {
        self.root.join("network").join(name)
    }

    /// Files that each container of the task sees at the same place.
    pub fn write_network_files(&self, files: &TaskFiles) -> io::Result<()> {
        private::make_dir(&self.root.join("network"))?;
        for (name, content) in [
            ("hosts", &files.hosts),
            ("resolv.conf", &files.resolv_conf),
            ("hostname", &format!("{}\n", files.hostname)),
        ] {
            let path = self.network_file(name);
            fs::write(&path, content)?;
            // Readable for every user of a container, whatever our umask is.
            fs::set_permissions(&path, fs::Permissions::from_mode(0o644))?;
        }
        Ok(())
    }

    /// Task-scoped volumes begin empty, mode 0755, owned by root (developer guide, "Bind mounts").
    pub fn make_volumes(&self, names: &[String]) -> io::Result<()> {
        if !names.is_empty() {
            private::make_dir(&self.root.join("volumes"))?;
        }
        for name in names {
            fs::create_dir(self.volume(name))?;
            fs::set_permissions(self.volume(name), fs::Permissions::from_mode(0o755))?;
        }
        Ok(())
    }
}

/// What holds for all containers of a task.
pub struct Common {
    /// Shown to each container; the task's group binds.
    pub pids_max: u64,
    pub swap_accounting: bool,
    /// Files of the platform's that containers see in the place of the kernel's.
    pub binds: Vec<Bind>,
}

/// Writes a container's `config.json`. It joins `pid_namespace`, or gets one of its own.
#[expect(
    clippy::too_many_arguments,
    reason = "what a bundle is made of; each comes from somewhere else"
)]
pub fn write_config(
    dir: &TaskDir<'_>,
    task: &node::TaskSpec,
    prepared: &Prepared<'_>,
    hostname: &str,
    netns: &Path,
    pid_namespace: Option<&Path>,
    cgroup: &TaskCgroup,
    common: &Common,
) -> Result<(), StartError> {
    let container = prepared.container;
    let cannot_create = |error: &dyn std::fmt::Display| {
        StartError::container(
            &container.name,
            format!("CannotCreateContainerError: {error}"),
        )
    };
    let user = Some(&container.user)
        .filter(|u| !u.is_empty())
        .unwrap_or(&prepared.image.config.user);
    let user = spec::user::resolve(&prepared.rootfs, user).map_err(|e| cannot_create(&e))?;
    let placement = Placement {
        rootfs: prepared.rootfs.clone(),
        network_namespace: netns.to_owned(),
        pid_namespace: pid_namespace.map(Path::to_owned),
        hostname: hostname.to_owned(),
        cgroup_path: cgroup
            .oci_path(&container.name)
            .map_err(|e| cannot_create(&e))?,
        binds: [
            common.binds.clone(),
            binds(dir, task, container).map_err(|e| cannot_create(&e))?,
        ]
        .concat(),
        injected_environment: Vec::new(),
        pids_limit: Some(i64::try_from(common.pids_max).unwrap_or(i64::MAX)),
        oom_score_adj: Some(CONTAINER_OOM_SCORE_ADJ),
        swap_accounting: common.swap_accounting,
    };
    let mut spec = spec::build(
        &image_config(&prepared.image.config),
        &settings(container),
        &user,
        &placement,
    )
    .map_err(|e| cannot_create(&e))?;
    if let Some(process) = spec.process_mut() {
        neargate_runtime::fit_to_host(process);
    }
    let text = serde_json::to_vec(&spec).map_err(|e| cannot_create(&e))?;
    fs::write(dir.container(&container.name).join("config.json"), text)
        .map_err(|e| cannot_create(&e))
}

fn image_config(config: &images::ImageConfig) -> ImageConfig {
    ImageConfig {
        env: config.env.clone(),
        entrypoint: config.entrypoint.clone(),
        cmd: config.cmd.clone(),
        user: config.user.clone(),
        working_dir: config.working_dir.clone(),
    }
}

fn settings(container: &node::Container) -> ContainerSettings {
    let pairs = |list: &[node::EnvironmentVariable]| {
        list.iter()
            .map(|v| (v.name.clone(), v.value.clone()))
            .collect()
    };
    ContainerSettings {
        entry_point: container.entry_point.clone().map(|l| l.values),
        command: container.command.clone().map(|l| l.values),
        environment: pairs(&container.environment),
        working_directory: container.working_directory.clone(),
        readonly_root_filesystem: container.readonly_root_filesystem,
        pseudo_terminal: container.pseudo_terminal,
        init_process_enabled: container.init_process_enabled,
        cpu_units: container.cpu_units,
        memory_mib: container.memory_mib,
        memory_reservation_mib: container.memory_reservation_mib,
        ulimits: container
            .ulimits
            .iter()
            .map(|u| Ulimit {
                name: u.name.clone(),
                soft: u.soft_limit,
                hard: u.hard_limit,
            })
            .collect(),
        capabilities_add: container.capabilities_add.clone(),
        capabilities_drop: container.capabilities_drop.clone(),
        tmpfs: container
            .tmpfs
            .iter()
            .map(|t| Tmpfs {
                container_path: t.container_path.clone(),
                size_mib: t.size_mib,
                mount_options: t.mount_options.clone(),
            })
            .collect(),
        system_controls: container
            .system_controls
            .iter()
            .map(|s| (s.namespace.clone(), s.value.clone()))
            .collect(),
    }
}

/// The task's network files, its volumes, and the mounts of the containers named in `volumesFrom`.
fn binds(
    dir: &TaskDir<'_>,
    task: &node::TaskSpec,
    container: &node::Container,
) -> Result<Vec<Bind>, String> {
    let mut binds: Vec<Bind> = ["hosts", "resolv.conf", "hostname"]
        .into_iter()
        .map(|name| Bind {
            source: dir.network_file(name),
            destination: format!("/etc/{name}"),
            read_only: container.readonly_root_filesystem,
        })
        .collect();
    let volume_binds = |container: &node::Container, read_only: bool| -> Vec<Bind> {
        let mounts = container.mount_points.iter();
        mounts
            .map(|mount| Bind {
                source: dir.volume(&mount.source_volume),
                destination: mount.container_path.clone(),
                read_only: read_only || mount.read_only,
            })
            .collect()
    };
    binds.extend(volume_binds(container, false));
    for from in &container.volumes_from {
        let source = task
            .containers
            .iter()
            .find(|c| c.name == from.source_container);
        let source = source.ok_or_else(|| {
            format!(
                "volumesFrom names the unknown container {}",
                from.source_container
            )
        })?;
        binds.extend(volume_binds(source, from.read_only));
    }
    Ok(binds)
}

/// The spec of the task's supervisor.
pub fn shim_spec(
    dir: &TaskDir<'_>,
    task_id: &str,
    task: &node::TaskSpec,
    prepared: &[Prepared<'_>],
    runtime: shim::RuntimeCommand,
    instance: &str,
) -> shim::ShimSpec {
    shim::ShimSpec {
        task_id: task_id.to_owned(),
        cgroup_instance: Some(instance.to_owned()),
        runtime,
        log_millis_per_sec: Some(log_millis_per_sec(task.cpu_units)),
        containers: prepared.iter().map(|p| container_spec(dir, p)).collect(),
    }
}

/// A share of the processor time that a task has bought, for reading its output.
fn log_millis_per_sec(cpu_units: u64) -> u32 {
    let bought = cpu_units.saturating_mul(1000) / 1024;
    u32::try_from(bought * LOG_CPU_PERCENT / 100).unwrap_or(u32::MAX)
}

fn container_spec(dir: &TaskDir<'_>, prepared: &Prepared<'_>) -> shim::ContainerSpec {
    let container = prepared.container;
    let millis = |secs: u32| u64::from(secs) * 1000;
    let depends_on = container
        .depends_on
        .iter()
        .map(|dependency| shim::DependencySpec {
            container: dependency.container_name.clone(),
            condition: match dependency.condition.as_str() {
                "COMPLETE" => shim::DependencyCondition::Complete,
                "SUCCESS" => shim::DependencyCondition::Success,
                "HEALTHY" => shim::DependencyCondition::Healthy,
                _ => shim::DependencyCondition::Start,
            },
        });
    let log = container
        .log_configuration
        .as_ref()
        .map_or_else(shim::LogSpec::default, |logs| shim::LogSpec {
            mode: if logs.blocking {
                shim::LogMode::Blocking
            } else {
                shim::LogMode::NonBlocking {
                    max_buffer_bytes: logs.max_buffer_bytes,
                }
            },
            multiline_pattern: Some(logs.multiline_pattern.clone()).filter(|p| !p.is_empty()),
        });
    let stop_signal = prepared
        .image
        .config
        .stop_signal
        .clone()
        .filter(|s| shim::parse_signal(s).is_some());
    shim::ContainerSpec {
        name: container.name.clone(),
        id: container.runtime_id.clone(),
        bundle: dir.container(&container.name),
        essential: container.essential,
        depends_on: depends_on.collect(),
        start_timeout_millis: (container.start_timeout_secs > 0)
            .then(|| millis(container.start_timeout_secs)),
        stop_timeout_millis: millis(container.stop_timeout_secs),
        stop_signal: stop_signal.unwrap_or_else(|| "SIGTERM".to_owned()),
        health_check: container
            .health_check
            .as_ref()
            .map(|check| shim::HealthCheckSpec {
                command: check.command.clone(),
                interval_millis: millis(check.interval_secs),
                timeout_millis: millis(check.timeout_secs),
                retries: check.retries,
                start_period_millis: millis(check.start_period_secs),
            }),
        restart_policy: container
            .restart_policy
            .as_ref()
            .map(|policy| shim::RestartPolicySpec {
                ignored_exit_codes: policy.ignored_exit_codes.clone(),
                restart_attempt_period_millis: millis(policy.restart_attempt_period_secs),
            }),
        log,
        stdin_open: container.interactive,
        terminal: container.pseudo_terminal,
    }
}
