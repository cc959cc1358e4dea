//! What can end a connection besides its two ends: time, the process's end, a target that left the table, and the need
//! for its place.
//!
//! Each connection has a [`Vigil`]: a deadline that moves with every byte and costs a store, where a timer of the
//! runtime's would cost a lock and a list. The worker looks at all of them once per tick.

use super::clock;
use crate::table::TargetKey;
use slab::Slab;
use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::future::poll_fn;
use std::net::IpAddr;
use std::rc::Rc;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

/// What ends, or shall end, a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    GoOn,
    /// The deadline has passed.
    Expired,
    /// The target of the request has left the table: its draining is over.
    TargetGone,
}

/// Whether a connection only waits for its client, and since when: then it may be given up for another.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Waits {
    #[default]
    No,
    ForRequest(u64),
    /// For the rest of a head, or of a handshake.
    ForHead(u64),
}

/// One connection's deadline and what was decided about it.
#[derive(Debug)]
pub struct Vigil {
    deadline: Cell<u64>,
    closing: Cell<bool>,
    client: IpAddr,
    waits: Cell<Waits>,
    given_up: Cell<bool>,
    target: Cell<Option<TargetKey>>,
    target_gone: Cell<bool>,
    waker: RefCell<Option<Waker>>,
}

impl Vigil {
    /// Moves the deadline to `idle` from now.
    pub fn extend(&self, idle: Duration) {
        self.deadline.set(clock::millis() + idle.as_millis() as u64);
    }

    /// No deadline until the next `extend`.
    pub fn suspend(&self) {
        self.deadline.set(u64::MAX);
    }

    /// Whether the connection shall end as soon as it is idle.
    pub fn closing(&self) -> bool {
        self.closing.get()
    }

    pub fn close_when_idle(&self) {
        self.closing.set(true);
    }

    /// Nothing is under way.
    pub fn waits_for_request(&self) {
        self.waits.set(Waits::ForRequest(clock::millis()));
    }

    /// The client has begun to say something.
    pub fn waits_for_head(&self) {
        self.waits.set(Waits::ForHead(clock::millis()));
    }

    /// A request is under way.
    pub fn works(&self) {
        self.waits.set(Waits::No);
    }

    /// Whether the connection's place is needed for another.
    pub fn is_given_up(&self) -> bool {
        self.given_up.get()
    }

    /// Waits for that.
    pub async fn given_up(&self) {
        poll_fn(|cx| {
            self.watch(cx);
            match self.is_given_up() {
                true => Poll::Ready(()),
                false => Poll::Pending,
            }
        })
        .await;
    }

    /// The request is this target's from now on.
    pub fn attend(&self, target: TargetKey) {
        self.target.set(Some(target));
        self.target_gone.set(false);
    }

    pub fn attend_none(&self) {
        self.target.set(None);
        self.target_gone.set(false);
    }

    pub fn verdict(&self) -> Verdict {
        if self.target_gone.get() {
            Verdict::TargetGone
        } else if self.deadline.get() <= clock::millis() {
            Verdict::Expired
        } else {
            Verdict::GoOn
        }
    }

    /// Has the task woken when something is decided. To be called before it waits.
    pub fn watch(&self, cx: &Context<'_>) {
        let mut waker = self.waker.borrow_mut();
        match &mut *waker {
            Some(waker) => waker.clone_from(cx.waker()),
            none => *none = Some(cx.waker().clone()),
        }
    }

    fn wake(&self) {
        if let Some(waker) = &*self.waker.borrow() {
            waker.wake_by_ref();
        }
    }
}

/// All connections of a thread.
#[derive(Debug, Default)]
pub struct Vigils {
    all: RefCell<Slab<Rc<Vigil>>>,
    closing: Cell<bool>,
    /// How many were given up and are not gone yet.
    leaving: Cell<usize>,
}

/// A connection's place among them; leaves it when dropped.
#[derive(Debug)]
pub struct Watched {
    vigil: Rc<Vigil>,
    vigils: Rc<Vigils>,
    index: usize,
}

impl Vigils {
    /// Watches over one more connection.
    pub fn add(self: &Rc<Self>, client: IpAddr) -> Watched {
        let vigil = Rc::new(Vigil {
            deadline: Cell::new(u64::MAX),
            closing: Cell::new(self.closing.get()),
            client,
            waits: Cell::default(),
            given_up: Cell::default(),
            target: Cell::default(),
            target_gone: Cell::default(),
            waker: RefCell::default(),
        });
        let index = self.all.borrow_mut().insert(Rc::clone(&vigil));
        Watched {
            vigil,
            vigils: Rc::clone(self),
            index,
        }
    }

    /// Whether [`Vigils::close_all`] was called.
    pub fn is_closing(&self) -> bool {
        self.closing.get()
    }

    pub fn len(&self) -> usize {
        self.all.borrow().len()
    }

    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Wakes whose time is over.
    pub fn tick(&self) {
        let now = clock::millis();
        for (_, vigil) in &*self.all.borrow() {
            if vigil.deadline.get() <= now {
                vigil.wake();
            }
        }
    }

