//! Taking task networks away: one, those that nobody wants, or all.

use super::{
    ExistingTask, Network, NetworkError, Result, blocking,
    book::{Attached, Book},
    conntrack::Flow,
    error::Doing,
    firewall::Change,
    flows,
    links::Links,
    model::{TaskId, VpcId},
    netns, relays,
    router::Router,
    rules, state_path, vpc,
};
use std::{
    collections::{BTreeMap, BTreeSet, HashSet},
    fs, io,
    net::Ipv4Addr,
    path::Path,
};
use tokio::{
    sync::{mpsc, oneshot},
    task::JoinHandle,
};

/// Devices waiting to be deleted; further callers wait for room.
const MAX_WAITING: usize = 1024;

/// Deletes devices and ends flows, all that wait at once: the kernel takes some 25 ms for a device and no longer for a
/// hundred, and flows have to be listed whole.
pub struct Reaper {
    requests: mpsc::Sender<(Gone, oneshot::Sender<Result<()>>)>,
    worker: JoinHandle<()>,
}

/// What is left of a task.
#[derive(Debug, Default)]
pub struct Gone {
    device: Option<u32>,
    /// Its address, and the zones in which that meant it.
    flows: Option<(Ipv4Addr, Vec<u16>)>,
}

impl Drop for Reaper {
    fn drop(&mut self) {
        self.worker.abort();
    }
}

impl Reaper {
    /// `address` is the router's; `trash` is a device group that nothing else uses.
    pub fn start(router: Router, address: Ipv4Addr, trash: u32) -> Reaper {
        let (requests, mut receiver) = mpsc::channel(MAX_WAITING);
        let worker = tokio::spawn(async move {
            let mut batch = Vec::new();
            while receiver.recv_many(&mut batch, MAX_WAITING).await > 0 {
                let (gone, answers): (Vec<Gone>, Vec<oneshot::Sender<Result<()>>>) =
                    batch.drain(..).unzip();
                let result = reap((&router, address), gone, trash).await;
                for done in answers {
                    // A caller that gave up does not want the answer.
                    let _ = done.send(result.clone());
                }
            }
        });
        Reaper { requests, worker }
    }

    async fn take(&self, gone: Gone) -> Result<()> {
        let (done, result) = oneshot::channel();
        self.requests
            .send((gone, done))
            .await
            .map_err(|_| NetworkError::Closed)?;
        result.await.map_err(|_| NetworkError::Closed)?
    }

    async fn delete(&self, device: u32) -> Result<()> {
        let device = Some(device);
        self.take(Gone {
            device,
            flows: None,
        })
        .await
    }
}

/// Devices first: without them, no flow begins anew.
async fn reap((router, address): (&Router, Ipv4Addr), gone: Vec<Gone>, trash: u32) -> Result<()> {
    let devices: Vec<u32> = gone.iter().filter_map(|gone| gone.device).collect();
    router.links.delete(&devices, trash).await?;
    let over: BTreeSet<(u16, Ipv4Addr)> = gone
        .into_iter()
        .filter_map(|gone| gone.flows)
        .flat_map(|(address, zones)| zones.into_iter().map(move |zone| (zone, address)))
        .collect();
    if over.is_empty() {
        return Ok(());
    }
    let is_over = move |flow: &Flow| {
        let mut addresses = flow.addresses();
        addresses.any(|address| over.contains(&(flow.zone, address)))
    };
    flows::end(router, address, is_over).await
}

/// Namespaces by their files, devices by their group and alias.
pub async fn existing(links: &Links, group: u32, directory: &Path) -> Result<Vec<ExistingTask>> {
    let mut found: BTreeMap<String, (bool, bool)> = BTreeMap::new();
    for name in file_names(directory)? {
        let mounted = netns::is_mounted(&directory.join(&name));
        found.entry(name).or_default().0 = mounted;
    }
    for alias in links
        .group(group)
        .await?
        .into_iter()
        .filter_map(|link| link.alias)
    {
        found.entry(alias).or_default().1 = true;
    }
    let task = |(task_id, (has_namespace, has_device))| ExistingTask {
        task_id,
        has_namespace,
        has_device,
    };
    Ok(found.into_iter().map(task).collect())
}

