//! The network of a node: task namespaces, addresses, routes, names and the firewall.
//!
//! A task is a network namespace with one device, a veth pair whose other end is on the machine. The machine routes
//! between them, it does not bridge, so every packet passes the firewall ([`rules`]). Nothing here knows containers, so an address of a
//! load balancer is a namespace of the same kind, named after its interface.
//!
//! The calls of a node's life, in order: [`Network::open`]; [`Network::existing`] and [`Network::adopt`] for each task
//! that still runs; [`Network::sweep`]; then policies and tasks as they come; [`Network::close`] at a clean stop. After
//! a `kill -9` the namespaces, routes and the table stay as they are, and tasks talk on. For one task the caller makes
//! one call at a time; calls for different tasks may be made together.

mod attach;
mod book;
mod dns;
mod error;
mod files;
mod firewall;
mod foreign;
mod forwarding;
mod links;
mod model;
mod netns;
mod node_device;
mod policy;
mod relays;
mod routes;
mod rules;
mod ruleset;
mod state;
mod teardown;
mod vpc;

pub use error::{NetworkError, Result};
pub use files::{TaskFiles, task_files};
pub use foreign::dropping_chains;
pub use rules::{METADATA, METADATA_PORT, RESOLVER};

use book::Book;
use error::Doing;
use firewall::{Change, Firewall};
use links::Links;
use model::{TaskId, VpcId};
use neargate_node_api as proto;
use policy::Policy;
use rules::Model;
use state::Saved;
use std::{collections::BTreeMap, fs, net::Ipv4Addr, path::PathBuf, sync::Arc};
use teardown::Reaper;
use tokio::sync::{Mutex, Semaphore};
use vpc::mark;

/// Networks being made at once; more wait. Each has a thread for some of the time, and the kernel makes one device at
/// a time anyway.
const MAX_ATTACHING: usize = 64;

/// Where and as whom a node keeps its network.
#[derive(Debug, Clone)]
pub struct NetworkConfig {
    /// 8 hex digits, made once per data directory: the name of the table and the group of the devices.
    pub instance: String,
    /// `/run/neargate/<instance>`: lost at a reboot, as the network is.
    pub run_dir: PathBuf,
    /// The machine's `/etc/resolv.conf`: who answers the questions of tasks that we cannot.
    pub resolv_conf: PathBuf,
}

/// A task's namespace, ready for its containers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NetnsHandle {
    /// For `linux.namespaces[].path` of the containers.
    pub path: PathBuf,
    /// False when the machine itself has a network with the task's address, or another VPC's task got it first:
    /// then tasks reach it, but not the machine.
    pub reachable_from_host: bool,
}

/// What is on the machine of a task, whole or not.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ExistingTask {
    pub task_id: String,
    pub has_namespace: bool,
    pub has_device: bool,
}

/// The network of this node.
pub struct Network {
    config: NetworkConfig,
    /// The group of all our devices: the instance as a number.
    group: u32,
    node_address: Ipv4Addr,
    links: Arc<Links>,
    firewall: Firewall,
    reaper: Reaper,
    /// Held while VPCs, addresses and the policy change, not while a namespace is built.
    book: Mutex<Book>,
    turns: Semaphore,
}

impl Network {
    /// Takes over what an earlier process left, or starts from nothing.
    pub async fn open(config: NetworkConfig) -> Result<Network> {
        let group = Some(&config.instance)
            .filter(|text| text.len() == 8)
            .and_then(|text| u32::from_str_radix(text, 16).ok())
            .filter(|&group| group != 0 && group != u32::MAX)
            .ok_or_else(|| NetworkError::Invalid {
                what: "instance",
                value: config.instance.clone(),
                reason: "it must be 8 hex digits, not all 0 or all f".into(),
            })?;
        let directory = config.run_dir.join("netns");
        fs::create_dir_all(&directory).doing(|| format!("create {}", directory.display()))?;
        let saved = Saved::load(&state_path(&config))?.unwrap_or_default();

        let links = Arc::new(Links::connect()?);
        let node_address = node_device::find_or_make(&links, &config.instance, group).await?;
        let book = Book::open(saved, &links, node_address, &config.resolv_conf).await?;
        let model = Model {
            device_groups: [group, !group],
            node_address,
            policy: Arc::new(book.saved.policy.clone()),
            vpcs: book.firewall_vpcs(),
            tasks: BTreeMap::new(),
            opened_uplinks: book.saved.opened_uplinks.clone(),
        };
        tokio::spawn(foreign::warn());
        let firewall = Firewall::start(table_name(&config), model);
        let reaper = Reaper::start(links.clone(), !group);
        Ok(Network {
            config,
            group,
            node_address,
            links,
            firewall,
            reaper,
            book: Mutex::new(book),
            turns: Semaphore::new(MAX_ATTACHING),
        })
    }

    /// The node's own address towards its tasks: the source of what the machine sends them, and where the services
    /// listen that tasks see under link-local addresses.
    pub fn node_address(&self) -> Ipv4Addr {
        self.node_address
    }

    /// The mark that leads packets of a socket (SO_MARK) into a VPC, also where another VPC has the same addresses.
    pub async fn vpc_mark(&self, vpc_id: &str) -> Option<u32> {
        let id: VpcId = vpc_id.parse().ok()?;
        Some(mark(self.book.lock().await.saved.vpcs.get(&id)?.number))
    }

    /// What the machine has of this node's tasks.
    pub async fn existing(&self) -> Result<Vec<ExistingTask>> {
        teardown::existing(&self.links, self.group, &self.netns_dir()).await
    }

    /// Replaces the security groups and their members: one transaction, effective for new flows at once.
    pub async fn apply_policy(&self, policy: &proto::NetworkPolicy) -> Result<()> {
        let policy = Policy::try_from(policy)?;
        let mut book = self.book.lock().await;
        if book.saved.policy == policy {
            return self.firewall.apply(Vec::new()).await;
        }
        self.firewall
            .apply(vec![Change::Policy(Arc::new(policy.clone()))])
            .await?;
        book.saved.policy = policy;
        self.save(&book.saved).await
    }

    /// Replaces the names that tasks resolve beside those that each VPC has by itself.
    pub async fn apply_names(&self, records: &proto::DnsRecords) -> Result<()> {
        self.book.lock().await.names.replace(records)
    }

    async fn save(&self, saved: &Saved) -> Result<()> {
        let (saved, path) = (saved.clone(), state_path(&self.config));
        blocking(move || saved.store(&path)).await
    }

    fn netns_dir(&self) -> PathBuf {
        self.config.run_dir.join("netns")
    }

    fn netns_path(&self, task: &TaskId) -> PathBuf {
        self.netns_dir().join(task.as_str())
    }
}

fn table_name(config: &NetworkConfig) -> String {
    format!("inet neargate-{}", config.instance)
}

fn state_path(config: &NetworkConfig) -> PathBuf {
    config.run_dir.join("network.json")
}

/// Runs work that waits for the kernel's files off the runtime's threads.
async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T> + Send + 'static,
) -> Result<T> {
    tokio::task::spawn_blocking(work)
        .await
        .unwrap_or(Err(NetworkError::Closed))
}
