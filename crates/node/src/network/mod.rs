//! The network of a node: task namespaces, addresses, routes and the firewall.
//!
//! A task is a network namespace with one device, a veth pair whose other end is on the machine. The machine routes
//! between them, it does not bridge, so every packet passes the firewall ([`rules`]). Nothing here knows containers.
//!
//! The calls of a node's life, in order: [`Network::open`]; [`Network::existing`] and [`Network::adopt`] for each task
//! that still runs; [`Network::sweep`]; then policies and tasks as they come; [`Network::close`] at a clean stop. After
//! a `kill -9` the namespaces, routes and the table stay as they are, and tasks talk on. For one task the caller makes
//! one call at a time; calls for different tasks may be made together.

mod error;
mod files;
mod firewall;
mod forwarding;
mod links;
mod model;
mod netns;
mod rules;
mod ruleset;
mod state;
mod teardown;
mod vpc;

pub use error::{NetworkError, Result};
pub use files::{TaskFiles, task_files};
pub use rules::{METADATA, METADATA_PORT, RESOLVER};

use error::Doing;
use firewall::{Change, Firewall};
use ipnet::Ipv4Net;
use links::{HostRoute, Links};
use model::{Interface, Policy, TaskId, VpcId};
use neargate_node_api as proto;
use rules::{Model, Task, Vpc};
use state::Saved;
use std::{
    collections::{BTreeMap, HashMap, HashSet},
    fs,
    net::Ipv4Addr,
    path::{Path, PathBuf},
    sync::Arc,
};
use teardown::Reaper;
use tokio::sync::Mutex;
use vpc::mark;

/// Where and as whom a node keeps its network.
#[derive(Debug, Clone)]
pub struct NetworkConfig {
    /// 8 hex digits, made once per data directory: the name of the table and the group of the devices.
    pub instance: String,
    /// `/run/neargate/<instance>`: lost at a reboot, as the network is.
    pub run_dir: PathBuf,
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
}

/// Who has what.
struct Book {
    saved: Saved,
    tasks: HashMap<TaskId, Attached>,
    /// Whose task the machine reaches by an address.
    host_routes: HashMap<Ipv4Addr, TaskId>,
}