fn file_names(directory: &Path) -> Result<Vec<String>> {
    let entries = match fs::read_dir(directory) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(error).doing(|| format!("list {}", directory.display())),
    };
    let names = entries.map(|entry| Ok(entry?.file_name().to_string_lossy().into_owned()));
    names
        .collect::<io::Result<_>>()
        .doing(|| format!("list {}", directory.display()))
}

impl Network {
    /// Removes everything of a task. Not there (any more) is fine.
    pub async fn detach(&self, task_id: &str) -> Result<()> {
        let task: TaskId = task_id.parse()?;
        let (attached, flows) = {
            let mut book = self.book.lock().await;
            let attached = book.tasks.remove(&task);
            let flows = attached.as_ref().map(|gone| book.flows_of(&task, gone));
            book.host_routes.retain(|_, owner| *owner != task);
            (attached, flows)
        };
        let Some(attached) = attached else {
            return self.remove_remains_of(&task).await;
        };
        let veth = attached.interface.eni.veth();
        self.remove_remains(&task, &veth, flows).await?;
        self.firewall
            .apply(vec![Change::RemoveTask { veth }])
            .await?;
        self.release_relays().await?;
        self.hand_over_host_route(&attached).await
    }

    /// Gives up the numbers of relaying interfaces that are gone.
    async fn release_relays(&self) -> Result<()> {
        let mut book = self.book.lock().await;
        let used: BTreeSet<_> = book
            .tasks
            .values()
            .map(|task| &task.interface.eni)
            .collect();
        let relays = book.saved.relays.iter();
        let unused: Vec<_> = relays
            .filter(|(eni, _)| !used.contains(eni))
            .map(|(eni, &number)| (eni.clone(), number))
            .collect();
        if unused.is_empty() {
            return Ok(());
        }
        for (eni, number) in unused {
            relays::release(&self.router.links, number).await?;
            book.saved.relays.remove(&eni);
        }
        self.save(&book.saved).await
    }

    /// A task of another VPC may have waited for the address.
    async fn hand_over_host_route(&self, gone: &Attached) -> Result<()> {
        let address = gone.interface.address;
        let heir = {
            let book = self.book.lock().await;
            let mut heirs = book
                .tasks
                .iter()
                .filter(|(_, other)| other.interface.address == address && other.index != 0);
            heirs
                .next()
                .map(|(task, other)| (task.clone(), other.index))
        };
        match heir {
            Some((task, index)) => self.add_routes(&task, address, index).await,
            None => self.machine.unlead_address(address).await,
        }
    }

    /// The namespace and the device, with all routes that lead to it, then the flows.
    pub(super) async fn remove_remains(
        &self,
        task: &TaskId,
        veth: &str,
        flows: Option<(Ipv4Addr, Vec<u16>)>,
    ) -> Result<()> {
        let path = self.netns_path(task);
        blocking(move || netns::remove(&path)).await?;
        let device = self.router.links.find(veth).await?;
        let device = device
            .filter(|link| link.group == self.group)
            .map(|link| link.index);
        match device.is_some() || flows.is_some() {
            true => self.reaper.take(Gone { device, flows }).await,
            false => Ok(()),
        }
    }

    /// The same for a task whose interface is not known.
    async fn remove_remains_of(&self, task: &TaskId) -> Result<()> {
        let path = self.netns_path(task);
        blocking(move || netns::remove(&path)).await?;
        for link in self.router.links.group(self.group).await? {
            if link.alias.as_deref() == Some(task.as_str()) {
                self.reaper.delete(link.index).await?;
            }
        }
        Ok(())
    }

