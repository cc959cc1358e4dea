//! What one task may ask of a VPC's resolver, so that all others are answered whatever it does. Who asks is known by the
//! address: the firewall lets no packet of a task pass with another's.

use parking_lot::Mutex;
use std::{
    collections::{HashMap, VecDeque},
    net::IpAddr,
    sync::Arc,
    time::Duration,
};
use tokio::sync::oneshot;

/// Questions of one task per second: AWS's limit for an interface ("1024 packets per second", VPC guide,
/// AmazonDNS-concepts.md). What is beyond is dropped, as there.
const QUESTIONS_PER_SEC: u32 = 1024;
/// Addresses whose rate is remembered, after which those that are quiet are forgotten. More than a node has tasks.
const MAX_REMEMBERED: usize = 4096;

/// Places that clients take, for a while each. Nobody is turned away: where a client has all that it may have, its own
/// oldest place goes to its newest, and where all are taken, the oldest of whoever has most.
#[derive(Clone)]
pub struct Places(Arc<Mutex<Taken>>);

struct Taken {
    of_one: usize,
    of_all: usize,
    /// Oldest first. A place that is taken away is told by its sender's end.
    clients: HashMap<IpAddr, VecDeque<(u64, oneshot::Sender<()>)>>,
    count: usize,
    next: u64,
}

/// A place, until it is dropped.
pub struct Place {
    places: Places,
    client: IpAddr,
    number: u64,
    lost: oneshot::Receiver<()>,
}

impl Places {
    pub fn new(of_one: usize, of_all: usize) -> Places {
        Places(Arc::new(Mutex::new(Taken {
            of_one,
            of_all,
            clients: HashMap::new(),
            count: 0,
            next: 0,
        })))
    }

    pub fn take(&self, client: IpAddr) -> Place {
        let mut taken = self.0.lock();
        let own = taken.clients.get(&client).map_or(0, VecDeque::len);
        if own >= taken.of_one {
            taken.drop_oldest_of(client);
        } else if taken.count >= taken.of_all {
            let most = taken.clients.iter().max_by_key(|(_, places)| places.len());
            if let Some(greediest) = most.map(|(client, _)| *client) {
                taken.drop_oldest_of(greediest);
            }
        }
        let (keep, lost) = oneshot::channel();
        let number = taken.next;
        taken.next += 1;
        taken.count += 1;
        taken
            .clients
            .entry(client)
            .or_default()
            .push_back((number, keep));
        Place {
            places: self.clone(),
            client,
            number,
            lost,
        }
    }
}

impl Taken {
    fn drop_oldest_of(&mut self, client: IpAddr) {
        let oldest = self.clients.get(&client).and_then(VecDeque::front);
        if let Some(number) = oldest.map(|place| place.0) {
            self.give_back(client, number);
        }
    }

    fn give_back(&mut self, client: IpAddr, number: u64) {
        let Some(places) = self.clients.get_mut(&client) else {
            return;
        };
        let before = places.len();
        places.retain(|place| place.0 != number);
        self.count -= before - places.len();
        if places.is_empty() {
            self.clients.remove(&client);
        }
    }
}

impl Place {
    /// Does the work, if it keeps its place until that is done.
    pub async fn hold<T>(mut self, work: impl Future<Output = T>) -> Option<T> {
        tokio::select! {
            done = work => Some(done),
            _ = &mut self.lost => None,
        }
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.places.0.lock().give_back(self.client, self.number);
    }
}

/// How much each client has asked lately.
#[derive(Default)]
pub struct Rates {
    /// Until when its questions are paid for, one per [`QUESTIONS_PER_SEC`]th of a second.
    paid_until: HashMap<IpAddr, Duration>,
}

impl Rates {
    /// Whether a question may be answered, at a time since some beginning.
    pub fn allow(&mut self, client: IpAddr, now: Duration) -> bool {
        if self.paid_until.len() >= MAX_REMEMBERED {
            self.paid_until.retain(|_, paid_until| *paid_until > now);
        }
        let paid_until = self.paid_until.entry(client).or_default();
        let next = (*paid_until).max(now) + Duration::from_secs(1) / QUESTIONS_PER_SEC;
        // A second's questions may come at once.
        let allowed = next <= now + Duration::from_secs(1);
        if allowed {
            *paid_until = next;
        }
        allowed
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn client(number: u8) -> IpAddr {
        [172, 31, 0, number].into()
    }

    fn is_lost(place: &mut Place) -> bool {
        place.lost.try_recv() == Err(oneshot::error::TryRecvError::Closed)
    }

    #[test]
    fn a_client_competes_with_itself_and_then_with_the_greediest() {
        let places = Places::new(3, 5);
        let mut greedy: Vec<Place> = (0..5).map(|_| places.take(client(1))).collect();
        let lost: Vec<bool> = greedy.iter_mut().map(is_lost).collect();
        assert_eq!(lost, [true, true, false, false, false], "its own oldest");
        let mut modest = places.take(client(2));
        let mut another = places.take(client(3));
        assert!(!greedy.iter_mut().skip(2).any(is_lost), "there was room");
        let mut last = places.take(client(4));
        let lost: Vec<bool> = greedy.iter_mut().map(is_lost).collect();
        assert_eq!(lost, [true, true, true, false, false]);
        assert!(!is_lost(&mut modest) && !is_lost(&mut another) && !is_lost(&mut last));
        drop(greedy);
        drop((modest, another, last));
        let taken = places.0.lock();
        assert!(taken.count == 0 && taken.clients.is_empty());
    }

    #[tokio::test]
    async fn work_ends_with_its_place() {
        let places = Places::new(1, 10);
        let first = places.take(client(1));
        let second = places.take(client(1));
        assert_eq!(first.hold(std::future::pending::<()>()).await, None);
        assert_eq!(second.hold(async { 7 }).await, Some(7));
    }

    #[test]
    fn a_client_has_its_rate_and_no_other() {
        let mut rates = Rates::default();
        let mut allowed = |client, at| {
            (0..5000)
                .filter(|_| rates.allow(client, Duration::from_secs(at)))
                .count()
        };
        let second = QUESTIONS_PER_SEC as usize;
        assert_eq!(allowed(client(1), 10), second);
        assert_eq!(allowed(client(1), 10), 0);
        assert_eq!(allowed(client(2), 10), second, "another");
        assert_eq!(allowed(client(1), 11), second);
        assert_eq!(allowed(client(1), 100), second, "nothing is saved up");
    }

    #[test]
    fn quiet_clients_are_forgotten() {
        let mut rates = Rates::default();
        for number in 0..20_000_u32 {
            rates.allow(
                std::net::Ipv4Addr::from(number).into(),
                Duration::from_millis(number.into()),
            );
            assert!(rates.paid_until.len() <= MAX_REMEMBERED);
        }
    }
}
