//! What must be on the machine for tasks, outside the router: routes to them, and a way to the world for those with a
//! public address.
//!
//! The keeper compares what is wanted with what is there whenever a firewall of the machine changes, and now and then
//! besides: routes, forwarding of single devices, our table and our rules in other programs' firewalls. So whoever
//! flushes, restarts or reloads a firewall while we run cuts nobody off for long.

mod hooks;
mod listing;
mod saved;
mod table;
mod watch;

use super::{
    Result, blocking,
    error::Doing,
    forwarding::{self, Opened},
    links::Links,
    program,
    router::Router,
    routes::HostRoute,
    ruleset::Ruleset,
    state,
    uplink::{self, Uplink},
};
use hooks::{Names, Seen, Wants};
use ipnet::Ipv4Net;
use listing::Listing;
use saved::Saved;
use std::{
    collections::BTreeSet,
    fs, io,
    net::Ipv4Addr,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};
use tokio::{sync::Mutex, task::JoinHandle};

/// How often the keeper looks without a reason: routes, switches and old iptables change without a word.
const LOOK_INTERVAL: Duration = Duration::from_secs(30);
/// Whoever has a route to a range that is not larger than this has a network there (a VPN's, a company's); a wider one
/// is a way to the world.
const WIDEST_NETWORK: u8 = 8;
const STATE_FILE: &str = "machine.json";

/// The machine as far as it is ours. The process's end leaves everything as it is.
pub struct Machine {
    inner: Arc<Inner>,
    keeper: JoinHandle<()>,
}

struct Inner {
    links: Links,
    router: Router,
    instance: (String, u32),
    table: String,
    path: PathBuf,
    /// Held for one look at everything, which other programs can make long.
    turn: Mutex<()>,
    /// Held for what the kernel answers at once: starting tasks wait for it.
    state: Mutex<State>,
}

struct State {
    uplink: Uplink,
    saved: Saved,
    /// Ranges of VPCs, all of which shall end in the router.
    ranges: BTreeSet<Ipv4Net>,
    /// Those that do.
    led: BTreeSet<Ipv4Net>,
    /// Addresses of tasks that have a route of their own, for their range lies in another network.
    singles: BTreeSet<Ipv4Addr>,
    /// Whether all that is wanted is known, so that the rest may go.
    complete: bool,
    firewalld: bool,
}

impl Drop for Machine {
    fn drop(&mut self) {
        self.keeper.abort();
    }
}

impl Machine {
    /// Takes over what an earlier process left, or starts with the pair of devices alone.
    pub async fn open(
        links: Links,
        router: Router,
        (instance, group): (&str, u32),
        run_dir: &Path,
    ) -> Result<Machine> {
        let path = run_dir.join(STATE_FILE);
        let saved = state::load::<Saved>(&path)?.unwrap_or_default();
        let uplink = uplink::find_or_make(&links, &router, (instance, group)).await?;
        let inner = Arc::new(Inner {
            links,
            router,
            instance: (instance.to_owned(), group),
            table: super::table_name(instance),
            path,
            turn: Mutex::default(),
            state: Mutex::new(State {
                uplink,
                saved,
                ranges: BTreeSet::new(),
                led: BTreeSet::new(),
                singles: BTreeSet::new(),
                complete: false,
                firewalld: false,
            }),
        });
        let keeper = tokio::spawn(keep(inner.clone()));
        Ok(Machine { inner, keeper })
    }

    pub async fn uplink(&self) -> Uplink {
        self.inner.state.lock().await.uplink.clone()
    }

    /// Whether an address is the machine's own.
    pub async fn is_own(&self, address: Ipv4Addr) -> Result<bool> {
        let uplink = self.uplink().await;
        Ok(self.inner.links.host_route(address, &uplink).await? == HostRoute::Own)
    }

    /// Leads the VPCs' ranges to the router, but where somebody else has a network there.
    pub async fn lead_ranges(&self, ranges: BTreeSet<Ipv4Net>) -> Result<()> {
        let mut state = self.inner.state.lock().await;
        if state.ranges == ranges {
            return Ok(());
        }
        state.ranges = ranges;
        self.inner.sync_routes(&mut state).await
    }

