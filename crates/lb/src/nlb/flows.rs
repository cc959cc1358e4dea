//! All flows of a thread, and what ends them besides their two ends:
//!
//! - idleness: 350 s for TCP unless the listener says otherwise, 120 s for UDP. TCP keep-alives count as traffic;
//! - the target became unhealthy and its group terminates such connections. A flow that began on an unhealthy target,
//!   because all were, is not ended by that;
//! - the target left the table, its draining being over, and its group terminates then. Otherwise the flow lives on
//!   until one of its ends closes it;
//! - the process's end, as soon as it is quiet.
//!
//! The thread looks at all of them once per tick, so that a flow costs no timer.
//!
//! Sources: "Edit target group attributes for your Network Load Balancer", "Network Load Balancers".

use crate::engine::{Worker, clock};
use crate::table::{Health, Table, Target, TargetGroup, TargetKey, TargetState};
use slab::Slab;
use std::cell::{Cell, RefCell};
use std::future::poll_fn;
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use tokio::task::spawn_local;

/// At the process's end a flow that was quiet for so long is taken to be between two exchanges and is closed. Where an
/// exchange ends, only the two ends know.
const QUIET_MILLIS: u64 = 1_000;

thread_local! {
    static FLOWS: RefCell<Slab<Rc<Flow>>> = const { RefCell::new(Slab::new()) };
    static TICKING: Cell<bool> = const { Cell::new(false) };
}

/// What shall become of a flow.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    GoOn,
    /// Half of its idle time is over: the moment to look what keep-alives have come, for flows that asked.
    HalfIdle,
    /// Nothing has passed for as long as it may.
    Idle,
    /// Its target's connections are to be reset.
    Terminate,
    /// The process ends, and nothing has passed for [`QUIET_MILLIS`].
    Quiet,
}

/// One flow.
#[derive(Debug)]
pub struct Flow {
    idle_millis: u64,
    active_at: Cell<u64>,
    /// The half of the idle time is of no interest, or was told.
    half_told: Cell<bool>,
    asks_for_half: bool,
    group: Arc<str>,
    target: TargetKey,
    state: Arc<TargetState>,
    was_usable: Cell<bool>,
    /// The group's latest word, which holds when the target has left the table.
    ends_when_drained: Cell<bool>,
    verdict: Cell<Verdict>,
    waker: RefCell<Option<Waker>>,
}

/// A flow's place among them; leaves it when dropped.
#[derive(Debug)]
pub struct Watched {
    flow: Rc<Flow>,
    index: usize,
}

impl Flow {
    /// A byte or datagram passed.
    pub fn touch(&self) {
        self.active_at.set(clock::millis());
        self.half_told.set(!self.asks_for_half);
    }

    /// Since when nothing has passed, in milliseconds.
    pub fn idle_for(&self) -> u64 {
        clock::millis().saturating_sub(self.active_at.get())
    }

    pub fn verdict(&self) -> Verdict {
        self.verdict.get()
    }

    /// The half of the idle time was heard of.
    pub fn go_on(&self) {
        self.half_told.set(true);
        self.verdict.set(Verdict::GoOn);
    }

    /// Gives an idle flow its time again, because a keep-alive has come.
    pub fn spare(&self) {
        self.active_at.set(clock::millis());
        self.go_on();
    }

    /// Has the task woken when there is a verdict. To be called before it waits.
    pub fn watch(&self, cx: &Context<'_>) {
        let mut waker = self.waker.borrow_mut();
        match &mut *waker {
            Some(waker) => waker.clone_from(cx.waker()),
            none => *none = Some(cx.waker().clone()),
        }
    }

    /// Waits for a verdict other than going on.
    pub async fn end(&self) -> Verdict {
        poll_fn(|cx| {
            self.watch(cx);
            match self.verdict() {
                Verdict::GoOn => Poll::Pending,
                verdict => Poll::Ready(verdict),
            }
        })
        .await
    }

