//! The network of a node: task namespaces, addresses, routes, names and the firewall.
//!
//! A task is a network namespace with one device, a veth pair whose other end is in the [`router`]. That routes between
//! them, it does not bridge, so every packet passes the firewall ([`rules`]). Nothing here knows containers, so an
//! address of a load balancer is a namespace of the same kind, named after its interface. What the [`machine`] itself
//! needs is little: a pair of devices, routes, and a way to the world for tasks with public addresses.
//!
//! The calls of a node's life, in order: [`Network::open`]; [`Network::existing`] and [`Network::adopt`] for each task
//! that still runs; [`Network::sweep`]; then policies and tasks as they come; [`Network::close`] at a clean stop. After
//! a `kill -9` the namespaces, routes and the table stay as they are, and tasks talk on. For one task the caller makes
//! one call at a time; calls for different tasks may be made together.

mod attach;
mod book;
mod conntrack;
mod dns;
mod error;
mod files;
mod firewall;
mod flows;
mod forwarding;
mod links;
mod machine;
mod model;
mod netns;
mod policy;
mod program;
mod relays;
mod router;
mod routes;
mod rules;
mod ruleset;
mod state;
mod teardown;
mod upgrade;
mod uplink;
mod vpc;

pub use error::{NetworkError, Result};
pub use files::{TaskFiles, task_files};
pub use machine::firewalls;
pub use rules::{METADATA, METADATA_PORT, RESOLVER};

use book::{Book, Place};
use error::Doing;
use firewall::{Change, Firewall};
use links::Links;
use machine::Machine;
use model::TaskId;
use neargate_node_api as proto;
use policy::Policy;
use router::Router;
use rules::Model;
use state::Saved;
use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    net::Ipv4Addr,
    path::PathBuf,
    sync::Arc,
};
use teardown::Reaper;
use tokio::sync::{Mutex, Semaphore};

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
    router: Router,
    machine: Machine,
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
        let saved: Saved = state::load(&state_path(&config))?.unwrap_or_default();

        let (router, new) = Router::find_or_make(&config.run_dir).await?;
        let links = Links::connect()?;
        let named = (config.instance.as_str(), group);
        upgrade::take_over(&links, &router, named, &config.run_dir).await?;
        let machine = Machine::open(links, router.clone(), named, &config.run_dir).await?;
        let uplink = machine.uplink().await;
        let place = Place {
            router: &router,
            address: uplink.router,
            resolv_conf: &config.resolv_conf,
        };
        let book = Book::open(saved, place).await?;
        machine.lead_ranges(book.ranges()).await?;
        let bound = blocking(|| Ok(flows::per_task())).await?;
        let model = Model {
            device_groups: [group, !group],
            router_address: uplink.router,
            machine_address: uplink.machine,
            full: BTreeSet::new(),
            policy: Arc::new(book.saved.policy.clone()),
            vpcs: book.firewall_vpcs(),
            tasks: BTreeMap::new(),
        };
        let firewall = Firewall::start(router.clone(), table_name(&config.instance), model, bound);
        if new {
            // Nothing passes before the rules are there, also of devices that an earlier release had elsewhere.
            firewall.apply(vec![Change::Rebuild]).await?;
        }
        let reaper = Reaper::start(router.clone(), uplink.router, !group);
        Ok(Network {
            config,
            group,
            node_address: uplink.router,
            router,
            machine,
            firewall,
            reaper,
            book: Mutex::new(book),
            turns: Semaphore::new(MAX_ATTACHING),
        })
    }

    /// The node's own address towards its tasks, in the router: where the services listen that they see under
    /// link-local addresses.
    pub fn node_address(&self) -> Ipv4Addr {
        self.node_address
    }

    /// What the machine has of this node's tasks.
    pub async fn existing(&self) -> Result<Vec<ExistingTask>> {
        teardown::existing(&self.router.links, self.group, &self.netns_dir()).await
    }

    /// Replaces the security groups and their members: one transaction, effective for new flows at once.
    pub async fn apply_policy(&self, policy: &proto::NetworkPolicy) -> Result<()> {
        let policy = Policy::try_from(policy)?;
        // Their tasks go out as those with public addresses do.
        if !policy.translated.is_empty() {
            self.machine.open_world().await?;
        }
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
        blocking(move || state::store(&saved, &path)).await
    }

    fn place(&self) -> Place<'_> {
        Place {
            router: &self.router,
            address: self.node_address,
            resolv_conf: &self.config.resolv_conf,
        }
    }

    fn netns_dir(&self) -> PathBuf {
        self.config.run_dir.join("netns")
    }

    fn netns_path(&self, task: &TaskId) -> PathBuf {
        self.netns_dir().join(task.as_str())
    }
}

/// In the router, and on the machine.
fn table_name(instance: &str) -> String {
    format!("inet neargate-{instance}")
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