#[derive(Clone)]
struct Attached {
    interface: Interface,
    vpc: VpcId,
    /// 0 until the device exists.
    index: u32,
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
        let node_address = node_device(&links, &config.instance, group).await?;
        for vpc in saved.vpcs.values() {
            vpc::restore(&links, vpc).await?;
        }
        let model = Model {
            node_address,
            policy: Arc::new(saved.policy.clone()),
            vpcs: saved
                .vpcs
                .iter()
                .map(|(id, vpc)| (id.clone(), firewall_vpc(vpc)))
                .collect(),
            tasks: BTreeMap::new(),
            opened_uplinks: saved.opened_uplinks.clone(),
        };
        let firewall = Firewall::start(table_name(&config), model);
        let reaper = Reaper::start(links.clone(), !group);
        let book = Mutex::new(Book {
            saved,
            tasks: HashMap::new(),
            host_routes: HashMap::new(),
        });
        Ok(Network {
            config,
            group,
            node_address,
            links,
            firewall,
            reaper,
            book,
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

    /// Makes a task's namespace, device, address, routes and firewall membership. Until the firewall knows the task
    /// the host's end of its device is down. Attached already: the same answer again.
    pub async fn attach(
        &self,
        task_id: &str,
        interface: &proto::NetworkInterface,
    ) -> Result<NetnsHandle> {
        let task: TaskId = task_id.parse()?;
        let interface = Interface::try_from(interface)?;
        let path = self.netns_path(&task);
        if let Some(known) = self.book.lock().await.tasks.get(&task)
            && known.index != 0
        {
            return Ok(self.handle_of(&task).await);
        }
        let vpc = self.enroll(&task, &interface).await?;
        match self.build(&task, &interface, &vpc, &path).await {
            Ok(()) => Ok(self.handle_of(&task).await),
            Err(error) => {
                if let Err(second) = self.detach(task_id).await {
                    tracing::warn!(task_id, error = %second, "half-made network not removed");
                }
                Err(error)
            }
        }
    }

    async fn build(
        &self,
        task: &TaskId,
        interface: &Interface,
        vpc: &VpcId,
        path: &Path,
    ) -> Result<()> {
        // Left by an attach that was cut off.
        self.remove_remains(task, &interface.eni.veth()).await?;
        if interface.public {
            self.open_uplinks().await?;
        }
        // The slowest step, nft, beside all that can be done while the host's end is down.
        let (index, ()) = tokio::try_join!(
            self.make_device(interface, path),
            self.admit(interface, vpc)
        )?;
        self.connect_host(task, interface, index).await
    }

    /// The namespace and the veth pair, the task's end set up, the host's end down.
    async fn make_device(&self, interface: &Interface, path: &Path) -> Result<u32> {
        let namespace = netns::create(path.to_owned()).await?;
        let veth = interface.eni.veth();
        let index = self
            .links
            .add_veth(&veth, self.group, &namespace.file, interface.mac)
            .await?;
        let prefix = interface.subnet.prefix_len();
        tokio::try_join!(
            namespace
                .links
                .configure_task(interface.address, prefix, interface.gateway),
            blocking(move || forwarding::prepare_veth(&veth)),
        )?;
        Ok(index)
    }

    /// Writes the task down, with its VPC. Refuses an address that somebody has.
    async fn enroll(&self, task: &TaskId, interface: &Interface) -> Result<VpcId> {
        let own = self.links.host_route(interface.address).await? == HostRoute::Own;
        let in_use = |holder: String| NetworkError::AddressInUse {
            address: interface.address,
            holder,
        };
        if own {
            return Err(in_use("this machine".into()));
        }
        let mut book = self.book.lock().await;
        let vpc = book.vpc_of(interface)?;
        let same = |(other, attached): &(&TaskId, &Attached)| {
            *other != task && attached.vpc == vpc && attached.interface.address == interface.address
        };
        if let Some((other, _)) = book.tasks.iter().find(same) {
            return Err(in_use(format!("task {other}")));
        }
        if !book.saved.vpcs.contains_key(&vpc) {
            let record =
                vpc::create(&self.links, &vpc, interface.vpc_cidr, &book.saved.vpcs).await?;
            book.saved.vpcs.insert(vpc.clone(), record);
            self.save(&book.saved).await?;
        }
        let attached = Attached {
            interface: interface.clone(),
            vpc: vpc.clone(),
            index: 0,
        };
        book.tasks.insert(task.clone(), attached);
        Ok(vpc)
    }

    /// Tells the firewall about a task.
    async fn admit(&self, interface: &Interface, vpc: &VpcId) -> Result<()> {
        let change = self.add_task_change(interface, vpc).await?;
        self.firewall.apply(vec![change]).await
    }

    async fn add_task_change(&self, interface: &Interface, vpc: &VpcId) -> Result<Change> {
        let book = self.book.lock().await;
        let record = book.saved.vpcs.get(vpc).ok_or(NetworkError::Closed)?;
        let task = Task {
            eni: interface.eni.clone(),
            vpc: vpc.clone(),
            address: interface.address,
            public: interface.public,
            groups: interface.groups.clone(),
        };
        Ok(Change::AddTask {
            veth: interface.eni.veth(),
            task: task.into(),
            vpc: (vpc.clone(), firewall_vpc(record)),
        })
    }

    /// Opens the host's end: up, its neighbour, the route in the VPC's table and, where it may be, in the machine's.
    async fn connect_host(&self, task: &TaskId, interface: &Interface, index: u32) -> Result<()> {
        self.links.up(index, task.as_str()).await?;
        self.links
            .add_neighbour(index, interface.address, interface.mac)
            .await?;
        self.add_routes(task, interface.address, index).await
    }

    async fn add_routes(&self, task: &TaskId, address: Ipv4Addr, index: u32) -> Result<()> {
        let table = {
            let mut book = self.book.lock().await;
            let attached = book.tasks.get_mut(task).ok_or(NetworkError::Closed)?;
            attached.index = index;
            let vpc = attached.vpc.clone();
            mark(
                book.saved
                    .vpcs
                    .get(&vpc)
                    .ok_or(NetworkError::Closed)?
                    .number,
            )
        };
        self.links.add_task_route(address, index, table).await?;
        let route = self.links.host_route(address).await?;
        let free = route == HostRoute::Elsewhere || route == HostRoute::Connected(index);
        if free
            && (route == HostRoute::Connected(index)
                || self
                    .links
                    .add_host_route(address, index, self.node_address)
                    .await?)
        {
            self.book
                .lock()
                .await
                .host_routes
                .insert(address, task.clone());
        } else {
            tracing::warn!(%task, %address, "this machine has another way to the task's address and cannot reach the task");
        }
        Ok(())
    }

    async fn handle_of(&self, task: &TaskId) -> NetnsHandle {
        let book = self.book.lock().await;
        let reachable_from_host = book.host_routes.values().any(|owner| owner == task);
        NetnsHandle {
            path: self.netns_path(task),
            reachable_from_host,
        }
    }

    /// What the machine has of this node's tasks.
    pub async fn existing(&self) -> Result<Vec<ExistingTask>> {
        teardown::existing(&self.links, self.group, &self.netns_dir()).await
    }

    /// Takes over a task of an earlier process. Its traffic goes on undisturbed; the firewall is written anew with the
    /// next [`Network::sweep`], policy or task, so adopt all tasks first.
    pub async fn adopt(
        &self,
        task_id: &str,
        interface: &proto::NetworkInterface,
    ) -> Result<NetnsHandle> {
        let task: TaskId = task_id.parse()?;
        let interface = Interface::try_from(interface)?;
        let gone = |reason| NetworkError::NotFound {
            task_id: task_id.to_owned(),
            reason,
        };
        if !netns::is_mounted(&self.netns_path(&task)) {
            return Err(gone("its namespace is not mounted"));
        }
        let link = self
            .links
            .find(&interface.eni.veth())
            .await?
            .filter(|link| link.group == self.group);
        // The alias is given last: without it the device was never finished.
        let link = link
            .filter(|link| link.alias.as_deref() == Some(task_id))
            .ok_or(gone("its device is not there"))?;
        let vpc = {
            let mut book = self.book.lock().await;
            let vpc = book.vpc_of(&interface)?;
            if !book.saved.vpcs.contains_key(&vpc) {
                return Err(gone("its VPC has no routing table"));
            }
            let attached = Attached {
                interface: interface.clone(),
                vpc: vpc.clone(),
                index: link.index,
            };
            book.tasks.insert(task.clone(), attached);
            vpc
        };
        let change = self.add_task_change(&interface, &vpc).await?;
        self.firewall.note(vec![change]).await?;
        self.connect_host(&task, &interface, link.index).await?;
        Ok(self.handle_of(&task).await)
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

    /// Answers of the world come in by the uplinks.
    async fn open_uplinks(&self) -> Result<()> {
        let opened = blocking(forwarding::open_uplinks).await?;
        if opened.is_empty() {
            return Ok(());
        }
        let mut book = self.book.lock().await;
        book.saved.opened_uplinks.extend(opened);
        self.save(&book.saved).await?;
        self.firewall
            .note(vec![Change::OpenedUplinks(
                book.saved.opened_uplinks.clone(),
            )])
            .await
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

impl Book {
    /// A task's VPC is that of its security groups.
    fn vpc_of(&self, interface: &Interface) -> Result<VpcId> {
        let mut vpcs = HashSet::new();
        for id in &interface.groups {
            let group = self.saved.policy.groups.get(id);
            vpcs.insert(
                &group
                    .ok_or_else(|| NetworkError::UnknownSecurityGroup(id.to_string()))?
                    .vpc,
            );
        }
        let mut vpcs = vpcs.into_iter();
        match (vpcs.next(), vpcs.next()) {
            (Some(vpc), None) => Ok(vpc.clone()),
            _ => Err(NetworkError::Invalid {
                what: "network interface",
                value: interface.eni.to_string(),
                reason: "its security groups must be of one VPC".into(),
            }),
        }
    }
}

fn firewall_vpc(record: &vpc::VpcRecord) -> Vpc {
    Vpc {
        number: record.number,
        cidr: record.cidr,
        dns: None,
    }
}

fn table_name(config: &NetworkConfig) -> String {
    format!("inet neargate-{}", config.instance)
}

fn state_path(config: &NetworkConfig) -> PathBuf {
    config.run_dir.join("network.json")
}

/// Of 169.254.171.0/24, next to the ranges that AWS uses inside tasks.
const NODE_RANGE: Ipv4Net = Ipv4Net::new_assert(Ipv4Addr::new(169, 254, 171, 0), 24);

/// Finds or makes the device with the node's address. Each instance on a machine has an address of its own.
async fn node_device(links: &Links, instance: &str, group: u32) -> Result<Ipv4Addr> {
    let name = format!("ngn{instance}");
    let index = match links.find(&name).await? {
        Some(link) => link.index,
        None => links.add_holder(&name, group).await?,
    };
    blocking({
        let name = name.clone();
        move || forwarding::no_ipv6(&name)
    })
    .await?;
    links.up(index, "").await?;
    let taken = links.addresses().await?;
    if let Some((_, address)) = taken.iter().find(|(device, _)| *device == index) {
        return Ok(*address);
    }
    let first = group % 254;
    let mut candidates = (0..254)
        .map(|n| Ipv4Addr::from_bits(NODE_RANGE.network().to_bits() + 1 + (first + n) % 254));
    let address = candidates.find(|address| taken.iter().all(|(_, other)| other != address));
    let address = address.ok_or_else(|| NetworkError::AddressInUse {
        address: NODE_RANGE.network(),
        holder: format!("all of {NODE_RANGE}: other nodes on this machine"),
    })?;
    links.add_address(index, address, 32).await?;
    Ok(address)
}

/// Runs work that waits for the kernel's files off the runtime's threads.
async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T> + Send + 'static,
) -> Result<T> {
    tokio::task::spawn_blocking(work)
        .await
        .unwrap_or(Err(NetworkError::Closed))
}