    /// Ends the requests of targets that `keeps` denies.
    pub fn keep_targets(&self, keeps: impl Fn(&TargetKey) -> bool) {
        for (_, vigil) in &*self.all.borrow() {
            if vigil.target.get().is_some_and(|target| !keeps(&target)) {
                vigil.target_gone.set(true);
                vigil.wake();
            }
        }
    }

    pub fn leaving(&self) -> usize {
        self.leaving.get()
    }

    /// Gives up to `count` connections up that only wait for their clients, those that wait longest first. If one
    /// client has more than half of all that wait, only its own. Answers how many.
    pub fn give_up(&self, count: usize) -> usize {
        self.give_up_of(count, |waits| match waits {
            Waits::No => None,
            Waits::ForRequest(since) | Waits::ForHead(since) => Some(since),
        })
    }

    /// The same among those that have begun a head, which takes memory.
    pub fn give_up_heads(&self, count: usize) -> usize {
        self.give_up_of(count, |waits| match waits {
            Waits::ForHead(since) => Some(since),
            Waits::No | Waits::ForRequest(_) => None,
        })
    }

    fn give_up_of(&self, count: usize, since: impl Fn(Waits) -> Option<u64>) -> usize {
        let all = self.all.borrow();
        let mut of_client: HashMap<IpAddr, usize> = HashMap::new();
        let mut waiting: Vec<(u64, &Rc<Vigil>)> = Vec::new();
        for (_, vigil) in &*all {
            if let Some(since) = since(vigil.waits.get()).filter(|_| !vigil.is_given_up()) {
                *of_client.entry(vigil.client).or_default() += 1;
                waiting.push((since, vigil));
            }
        }
        let most = of_client.into_iter().max_by_key(|(_, count)| *count);
        if let Some((client, _)) = most.filter(|(_, count)| *count > waiting.len() / 2) {
            waiting.retain(|(_, vigil)| vigil.client == client);
        }
        waiting.sort_by_key(|(since, _)| *since);
        waiting.truncate(count);
        for (_, vigil) in &waiting {
            vigil.given_up.set(true);
            vigil.wake();
        }
        self.leaving.set(self.leaving.get() + waiting.len());
        waiting.len()
    }

    /// Has every connection, and every one to come, end as soon as it is idle.
    pub fn close_all(&self) {
        self.closing.set(true);
        for (_, vigil) in &*self.all.borrow() {
            vigil.closing.set(true);
            vigil.wake();
        }
    }
}

impl std::ops::Deref for Watched {
    type Target = Vigil;

    fn deref(&self) -> &Vigil {
        &self.vigil
    }
}

impl Drop for Watched {
    fn drop(&mut self) {
        self.vigils.all.borrow_mut().remove(self.index);
        if self.is_given_up() {
            self.vigils.leaving.set(self.vigils.leaving.get() - 1);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const CLIENT: IpAddr = IpAddr::V4(std::net::Ipv4Addr::LOCALHOST);

    #[test]
    fn who_only_waits_is_given_up_for_others() {
        let vigils = Rc::new(Vigils::default());
        let other = "10.0.0.9".parse().expect("an address");
        let [busy, head, idle, neighbour] =
            [CLIENT, CLIENT, CLIENT, other].map(|client| vigils.add(client));
        let waits = [
            Waits::No,
            Waits::ForHead(20),
            Waits::ForRequest(10),
            Waits::ForRequest(1),
        ];
        let all = [&busy, &head, &idle, &neighbour];
        for (watched, waits) in all.iter().zip(waits) {
            watched.waits.set(waits);
        }
        let given_up = || all.map(|watched| watched.is_given_up());
        // Most of them are one client's.
        assert_eq!(vigils.give_up(1), 1);
        assert_eq!(given_up(), [false, false, true, false]);
        assert_eq!(vigils.give_up_heads(5), 1);
        assert_eq!(given_up(), [false, true, true, false]);
        assert_eq!((vigils.give_up(5), vigils.give_up(5)), (1, 0));
        assert_eq!(given_up(), [false, true, true, true]);
        drop(idle);
        assert_eq!(vigils.leaving(), 2);
    }

    #[test]
    fn a_verdict_follows_the_deadline_and_the_targets() {
        let vigils = Rc::new(Vigils::default());
        let watched = vigils.add(CLIENT);
        assert_eq!(watched.verdict(), Verdict::GoOn);
        watched.extend(Duration::from_secs(3600));
        assert_eq!(watched.verdict(), Verdict::GoOn);
        watched.extend(Duration::ZERO);
        assert_eq!(watched.verdict(), Verdict::Expired);
        watched.suspend();
        watched.attend([1; 16]);
        vigils.keep_targets(|target| *target == [1; 16]);
        assert_eq!(watched.verdict(), Verdict::GoOn);
        vigils.keep_targets(|target| *target != [1; 16]);
        assert_eq!(watched.verdict(), Verdict::TargetGone);
        watched.attend_none();
        assert_eq!(watched.verdict(), Verdict::GoOn);
        vigils.close_all();
        assert!(watched.closing() && vigils.add(CLIENT).closing());
        assert_eq!(vigils.len(), 1);
        drop(watched);
        assert!(vigils.is_empty());
    }
}
