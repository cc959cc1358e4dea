//! The router: a network namespace of this node in which everything ends that tasks and load balancers send.
//!
//! Their devices, the firewall's table, the routes and the flows that the kernel remembers are all in there. So the
//! machine's own firewall neither sees what tasks say to each other nor has to be changed for it, the machine's
//! forwarding switches stay as they are, and a table of flows that a task fills is not the machine's. One veth pair
//! leads to the machine ([`super::uplink`]).

use super::{
    NetworkError, Result,
    error::Doing,
    forwarding,
    links::{LOOPBACK_INDEX, Links},
    netns,
};
use std::{
    fs::File,
    path::{Path, PathBuf},
    sync::Arc,
};

/// This node's router. It stays when the process ends.
#[derive(Clone)]
pub struct Router {
    path: PathBuf,
    pub links: Arc<Links>,
}

impl Router {
    /// The second answer: whether it is new.
    pub async fn find_or_make(run_dir: &Path) -> Result<(Router, bool)> {
        let path = run_dir.join("router");
        let new = !netns::is_mounted(&path);
        if new {
            // A process that died between the file and the mount leaves a mere file.
            netns::remove(&path)?;
            netns::create(path.clone()).await?;
        }
        let links = netns::within(path.clone(), || {
            forwarding::prepare_router()?;
            Links::connect()
        })
        .await?;
        links.up(LOOPBACK_INDEX, "").await?;
        let links = links.into();
        Ok((Router { path, links }, new))
    }

    /// For netlink, which names namespaces by an open file.
    pub fn file(&self) -> Result<File> {
        File::open(&self.path).doing(|| format!("open {}", self.path.display()))
    }

    /// Runs work that makes sockets or starts processes in the router.
    pub async fn within<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> Result<T, NetworkError> + Send + 'static,
    ) -> Result<T> {
        netns::within(self.path.clone(), work).await
    }

    /// Everything in it goes with it.
    pub fn remove(self) -> Result<()> {
        netns::remove(&self.path)
    }
}