    fn judge(&self, now: u64, table: &Table, closing: bool) {
        let group = table.target_groups.get(&self.group);
        let registered = group.is_some_and(|group| group.target_by_key(&self.target).is_some());
        if let (Some(group), true) = (group, registered) {
            self.ends_when_drained.set(group.terminate_when_drained);
        }
        let unhealthy = self.state.health() == Health::Unhealthy;
        let ended = match registered {
            true => {
                unhealthy
                    && self.was_usable.get()
                    && group.is_some_and(|g| g.terminate_when_unhealthy)
            }
            false => self.ends_when_drained.get(),
        };
        if !unhealthy {
            self.was_usable.set(true);
        }
        let idle = now.saturating_sub(self.active_at.get());
        let verdict = match ended {
            true => Verdict::Terminate,
            false if idle >= self.idle_millis => Verdict::Idle,
            false if closing && idle >= QUIET_MILLIS => Verdict::Quiet,
            false if idle >= self.idle_millis / 2 && !self.half_told.get() => Verdict::HalfIdle,
            false => return,
        };
        self.decide(verdict);
    }

    fn decide(&self, verdict: Verdict) {
        if self.verdict.replace(verdict) != verdict
            && let Some(waker) = &*self.waker.borrow()
        {
            waker.wake_by_ref();
        }
    }
}

/// Watches over one more flow of this thread.
pub fn add(
    worker: &Rc<Worker>,
    group: &TargetGroup,
    target: &Target,
    idle_millis: u64,
    asks_for_half: bool,
) -> Watched {
    keep_ticking(worker);
    let flow = Rc::new(Flow {
        idle_millis,
        active_at: Cell::new(clock::millis()),
        half_told: Cell::new(!asks_for_half),
        asks_for_half,
        group: Arc::clone(&group.arn),
        target: target.key,
        state: Arc::clone(&target.state),
        was_usable: Cell::new(target.state.health() != Health::Unhealthy),
        ends_when_drained: Cell::new(group.terminate_when_drained),
        verdict: Cell::new(Verdict::GoOn),
        waker: RefCell::default(),
    });
    let index = FLOWS.with_borrow_mut(|flows| flows.insert(Rc::clone(&flow)));
    Watched { flow, index }
}

/// Has this thread's flows judged once per tick for as long as there are some.
fn keep_ticking(worker: &Rc<Worker>) {
    if TICKING.replace(true) {
        return;
    }
    let worker = Rc::clone(worker);
    spawn_local(async move {
        loop {
            tokio::time::sleep(clock::TICK).await;
            judge_all(&worker.current().table, worker.is_closing());
            if count() == 0 {
                break;
            }
        }
        TICKING.set(false);
    });
}

/// Judges every flow of this thread by the table in force.
fn judge_all(table: &Table, closing: bool) {
    let now = clock::millis();
    FLOWS.with_borrow(|flows| {
        for (_, flow) in flows {
            flow.judge(now, table, closing);
        }
    });
}

/// Resets up to `count` of this thread's flows, those first over which nothing has passed for longest, to make room for
/// others. Answers how many.
pub fn give_up_quiet(count: usize) -> usize {
    FLOWS.with_borrow(|flows| {
        let mut quiet: Vec<&Rc<Flow>> = flows
            .iter()
            .map(|(_, flow)| flow)
            .filter(|flow| flow.idle_for() >= QUIET_MILLIS && flow.verdict() != Verdict::Terminate)
            .collect();
        quiet.sort_by_key(|flow| flow.active_at.get());
        quiet.truncate(count);
        for flow in &quiet {
            flow.decide(Verdict::Terminate);
        }
        quiet.len()
    })
}

/// How many flows this thread has.
pub fn count() -> usize {
    FLOWS.with_borrow(Slab::len)
}

impl std::ops::Deref for Watched {
    type Target = Flow;

    fn deref(&self) -> &Flow {
        &self.flow
    }
}

impl Drop for Watched {
    fn drop(&mut self) {
        // At the thread's end the list may be gone already.
        let _ = FLOWS.try_with(|flows| flows.borrow_mut().try_remove(self.index));
    }
}