    /// Removes what no record owns: every namespace, device and VPC but those of `keep`. Call it once after adopting.
    pub async fn sweep(&self, keep: &HashSet<String>) -> Result<()> {
        for task in self
            .existing()
            .await?
            .into_iter()
            .filter(|task| !keep.contains(&task.task_id))
        {
            // A file with a name that no task has is not ours to understand, but it is in our directory.
            match task.task_id.parse::<TaskId>() {
                Ok(_) => self.detach(&task.task_id).await?,
                Err(_) => netns::remove(&self.netns_dir().join(&task.task_id))?,
            }
        }
        // Devices that were never finished have no alias.
        let unfinished = self.router.links.group(self.group).await?.into_iter();
        for link in unfinished.filter(|link| link.alias.is_none()) {
            self.reaper.delete(link.index).await?;
        }
        self.release_relays().await?;
        let mut book = self.book.lock().await;
        self.remove_unused_vpcs(&mut book, 0).await?;
        drop(book);
        self.machine.sweep().await?;
        self.end_flows_of_nobody().await?;
        self.firewall.apply(vec![Change::Rebuild]).await
    }

    /// A process that was killed may have removed a task and not its flows.
    async fn end_flows_of_nobody(&self) -> Result<()> {
        let (ranges, taken) = {
            let book = self.book.lock().await;
            let vpcs = book.saved.vpcs.values();
            let ranges: Vec<_> = vpcs.map(|vpc| (vpc::zone(vpc.number), vpc.cidr)).collect();
            let taken: BTreeSet<_> = book
                .tasks
                .values()
                .filter_map(|task| {
                    let vpc = book.saved.vpcs.get(&task.vpc)?;
                    Some((vpc::zone(vpc.number), task.interface.address))
                })
                .collect();
            (ranges, taken)
        };
        let is_over = move |flow: &Flow| {
            let mut addresses = flow.addresses();
            addresses.any(|address| {
                let of_a_vpc = ranges
                    .iter()
                    .any(|(zone, range)| *zone == flow.zone && range.contains(&address));
                // The resolver's second address is nobody's.
                let resolver = ranges
                    .iter()
                    .any(|(_, range)| rules::resolver_of(*range) == address);
                of_a_vpc && !resolver && !taken.contains(&(flow.zone, address))
            })
        };
        flows::end(&self.router, self.node_address, is_over).await
    }

    /// Keeps at most `idle` VPCs that have no tasks.
    pub(super) async fn remove_unused_vpcs(&self, book: &mut Book, idle: usize) -> Result<()> {
        let used: BTreeSet<_> = book.tasks.values().map(|task| &task.vpc).collect();
        let unused = book.saved.vpcs.keys().filter(|vpc| !used.contains(vpc));
        let unused: Vec<VpcId> = unused.skip(idle).cloned().collect();
        if unused.is_empty() {
            return Ok(());
        }
        self.firewall
            .apply(vec![Change::RemoveVpcs(unused.clone())])
            .await?;
        for id in unused {
            if let Some(record) = book.saved.vpcs.remove(&id) {
                let shared = book.ranges().contains(&record.cidr);
                vpc::remove(&self.router.links, &record, shared).await?;
                book.resolvers.remove(&id);
            }
        }
        self.machine.lead_ranges(book.ranges()).await?;
        self.save(&book.saved).await
    }

    /// Removes everything that this node made on the machine. The tasks' processes must have ended.
    pub async fn close(self) -> Result<()> {
        let directory = self.config.run_dir.join("netns");
        for name in file_names(&directory)? {
            netns::remove(&directory.join(name))?;
        }
        self.machine.close().await?;
        // A namespace ends some time after the last that is in it; its devices shall not be seen until then.
        self.router.links.delete_group(self.group).await?;
        self.router.links.delete_group(!self.group).await?;
        drop((self.firewall, self.reaper, self.book));
        self.router.remove()?;
        let left = [
            fs::remove_file(state_path(&self.config)),
            fs::remove_dir(&directory),
        ];
        for error in left.into_iter().filter_map(io::Result::err) {
            if error.kind() != io::ErrorKind::NotFound {
                return Err(error).doing(|| format!("empty {}", self.config.run_dir.display()));
            }
        }
        Ok(())
    }
}