    /// Leads a task's address to the router. False: the machine itself has a network there.
    pub async fn lead_address(&self, address: Ipv4Addr) -> Result<bool> {
        let mut state = self.inner.state.lock().await;
        let route = self.inner.links.host_route(address, &state.uplink).await?;
        let led = match route {
            HostRoute::Own | HostRoute::Connected => false,
            HostRoute::Uplink => true,
            HostRoute::Elsewhere => {
                let range = Ipv4Net::from(address);
                self.inner
                    .links
                    .lead_to_router(range, &state.uplink)
                    .await?
            }
        };
        if led && !state.led.iter().any(|range| range.contains(&address)) {
            state.singles.insert(address);
        }
        Ok(led)
    }

    pub async fn unlead_address(&self, address: Ipv4Addr) -> Result<()> {
        let mut state = self.inner.state.lock().await;
        if state.singles.remove(&address) {
            let range = Ipv4Net::from(address);
            self.inner.links.unlead(range, &state.uplink).await?;
        }
        Ok(())
    }

    /// All that is wanted has been said: what else is there is of tasks that are gone.
    pub async fn sweep(&self) -> Result<()> {
        let mut state = self.inner.state.lock().await;
        state.complete = true;
        self.inner.sync_routes(&mut state).await
    }

    /// Opens the way to the world; again, for the machine may have got another uplink.
    pub async fn open_world(&self) -> Result<()> {
        let mut state = self.inner.state.lock().await;
        if state.saved.world {
            return self.inner.open_uplinks(&mut state).await;
        }
        state.saved.world = true;
        self.inner.save(&state).await?;
        drop(state);
        let _turn = self.inner.turn.lock().await;
        let seen = self.inner.look().await?;
        // Whatever another firewall says: the task starts, and the keeper goes on asking.
        let _ = self.inner.ask_firewalls(&seen, true).await;
        Ok(())
    }

    /// Leaves the machine as it was found.
    pub async fn close(self) -> Result<()> {
        self.keeper.abort();
        let _turn = self.inner.turn.lock().await;
        let asked = async {
            let seen = Seen::look(&self.inner.names()).await?;
            let steps = hooks::plan(&seen, &self.inner.names(), Wants::NOTHING);
            hooks::carry_out(steps).await
        };
        if let Err(error) = asked.await {
            // What is ours has our device's name, which is gone in a moment.
            tracing::warn!(%error, "another firewall of this machine keeps rules for a device that is gone");
        }
        let state = self.inner.state.lock().await;
        let table = &self.inner.table;
        program::nft(None, &format!("add table {table}\ndelete table {table}\n")).await?;
        let opened = state.saved.opened.clone();
        blocking(move || {
            forwarding::close_uplinks(opened);
            Ok(())
        })
        .await?;
        self.inner.links.delete_one(state.uplink.index).await?;
        match fs::remove_file(&self.inner.path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                Err(error).doing(|| format!("remove {}", self.inner.path.display()))
            }
            _ => Ok(()),
        }
    }
}

/// The machine's firewalls that need rules of ours, in words.
pub async fn firewalls() -> Result<Vec<String>> {
    let nobody = Names {
        device: String::new(),
        comment: String::new(),
    };
    Ok(Seen::look(&nobody).await?.in_words())
}

/// Writes down what an earlier release has opened, unless that was done.
pub async fn remember(run_dir: &Path, opened: Opened) -> Result<()> {
    let path = run_dir.join(STATE_FILE);
    blocking(move || {
        if state::load::<Saved>(&path)?.is_some() {
            return Ok(());
        }
        let world = !opened.0.is_empty();
        state::store(&Saved { world, opened }, &path)
    })
    .await
}

/// Brings the machine to what is wanted, for ever.
async fn keep(inner: Arc<Inner>) {
    let mut changes = watch::Changes::open();
    // What could not be done last time, so that it is said once.
    let mut last: Option<String> = None;
    loop {
        let complaint = inner.pass().await.err().map(|error| error.to_string());
        if let Some(complaint) = complaint.as_ref().filter(|_| complaint != last) {
            tracing::warn!(
                complaint,
                "the way between tasks and the machine is not as it should be; trying again"
            );
        }
        last = complaint;
        changes.next(LOOK_INTERVAL).await;
    }
}

