//! The node's process: its tasks, its connection to the control plane, and what it takes over from the process that
//! ran before it.
//!
//! Owners: a task's directory and report belong to its [`task::TaskActor`]; the table of actors, the network and the
//! image store to [`Host`]; the connection to [`link`]. Everything here may be killed at any instant: what must survive
//! is in the tasks' directories, and [`adopt`] makes actors of it again.

mod adopt;
mod bundle;
pub mod config;
mod cpus;
mod files;
mod host_paths;
mod link;
mod load_balancers;
mod logs;
mod processes;
mod reports;
mod shim_link;
mod shims;
mod start;
mod storage;
mod strays;
mod task;
mod turns;
mod unlinked;
mod volumes;
mod walls;

use std::collections::{HashMap, HashSet};
use std::future::Future;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use neargate_cgroup::Cgroups;
use neargate_files::private;
use neargate_files::tree::remove_tree;
use neargate_node_api as node;
use parking_lot::Mutex;
use tokio::sync::watch;

use self::config::{AgentConfig, Identity, Paths};
use self::host_paths::HostPaths;
use self::load_balancers::LoadBalancers;
use self::logs::LogShipper;
use self::reports::Reports;
use self::task::{Entry, TaskActor, TaskHandle, Wanted};
use self::walls::Wall;
use crate::images::{GcPolicy, ImageStore, Limits};
use crate::network::{Network, NetworkConfig};

/// How long a new task waits for the policy that names its security groups. The policy is on its way when the task
/// arrives; this only ends the wait for one that never comes.
const POLICY_WAIT: Duration = Duration::from_secs(30);
/// How long a shim may take to end once its result was taken.
const SHIM_EXIT_WAIT: Duration = Duration::from_secs(5);
/// How long a task may take to end after all of its containers' time to stop, before the node ends it by its control
/// group: more than a busy machine needs for what the shim does between two containers.
const STOP_GRACE: Duration = Duration::from_secs(30);
const IMAGE_GC_INTERVAL: Duration = Duration::from_secs(600);

/// Everything of the machine that tasks share.
pub struct Host {
    pub config: AgentConfig,
    pub identity: Identity,
    pub paths: Paths,
    pub images: ImageStore,
    pub network: Network,
    pub cgroups: Cgroups,
    pub swap_accounting: bool,
    pub reports: Reports,
    pub logs: LogShipper,
    /// Counts the policies that were applied, for tasks that wait for one.
    pub policies: watch::Sender<u64>,
    pub load_balancers: LoadBalancers,
    pub storage: storage::Counter,
    host_paths: HostPaths,
    walls: [Wall; 2],
    tasks: Mutex<HashMap<String, TaskHandle>>,
    /// ARNs of tasks that an earlier process had begun to make, by id: they wait for the server to send them again.
    half_made: Mutex<HashMap<String, String>>,
}

