//! The addresses of load balancers on this node: a network namespace for each, in which the load balancer process makes
//! its sockets.
//!
//! One worker brings what is there to what is wanted, and again whenever that or the security groups change. What was
//! wanted last is kept beside the namespaces, under `/run`, so that a node that is killed adopts them without the
//! server; so are the names that tasks resolve.

use std::collections::{HashMap, HashSet};
use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::join_all;
use neargate_node_api as node;
use parking_lot::Mutex;
use prost::Message as _;
use tokio::sync::watch;

use super::Host;

/// Pause before an interface is tried again that could not be made, unless something changes sooner.
const RETRY_PAUSE: Duration = Duration::from_secs(1);

/// What the control plane wants; `None` until it has said so.
type Wanted = Option<Arc<node::LoadBalancerInterfaces>>;

pub struct LoadBalancers {
    wanted: watch::Sender<Wanted>,
    /// What is on disk: only the parts about load balancers.
    told: Mutex<node::Desired>,
    path: PathBuf,
}

impl LoadBalancers {
    pub fn new(run_dir: &std::path::Path) -> Self {
        Self {
            wanted: watch::Sender::new(None),
            told: Mutex::default(),
            path: run_dir.join("load-balancers.pb"),
        }
    }

    fn load(&self) -> io::Result<Option<node::Desired>> {
        match std::fs::read(&self.path) {
            Ok(bytes) => Ok(Some(node::Desired::decode(&*bytes)?)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Takes over what a message says of load balancers.
    pub async fn take_desired(&self, host: &Host, desired: &node::Desired) {
        if desired.load_balancer_interfaces.is_none() && desired.dns_records.is_none() {
            return;
        }
        if let Some(records) = &desired.dns_records
            && let Err(error) = host.network.apply_names(records).await
        {
            tracing::error!(%error, "names of load balancers could not be taken over; the earlier ones stay");
        }
        {
            let mut told = self.told.lock();
            if let Some(interfaces) = &desired.load_balancer_interfaces {
                told.load_balancer_interfaces = Some(interfaces.clone());
            }
            if let Some(records) = &desired.dns_records {
                told.dns_records = Some(records.clone());
            }
            if let Err(error) = neargate_files::replace(&self.path, &told.encode_to_vec()) {
                tracing::warn!(%error, "a restart of the node will not know its load balancers' addresses");
            }
        }
        if let Some(interfaces) = &desired.load_balancer_interfaces {
            self.wanted.send_replace(Some(Arc::new(interfaces.clone())));
        }
    }

    /// Takes over the namespaces of an earlier process. Answers the names of those that are whole.
    pub async fn adopt(&self, host: &Host) -> HashSet<String> {
        let saved = match self.load() {
            Ok(Some(saved)) => saved,
            Ok(None) => return HashSet::new(),
            Err(error) => {
                tracing::warn!(%error, "the addresses of load balancers are made anew");
                return HashSet::new();
            }
        };
        let mut adopted = HashSet::new();
        let interfaces = saved.load_balancer_interfaces.clone().unwrap_or_default();
        for interface in &interfaces.interfaces {
            match host.network.adopt(&interface.eni_id, interface).await {
                Ok(_) => {
                    adopted.insert(interface.eni_id.clone());
                }
                Err(error) => {
                    tracing::warn!(interface = interface.eni_id, %error, "an address of a load balancer is made anew");
                }
            }
        }
        if let Some(records) = &saved.dns_records
            && let Err(error) = host.network.apply_names(records).await
        {
            tracing::warn!(%error, "names of load balancers are unknown until the server tells them");
        }
        if saved.load_balancer_interfaces.is_some() {
            self.wanted.send_replace(Some(Arc::new(interfaces)));
        }
        *self.told.lock() = saved;
        adopted
    }
}

/// Makes and removes namespaces as they are wanted, for ever.
pub async fn keep(host: Arc<Host>, adopted: HashSet<String>) {
    let mut wanted = host.load_balancers.wanted.subscribe();
    let mut policies = host.policies.subscribe();
    let mut attached = adopted;
    loop {
        let now = wanted.borrow_and_update().clone();
        let whole = match now {
            Some(interfaces) => {
                policies.mark_unchanged();
                pass(&host, &interfaces, &mut attached).await
            }
            None => true,
        };
        // The senders live as long as the host, which this holds.
        tokio::select! {
            _ = wanted.changed() => {}
            _ = policies.changed(), if !whole => {}
            () = tokio::time::sleep(RETRY_PAUSE), if !whole => {}
        }
    }
}

/// One pass; whether all is as wanted.
async fn pass(
    host: &Host,
    wanted: &node::LoadBalancerInterfaces,
    attached: &mut HashSet<String>,
) -> bool {
    let wanted: HashMap<&str, &node::NetworkInterface> = wanted
        .interfaces
        .iter()
        .map(|interface| (interface.eni_id.as_str(), interface))
        .collect();
    let unwanted: Vec<String> = attached
        .iter()
        .filter(|id| !wanted.contains_key(id.as_str()))
        .cloned()
        .collect();
    let removed = join_all(unwanted.iter().map(|id| host.network.detach(id))).await;
    let mut whole = true;
    for (id, result) in unwanted.into_iter().zip(removed) {
        match result {
            Ok(()) => {
                attached.remove(&id);
            }
            Err(error) => {
                whole = false;
                tracing::warn!(interface = id, %error, "an address of a load balancer could not be removed; trying again");
            }
        }
    }
    let missing: Vec<_> = wanted
        .iter()
        .filter(|(id, _)| !attached.contains(**id))
        .collect();
    let made = join_all(
        missing
            .iter()
            .map(|(id, interface)| host.network.attach(id, interface)),
    )
    .await;
    for ((id, _), result) in missing.into_iter().zip(made) {
        match result {
            Ok(_) => {
                attached.insert((*id).to_owned());
            }
            Err(error) => {
                whole = false;
                tracing::warn!(interface = id, %error, "an address of a load balancer could not be made; trying again");
            }
        }
    }
    whole
}
