//! Making a task's network, and taking over one that is there.

use super::{
    NetnsHandle, Network, NetworkError, Result,
    book::Attached,
    firewall::Change,
    links::{Links, TASK_DEVICE},
    model::{Interface, TaskId, VpcId},
    netns, relays,
    rules::Task,
    vpc::{MAX_IDLE_VPCS, mark},
};
use neargate_node_api as proto;
use std::{net::Ipv4Addr, path::Path};

impl Network {
    /// Makes a task's namespace, device, address, routes and firewall membership. Until the firewall knows the task
    /// the router's end of its device is down. Attached already: the same answer again.
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
        // Never closed.
        let _turn = self
            .turns
            .acquire()
            .await
            .map_err(|_| NetworkError::Closed)?;
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
        self.remove_remains(task, &interface.eni.veth(), None)
            .await?;
        if interface.public {
            self.machine.open_world().await?;
        }
        // The slowest step, nft, beside all that can be done while the router's end is down.
        let ((index, inside), ()) = tokio::try_join!(
            self.make_device(interface, path),
            self.admit(task, interface, vpc)
        )?;
        self.connect(task, interface, index).await?;
        // Both ends: the kernel starts a hundred devices at once, and the next hundred a second later.
        inside.await_device(TASK_DEVICE).await?;
        self.router.links.await_device(&interface.eni.veth()).await
    }

    /// The namespace and the veth pair, the task's end set up, the router's end down.
    async fn make_device(&self, interface: &Interface, path: &Path) -> Result<(u32, Links)> {
        let netns::Namespace { file, links } = netns::create(path.to_owned()).await?;
        let veth = interface.eni.veth();
        let index = self
            .router
            .links
            .add_veth(&veth, self.group, &file, (TASK_DEVICE, interface.mac))
            .await?;
        let prefix = interface.subnet.prefix_len();
        links
            .configure_task(interface.address, prefix, interface.gateway)
            .await?;
        if interface.relays {
            links.take_in_all(TASK_DEVICE).await?;
        }
        Ok((index, links))
    }

    /// Writes the task down, with its VPC. Refuses an address that somebody has.
    async fn enroll(&self, task: &TaskId, interface: &Interface) -> Result<VpcId> {
        let own = self.machine.is_own(interface.address).await?;
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
            self.remove_unused_vpcs(&mut book, MAX_IDLE_VPCS).await?;
            book.add_vpc(&vpc, interface, self.place()).await?;
            self.save(&book.saved).await?;
            self.machine.lead_ranges(book.ranges()).await?;
        }
        if interface.relays && !book.saved.relays.contains_key(&interface.eni) {
            let number =
                relays::claim(&self.router.links, &interface.eni, &book.saved.relays).await?;
            book.saved.relays.insert(interface.eni.clone(), number);
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
    async fn admit(&self, task: &TaskId, interface: &Interface, vpc: &VpcId) -> Result<()> {
        let change = self.add_task_change(task, interface, vpc).await?;
        self.firewall.apply(vec![change]).await
    }

    async fn add_task_change(
        &self,
        task: &TaskId,
        interface: &Interface,
        vpc: &VpcId,
    ) -> Result<Change> {
        let book = self.book.lock().await;
        let record = book.firewall_vpc(vpc).ok_or(NetworkError::Closed)?;
        let member = Task {
            eni: interface.eni.clone(),
            vpc: vpc.clone(),
            address: interface.address,
            public: interface.public,
            limited: !task.is_interface(),
            groups: interface.groups.clone(),
            relay_mark: book.relay_mark(interface),
        };
        Ok(Change::AddTask {
            veth: interface.eni.veth(),
            task: member.into(),
            vpc: (vpc.clone(), record),
        })
    }

    /// Opens the router's end: up, its neighbour, the route in the VPC's table and, where it may be, for the machine.
    async fn connect(&self, task: &TaskId, interface: &Interface, index: u32) -> Result<()> {
        self.router.links.up(index, task.as_str()).await?;
        self.router
            .links
            .add_neighbour(index, interface.address, interface.mac)
            .await?;
        if interface.relays {
            let relay = self.book.lock().await.relay_mark(interface);
            let relay = relay.ok_or(NetworkError::Closed)?;
            relays::lead_back(&self.router.links, interface, index, relay).await?;
        }
        self.add_routes(task, interface.address, index).await
    }

    pub(super) async fn add_routes(
        &self,
        task: &TaskId,
        address: Ipv4Addr,
        index: u32,
    ) -> Result<()> {
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
        let links = &self.router.links;
        links.add_task_route(address, index, table).await?;
        let first = links.add_unmarked_route(address, index).await?;
        if first && self.machine.lead_address(address).await? {
            let mut book = self.book.lock().await;
            book.host_routes.insert(address, task.clone());
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
            .router
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
            if interface.relays && !book.saved.relays.contains_key(&interface.eni) {
                return Err(gone("no routing table leads answers to it"));
            }
            let attached = Attached {
                interface: interface.clone(),
                vpc: vpc.clone(),
                index: link.index,
            };
            book.tasks.insert(task.clone(), attached);
            vpc
        };
        if interface.public {
            self.machine.open_world().await?;
        }
        let change = self.add_task_change(&task, &interface, &vpc).await?;
        self.firewall.note(vec![change]).await?;
        self.connect(&task, &interface, link.index).await?;
        Ok(self.handle_of(&task).await)
    }
}
