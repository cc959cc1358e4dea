//! All connections, and which of them has to go when there are too many.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::sync::Arc;
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use tokio::sync::Notify;

use crate::limits::Limits;

/// Bits of an IPv6 address that a client does not choose itself.
const IPV6_CLIENT_BITS: u32 = 64;

/// What a connection waits for. Only our own work may take as long as it likes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    /// For a request.
    Idle,
    /// For the rest of a head.
    Head,
    /// For more of a body. Its own time-out ends that ([`crate::Body`]).
    Body,
    /// For us.
    Answer,
}

/// One connection, as its parts and the reaper see it.
#[derive(Debug)]
pub(crate) struct Watch {
    client: IpAddr,
    state: Mutex<State>,
    ended: Notify,
}

#[derive(Debug)]
struct State {
    phase: Phase,
    since: Instant,
    /// Requests that are not answered; several with HTTP/2.
    requests: u32,
    http2: bool,
    /// Since when the client takes nothing of what we send.
    stuck_since: Option<Instant>,
}

impl Watch {
    fn new(client: IpAddr) -> Self {
        let state = State {
            phase: Phase::Idle,
            since: Instant::now(),
            requests: 0,
            http2: false,
            stuck_since: None,
        };
        Self {
            client,
            state: Mutex::new(state),
            ended: Notify::new(),
        }
    }

    /// Ends with the connection's time.
    pub async fn ended(&self) {
        self.ended.notified().await;
    }

    pub fn is_http2(&self) {
        self.state.lock().http2 = true;
    }

    /// Bytes have come.
    pub fn heard(&self) {
        let mut state = self.state.lock();
        // HTTP/2 sends much that is no request, and has no head that could be left open for long.
        if state.phase == Phase::Idle && !state.http2 {
            state.set(Phase::Head);
        }
    }

    pub fn request_begins(&self) {
        let mut state = self.state.lock();
        state.requests += 1;
        state.set(Phase::Answer);
    }

    pub fn waits_for_body(&self) {
        self.state.lock().set_of_request(Phase::Body);
    }

    pub fn body_came(&self) {
        self.state.lock().set_of_request(Phase::Answer);
    }

    pub fn request_ends(&self) {
        let mut state = self.state.lock();
        state.requests -= 1;
        if state.requests == 0 {
            state.set(Phase::Idle);
        }
    }

    pub fn client_is_stuck(&self) {
        self.state
            .lock()
            .stuck_since
            .get_or_insert_with(Instant::now);
    }

    pub fn client_takes(&self) {
        self.state.lock().stuck_since = None;
    }

    fn is_overdue(&self, now: Instant, limits: &Limits) -> bool {
        let state = self.state.lock();
        let over = |since: Instant, limit: Duration| now.saturating_duration_since(since) > limit;
        let waits = match state.phase {
            Phase::Idle => over(state.since, limits.idle),
            Phase::Head => over(state.since, limits.head),
            Phase::Body | Phase::Answer => false,
        };
        waits
            || state
                .stuck_since
                .is_some_and(|since| over(since, limits.answer_silence))
    }

    /// How readily it is given up for another: those without a request first, among them who waits the longest. `None`
    /// while we work for it.
    fn expendable(&self) -> Option<(bool, Instant)> {
        let state = self.state.lock();
        match state.phase {
            Phase::Idle | Phase::Head => Some((false, state.since)),
            Phase::Body => Some((true, state.since)),
            Phase::Answer => None,
        }
    }
}

impl State {
    fn set(&mut self, phase: Phase) {
        self.phase = phase;
        self.since = Instant::now();
    }

    /// A body may outlive its request, and says nothing then.
    fn set_of_request(&mut self, phase: Phase) {
        if self.requests > 0 {
            self.set(phase);
        }
    }
}

#[derive(Debug)]
pub(crate) struct Connections {
    limits: Limits,
    all: Mutex<All>,
}

#[derive(Debug, Default)]
struct All {
    last_id: u64,
    open: HashMap<u64, Arc<Watch>>,
    of_client: HashMap<IpAddr, usize>,
}

/// A connection's place among all; left when dropped.
#[derive(Debug)]
pub(crate) struct Place {
    pub watch: Arc<Watch>,
    id: u64,
    connections: Arc<Connections>,
}

impl Connections {
    pub fn new(limits: Limits) -> Arc<Self> {
        Arc::new(Self {
            limits,
            all: Mutex::default(),
        })
    }