#[derive(Debug, thiserror::Error)]
pub enum AgentError {
    #[error("the node's directory {path}: {source}")]
    Directory {
        path: String,
        source: std::io::Error,
    },
    #[error("another node process uses the data directory {0}")]
    InUse(String),
    #[error(transparent)]
    Images(#[from] crate::images::OpenError),
    #[error(transparent)]
    Network(#[from] crate::network::NetworkError),
    #[error(transparent)]
    Cgroup(#[from] neargate_cgroup::CgroupError),
}

/// Runs a node until `shutdown` ends.
pub async fn run(
    config: AgentConfig,
    shutdown: impl Future<Output = ()>,
) -> Result<(), AgentError> {
    let host = Arc::new(Host::open(config).await?);
    let load_balancers = adopt::adopt_all(&host).await?;
    let load_balancers = tokio::spawn(load_balancers::keep(host.clone(), load_balancers));
    let link = tokio::spawn(link::keep_connected(host.clone()));
    tokio::select! {
        () = shutdown => {}
        () = collect_images(&host) => {}
        () = host.storage.watch_disk(&host.paths.tasks) => {}
    }
    let clean = host.config.clean_on_exit;
    if clean {
        // Still connected: the server hears how they end, and takes their last log lines.
        stop_tasks(&host).await;
    }
    for task in [link, load_balancers] {
        task.abort();
        // Ends as cancelled, which is what was asked for.
        let _ = task.await;
    }
    if clean { close(host).await } else { Ok(()) }
}

impl Host {
    async fn open(config: AgentConfig) -> Result<Self, AgentError> {
        let directory = |path: &Path| {
            let path = path.display().to_string();
            move |source| AgentError::Directory { path, source }
        };
        let identity =
            Identity::load_or_create(&config.data_dir).map_err(directory(&config.data_dir))?;
        let paths = Paths::new(&config, &identity);
        private::tighten(&config.data_dir, &|path| {
            is_of_containers(&config.data_dir, path)
        })
        .map_err(directory(&config.data_dir))?;
        // Of all instances on this machine, which are root's all.
        let all = paths.run.parent().unwrap_or(&paths.run);
        let runtime = paths.runtime_root();
        for path in [all, &paths.run, &runtime, &paths.tasks, &paths.images] {
            private::make_dir(path).map_err(directory(path))?;
        }
        let walls = [
            Wall::new(&paths.images, &paths.run, "images"),
            Wall::new(&paths.tasks, &paths.run, "tasks"),
        ];
        for wall in &walls {
            wall.raise().map_err(directory(&config.data_dir))?;
        }
        let images =
            ImageStore::open(&paths.images, Limits::default()).map_err(|error| match error {
                crate::images::OpenError::InUse(path) => AgentError::InUse(path),
                other => other.into(),
            })?;
        let network_config = NetworkConfig {
            instance: identity.instance.clone(),
            run_dir: paths.run.clone(),
            resolv_conf: "/etc/resolv.conf".into(),
        };
        let network = Network::open(network_config).await?;
        let cgroups = Cgroups::detect(&identity.instance)?;
        let swap_accounting = swap_accounting();
        let load_balancers = LoadBalancers::new(&paths.run);
        Ok(Self {
            identity,
            paths,
            images,
            network,
            cgroups,
            swap_accounting,
            reports: Reports::default(),
            logs: LogShipper::default(),
            policies: watch::Sender::new(0),
            load_balancers,
            storage: storage::Counter::default(),
            host_paths: HostPaths::new(&config),
            walls,
            tasks: Mutex::default(),
            half_made: Mutex::default(),
            config,
        })
    }

    /// Takes over a message from the server.
    async fn take_desired(self: &Arc<Self>, desired: node::Desired) {
        if let Some(policy) = &desired.network_policy {
            match self.network.apply_policy(policy).await {
                Ok(()) => self.policies.send_modify(|count| *count += 1),
                Err(error) => {
                    tracing::error!(%error, "the network policy could not be applied; the earlier one stays")
                }
            }
        }
        self.load_balancers.take_desired(self, &desired).await;
        let mut named = HashSet::new();
        for task in desired.tasks {
            let Some(task_id) = task_id_of(&task.task_arn) else {
                continue;
            };
            named.insert(task_id.clone());
            self.want(task_id, task);
        }
        for arn in &desired.forget_task_arns {
            if let Some(task_id) = task_id_of(arn) {
                self.forget(&task_id);
            }
        }
        if desired.full {
            let unknown: Vec<String> = self
                .tasks
                .lock()
                .keys()
                .chain(self.half_made.lock().keys())
                .filter(|id| !named.contains(*id))
                .cloned()
                .collect();
            for task_id in unknown {
                self.forget(&task_id);
            }
        }
    }

    fn want(self: &Arc<Self>, task_id: String, task: node::TaskDesired) {
        let wanted = if task.stop { Wanted::Stop } else { Wanted::Run };
        let mut tasks = self.tasks.lock();
        if let Some(handle) = tasks.get(&task_id) {
            // A stop is never taken back.
            handle.wanted.send_if_modified(|current| {
                let changed = wanted > *current;
                *current = wanted.max(*current);
                changed
            });
            return;
        }
        let Some(spec) = task.spec else { return };
        self.half_made.lock().remove(&task_id);
        let report = task::first_report(&task.task_arn, &spec);
        let handle = TaskActor::spawn(
            self.clone(),
            task_id.clone(),
            spec,
            report,
            Entry::New,
            wanted,
        );
        tasks.insert(task_id, handle);
    }

    fn forget(&self, task_id: &str) {
        if let Some(handle) = self.tasks.lock().get(task_id) {
            handle.wanted.send_replace(Wanted::Forget);
            return;
        }
        if let Some(arn) = self.half_made.lock().remove(task_id) {
            self.reports.remove(&arn);
            if let Err(error) = remove_tree(&self.paths.task(task_id)) {
                tracing::warn!(task = task_id, %error, "a task's directory could not be removed");
            }
        }
    }

    /// Keeps the server's knowledge of a task that shall be made again.
    fn half_made(&self, task_id: &str, report: &node::TaskObserved) {
        self.half_made
            .lock()
            .insert(task_id.to_owned(), report.task_arn.clone());
        self.reports.put(report.clone());
    }

    /// An actor has removed the last of its task.
    fn forgotten(&self, task_id: &str) {
        self.tasks.lock().remove(task_id);
    }

    fn adopt(&self, task_id: String, handle: TaskHandle) {
        self.tasks.lock().insert(task_id, handle);
    }
}

/// Whether memory limits can count swap too. Kernels before 5.8 need a boot parameter for that, and cgroup v2 has it in
/// every group but the root.
fn swap_accounting() -> bool {
    std::path::Path::new("/sys/fs/cgroup/memory/memory.memsw.limit_in_bytes").exists()
        || std::path::Path::new("/sys/fs/cgroup/cgroup.controllers").exists()
}

/// Removes unused images now and then.
async fn collect_images(host: &Host) {
    loop {
        tokio::time::sleep(IMAGE_GC_INTERVAL).await;
        let in_use = host
            .reports
            .image_digests_in_use()
            .iter()
            .filter_map(|d| d.parse().ok())
            .collect();
        match host
            .images
            .collect_garbage(in_use, SystemTime::now(), GcPolicy::default())
            .await
        {
            Ok(report) if report.layers > 0 => {
                tracing::info!(
                    layers = report.layers,
                    bytes = report.bytes,
                    "unused layers were removed"
                );
            }
            Ok(_) => {}
            Err(error) => tracing::warn!(%error, "unused layers could not be removed"),
        }
    }
}

/// Stops every task as a user would, and waits until the last has ended.
async fn stop_tasks(host: &Host) {
    let handles: Vec<TaskHandle> = host
        .tasks
        .lock()
        .drain()
        .map(|(_, handle)| handle)
        .collect();
    for handle in &handles {
        handle.wanted.send_replace(Wanted::Forget);
    }
    for handle in handles {
        if let Err(error) = handle.done.await {
            tracing::error!(%error, "a task could not be stopped in order");
        }
    }
}

/// Leaves nothing on the host but the data directory.
async fn close(host: Arc<Host>) -> Result<(), AgentError> {
    if let Err(error) = host.cgroups.remove_instance() {
        tracing::warn!(%error, "control groups are left");
    }
    for wall in &host.walls {
        if let Err(error) = wall.remove() {
            tracing::warn!(%error, "a mount of the node's directory is left");
        }
    }
    let run = host.paths.run.clone();
    // Actors and the link have ended, and nobody else keeps the host.
    match Arc::try_unwrap(host) {
        Ok(host) => host.network.close().await?,
        Err(_) => tracing::error!("the network is in use and stays; the next start sweeps it"),
    }
    remove_tree(&run).map_err(|source| AgentError::Directory {
        path: run.display().to_string(),
        source,
    })
}

/// What of a node's directory belongs to images and containers, whose modes are theirs.
fn is_of_containers(data_dir: &Path, path: &Path) -> bool {
    let Ok(path) = path.strip_prefix(data_dir) else {
        return false;
    };
    let names: Vec<_> = path
        .iter()
        .map(|name| name.to_str().unwrap_or(""))
        .collect();
    matches!(
        names[..],
        ["images", "empty" | "tmp"]
            | ["images", "layers", _, "fs"]
            | ["tasks", _, "volumes" | "network", _]
            | ["tasks", _, "containers", _, "rootfs" | "upper" | "work"]
    )
}

/// `arn:aws:ecs:<region>:<account>:task/<cluster>/<id>`; the id names directories, so it must have its form.
fn task_id_of(task_arn: &str) -> Option<String> {
    let id = task_arn.rsplit('/').next()?;
    neargate_domain::id::is_task_id(id).then(|| id.to_owned())
}

fn now_millis() -> i64 {
    jiff::Timestamp::now().as_millisecond()
}
