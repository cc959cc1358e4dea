//! Taking task networks away: one, those that nobody wants, or all.

use super::{
    ExistingTask, Network, NetworkError, Result, blocking,
    book::{Attached, Book},
    error::Doing,
    firewall::{self, Change},
    forwarding,
    links::Links,
    model::{TaskId, VpcId},
    netns, node_device, relays, state_path, table_name, vpc,
};
use std::{
    collections::{BTreeMap, BTreeSet, HashSet},
    fs, io,
    path::Path,
    sync::Arc,
};
use tokio::{
    sync::{mpsc, oneshot},
    task::JoinHandle,
};

/// Devices waiting to be deleted; further callers wait for room.
const MAX_WAITING: usize = 1024;

/// Deletes devices, all that wait at once: the kernel takes some 25 ms for one and no longer for a hundred.
pub struct Reaper {
    requests: mpsc::Sender<(u32, oneshot::Sender<Result<()>>)>,
    worker: JoinHandle<()>,
}

impl Drop for Reaper {
    fn drop(&mut self) {
        self.worker.abort();
    }
}

impl Reaper {
    /// `trash` is a device group that nothing else uses.
    pub fn start(links: Arc<Links>, trash: u32) -> Reaper {
        let (requests, mut receiver) = mpsc::channel(MAX_WAITING);
        let worker = tokio::spawn(async move {
            let mut batch = Vec::new();
            while receiver.recv_many(&mut batch, MAX_WAITING).await > 0 {
                let (indexes, answers): (Vec<u32>, Vec<oneshot::Sender<Result<()>>>) =
                    batch.drain(..).unzip();
                let result = links.delete(&indexes, trash).await;
                for done in answers {
                    // A caller that gave up does not want the answer.
                    let _ = done.send(result.clone());
                }
            }
        });
        Reaper { requests, worker }
    }

    async fn delete(&self, index: u32) -> Result<()> {
        let (done, result) = oneshot::channel();
        self.requests
            .send((index, done))
            .await
            .map_err(|_| NetworkError::Closed)?;
        result.await.map_err(|_| NetworkError::Closed)?
    }
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
        let attached = {
            let mut book = self.book.lock().await;
            book.host_routes.retain(|_, owner| *owner != task);
            book.tasks.remove(&task)
        };
        let Some(attached) = attached else {
            return self.remove_remains_of(&task).await;
        };
        let veth = attached.interface.eni.veth();
        self.remove_remains(&task, &veth).await?;
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
            relays::release(&self.links, &eni, number).await?;
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
            None => Ok(()),
        }
    }

    /// The namespace and the device, with all routes that lead to it.
    pub(super) async fn remove_remains(&self, task: &TaskId, veth: &str) -> Result<()> {
        let path = self.netns_path(task);
        blocking(move || netns::remove(&path)).await?;
        match self.links.find(veth).await? {
            Some(link) if link.group == self.group => self.reaper.delete(link.index).await,
            _ => Ok(()),
        }
    }

    /// The same for a task whose interface is not known.
    async fn remove_remains_of(&self, task: &TaskId) -> Result<()> {
        let path = self.netns_path(task);
        blocking(move || netns::remove(&path)).await?;
        for link in self.links.group(self.group).await? {
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
        let node_device = node_device::name(&self.config.instance);
        let unfinished = self.links.group(self.group).await?.into_iter();
        for link in unfinished.filter(|link| link.alias.is_none() && link.name != node_device) {
            self.reaper.delete(link.index).await?;
        }
        self.release_relays().await?;
        let mut book = self.book.lock().await;
        self.remove_unused_vpcs(&mut book, 0).await?;
        drop(book);
        self.firewall.apply(vec![Change::Rebuild]).await
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
            if let Some(record) = book.saved.vpcs.get(&id) {
                vpc::remove(&self.links, record).await?;
                book.saved.vpcs.remove(&id);
                book.resolvers.remove(&id);
            }
        }
        self.save(&book.saved).await
    }

    /// Removes everything that this node made on the machine. The tasks' processes must have ended.
    pub async fn close(self) -> Result<()> {
        let book = self.book.into_inner();
        let directory = self.config.run_dir.join("netns");
        for name in file_names(&directory)? {
            netns::remove(&directory.join(name))?;
        }
        self.links.delete_group(self.group).await?;
        self.links.delete_group(!self.group).await?;
        for record in book.saved.vpcs.values() {
            vpc::remove(&self.links, record).await?;
        }
        for (eni, &number) in &book.saved.relays {
            relays::release(&self.links, eni, number).await?;
        }
        forwarding::close_uplinks(&book.saved.opened_uplinks);
        drop(self.firewall);
        firewall::remove_table(&table_name(&self.config)).await?;
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
