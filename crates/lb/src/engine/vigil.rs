//! What can end a connection besides its two ends: time, the process's end, a target that left the table.
//!
//! Each connection has a [`Vigil`]: a deadline that moves with every byte and costs a store, where a timer of the
//! runtime's would cost a lock and a list. The worker looks at all of them once per tick.

use super::clock;
use crate::table::TargetKey;
use slab::Slab;
use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::task::{Context, Waker};
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

/// One connection's deadline and what was decided about it.
#[derive(Debug)]
pub struct Vigil {
    deadline: Cell<u64>,
    closing: Cell<bool>,
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
    pub fn add(self: &Rc<Self>) -> Watched {
        let vigil = Rc::new(Vigil {
            deadline: Cell::new(u64::MAX),
            closing: Cell::new(self.closing.get()),
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
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_verdict_follows_the_deadline_and_the_targets() {
        let vigils = Rc::new(Vigils::default());
        let watched = vigils.add();
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
        assert!(watched.closing() && vigils.add().closing());
        assert_eq!(vigils.len(), 1);
        drop(watched);
        assert!(vigils.is_empty());
    }
}