impl Inner {
    /// One look at everything.
    async fn pass(&self) -> Result<()> {
        let _turn = self.turn.lock().await;
        let seen = self.look().await?;
        let world = self.state.lock().await.saved.world;
        self.ask_firewalls(&seen, world).await
    }

    /// Mends what is ours, and sees what others have.
    async fn look(&self) -> Result<Seen> {
        let (instance, group) = (self.instance.0.as_str(), self.instance.1);
        {
            let mut state = self.state.lock().await;
            let named = (instance, group);
            state.uplink = uplink::find_or_make(&self.links, &self.router, named).await?;
            self.sync_routes(&mut state).await?;
        }
        let seen = Seen::look(&self.names()).await?;
        let mut state = self.state.lock().await;
        if state.saved.world {
            state.firewalld = seen.has_firewalld();
            self.open_uplinks(&mut state).await?;
            self.sync_table(&state, &seen.listing).await?;
        }
        Ok(seen)
    }

    async fn ask_firewalls(&self, seen: &Seen, world: bool) -> Result<()> {
        let wants = Wants {
            answers: true,
            world,
        };
        hooks::carry_out(hooks::plan(seen, &self.names(), wants)).await
    }

    fn names(&self) -> Names {
        let (instance, _) = &self.instance;
        Names {
            device: uplink::device(instance),
            comment: format!("neargate-{instance}"),
        }
    }

    async fn open_uplinks(&self, state: &mut State) -> Result<()> {
        let before = state.saved.opened.clone();
        let after = blocking({
            let before = before.clone();
            move || forwarding::open_uplinks(before)
        })
        .await?;
        if after != before {
            state.saved.opened = after;
            self.save(state).await?;
            self.write_table(&self.wanted_table(state)).await?;
        }
        Ok(())
    }

    fn wanted_table(&self, state: &State) -> Ruleset {
        table::render(&state.uplink, &state.saved.opened, state.firewalld)
    }

    async fn sync_table(&self, state: &State, listing: &Listing) -> Result<()> {
        let wanted = self.wanted_table(state);
        match table::is_there(listing, &self.table, &wanted) {
            true => Ok(()),
            false => self.write_table(&wanted).await,
        }
    }

    async fn write_table(&self, wanted: &Ruleset) -> Result<()> {
        program::nft(None, &wanted.script(&self.table)).await
    }

    async fn sync_routes(&self, state: &mut State) -> Result<()> {
        let seen = self.links.main_routes().await?;
        let wanted = wanted_routes(state, &seen);
        let ours = |(range, device): &(Ipv4Net, Option<u32>)| {
            let neighbour = *range == Ipv4Net::from(state.uplink.router);
            (*device == Some(state.uplink.index) && !neighbour).then_some(*range)
        };
        let ours: BTreeSet<Ipv4Net> = seen.iter().filter_map(ours).collect();
        let mut led = ours.clone();
        for &range in wanted.difference(&ours) {
            match self.links.lead_to_router(range, &state.uplink).await? {
                true => drop(led.insert(range)),
                false => tracing::debug!(%range, "the machine has another way to this range"),
            }
        }
        state.led = led.intersection(&state.ranges).copied().collect();
        let surplus = ours.difference(&wanted).filter(|_| state.complete);
        for &range in surplus {
            self.links.unlead(range, &state.uplink).await?;
        }
        Ok(())
    }

    async fn save(&self, state: &State) -> Result<()> {
        let (saved, path) = (state.saved.clone(), self.path.clone());
        blocking(move || state::store(&saved, &path)).await
    }
}

/// What shall lead to the router, given the machine's routes. A range that lies in somebody's network is not ours to
/// take as a whole.
fn wanted_routes(state: &State, seen: &[(Ipv4Net, Option<u32>)]) -> BTreeSet<Ipv4Net> {
    let lies_in_a_network = |range: &Ipv4Net| {
        seen.iter().any(|(network, device)| {
            network.prefix_len() >= WIDEST_NETWORK
                && network.contains(range)
                && *device != Some(state.uplink.index)
        })
    };
    let ranges = state.ranges.iter().copied();
    ranges
        .filter(|range| !lies_in_a_network(range))
        .chain(state.singles.iter().copied().map(Ipv4Net::from))
        .collect()
}