    /// A place for a new connection; if need be that of one which waits for its client, one of the same client first.
    /// `None`: we work for all of them.
    pub fn place(self: &Arc<Self>, address: IpAddr) -> Option<Place> {
        let client = client_of(address);
        let mut all = self.all.lock();
        let theirs = all.of_client.get(&client).copied().unwrap_or_default();
        if theirs >= self.limits.connections_per_address {
            all.give_up_one(|watch| watch.client == client)?;
        } else if all.open.len() >= self.limits.connections {
            all.give_up_one(|_| true)?;
        }
        all.last_id += 1;
        let id = all.last_id;
        let watch = Arc::new(Watch::new(client));
        all.open.insert(id, Arc::clone(&watch));
        *all.of_client.entry(client).or_default() += 1;
        Some(Place {
            watch,
            id,
            connections: Arc::clone(self),
        })
    }

    /// Gives up the one that waits the longest, if any does: the process is out of descriptors.
    pub fn give_up_one(&self) {
        self.all.lock().give_up_one(|_| true);
    }

    /// Ends those whose time is over.
    pub fn end_overdue(&self) {
        let now = Instant::now();
        for watch in self.all.lock().open.values() {
            if watch.is_overdue(now, &self.limits) {
                watch.ended.notify_one();
            }
        }
    }
}

impl All {
    fn give_up_one(&mut self, among: impl Fn(&Watch) -> bool) -> Option<()> {
        let waiting = self.open.iter().filter(|(_, watch)| among(watch));
        let (_, id) = waiting
            .filter_map(|(id, watch)| Some((watch.expendable()?, *id)))
            .min()?;
        // Its place is free at once; its descriptor a moment later, of which there are as many again.
        self.remove(id)?.ended.notify_one();
        Some(())
    }

    fn remove(&mut self, id: u64) -> Option<Arc<Watch>> {
        let watch = self.open.remove(&id)?;
        if let Some(count) = self.of_client.get_mut(&watch.client) {
            *count -= 1;
            if *count == 0 {
                self.of_client.remove(&watch.client);
            }
        }
        Some(watch)
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.connections.all.lock().remove(self.id);
    }
}

/// Whoever can have this address can have all that are taken for the same.
fn client_of(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V4(address) if address.is_loopback() => Ipv4Addr::LOCALHOST.into(),
        IpAddr::V4(address) => address.into(),
        IpAddr::V6(address) => {
            let mask = u128::MAX << (u128::BITS - IPV6_CLIENT_BITS);
            Ipv6Addr::from_bits(address.to_bits() & mask).into()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const A: IpAddr = IpAddr::V4(Ipv4Addr::new(10, 0, 0, 1));
    const B: IpAddr = IpAddr::V4(Ipv4Addr::new(10, 0, 0, 2));

    fn connections(all: usize, each: usize) -> Arc<Connections> {
        Connections::new(Limits {
            connections: all,
            connections_per_address: each,
            ..Limits::for_descriptors(1024)
        })
    }

    /// Which of the places are still theirs.
    fn left(connections: &Connections, places: &[&Place]) -> Vec<usize> {
        let all = connections.all.lock();
        let theirs = |(_, place): &(usize, &&Place)| all.open.contains_key(&place.id);
        places
            .iter()
            .enumerate()
            .filter(theirs)
            .map(|(index, _)| index)
            .collect()
    }

    #[test]
    fn who_waits_for_its_client_goes_first_and_who_works_stays() {
        let connections = connections(4, 4);
        let place = |address| connections.place(address).expect("a place");
        let [idle, body, busy, head] = [A, A, B, B].map(place);
        for place in [&body, &busy] {
            place.watch.request_begins();
        }
        body.watch.waits_for_body();
        head.watch.heard();
        let all = [&idle, &body, &busy, &head];
        for want in [&[1, 2, 3][..], &[1, 2], &[2]] {
            let new = place(A);
            assert_eq!(left(&connections, &all), want);
            // It is ours now.
            new.watch.request_begins();
            std::mem::forget(new);
        }
        assert!(connections.place(A).is_none(), "all of them work");
        drop(busy);
        assert!(connections.place(A).is_some());
    }

    #[test]
    fn a_client_with_its_share_gives_up_its_own() {
        let connections = connections(10, 2);
        let place = |address| connections.place(address).expect("a place");
        let places = [B, A, A].map(place);
        let _new = place(A);
        assert_eq!(
            left(&connections, &[&places[0], &places[1], &places[2]]),
            [0, 2]
        );
        drop(places);
        assert_eq!(connections.all.lock().of_client, [(A, 1)].into());
    }

    #[test]
    fn addresses_that_one_client_can_have_are_one() {
        for (a, b, same) in [
            ("127.0.0.1", "127.9.9.9", true),
            ("::ffff:10.0.0.1", "10.0.0.1", true),
            ("10.0.0.1", "10.0.0.2", false),
            ("2001:db8::1", "2001:db8::ffff:1", true),
            ("2001:db8::1", "2001:db8:0:1::1", false),
        ] {
            let [a, b] = [a, b].map(|text| client_of(text.parse().expect("an address")));
            assert_eq!(a == b, same, "{a} {b}");
        }
    }
}
