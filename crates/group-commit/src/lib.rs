//! Many callers, one disk: what they want written queues up, and whoever finds nobody at work leads a group of it
//! through one write. So a single caller waits for one `fsync`, and a hundred at once share one.
//!
//! The leader is a blocking task of the caller's runtime rather than a thread of its own: it costs nothing at rest, and
//! a runtime with a paused clock knows that there is work under way and lets no time pass meanwhile.

use std::collections::VecDeque;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Weak};

use parking_lot::Mutex;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, oneshot};

/// Jobs that wait to be written; further callers wait for a place.
const MAX_QUEUE: usize = 4_096;

/// Jobs written at once: bounds how long the first of them waits for the last.
const MAX_GROUP: usize = 1_024;

/// What does the writing.
pub trait Commit: Send + Sync + 'static {
    type Job: Send + 'static;
    type Answer: Send + 'static;

    /// Writes a group, and answers each job in order. Runs where it may block, and never twice at once.
    fn commit(&self, jobs: Vec<Self::Job>) -> Vec<Self::Answer>;
}

/// The queue was closed, or the commit panicked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Closed;

/// A queue in front of a [`Commit`]. Clones share it.
pub struct GroupCommit<C: Commit> {
    shared: Arc<Shared<C>>,
}

/// A [`GroupCommit`] that does not keep what it writes to alive.
pub struct WeakGroupCommit<C: Commit>(Weak<Shared<C>>);

impl<C: Commit> WeakGroupCommit<C> {
    pub fn upgrade(&self) -> Option<GroupCommit<C>> {
        let shared = self.0.upgrade()?;
        Some(GroupCommit { shared })
    }
}

struct Shared<C: Commit> {
    commit: Arc<C>,
    queue: Mutex<Queue<C>>,
    places: Arc<Semaphore>,
}

struct Queue<C: Commit> {
    jobs: VecDeque<Waiting<C>>,
    has_leader: bool,
}

struct Waiting<C: Commit> {
    job: C::Job,
    answer: oneshot::Sender<C::Answer>,
    _place: OwnedSemaphorePermit,
}

impl<C: Commit> Clone for GroupCommit<C> {
    fn clone(&self) -> Self {
        Self {
            shared: Arc::clone(&self.shared),
        }
    }
}

impl<C: Commit> GroupCommit<C> {
    pub fn new(commit: Arc<C>) -> Self {
        Self {
            shared: Arc::new(Shared {
                commit,
                queue: Mutex::new(Queue {
                    jobs: VecDeque::new(),
                    has_leader: false,
                }),
                places: Arc::new(Semaphore::new(MAX_QUEUE)),
            }),
        }
    }

    pub fn downgrade(&self) -> WeakGroupCommit<C> {
        WeakGroupCommit(Arc::downgrade(&self.shared))
    }

    /// Takes no more jobs. Those in the queue are still written.
    pub fn close(&self) {
        self.shared.places.close();
    }

    /// Queues a job and waits for its answer. A caller who goes away does not take the job back.
    ///
    /// # Panics
    /// Outside of a tokio runtime.
    pub async fn submit(&self, job: C::Job) -> Result<C::Answer, Closed> {
        let place = Arc::clone(&self.shared.places)
            .acquire_owned()
            .await
            .map_err(|_| Closed)?;
        let (answer, outcome) = oneshot::channel();
        let becomes_leader = {
            let mut queue = self.shared.queue.lock();
            queue.jobs.push_back(Waiting {
                job,
                answer,
                _place: place,
            });
            !std::mem::replace(&mut queue.has_leader, true)
        };
        if becomes_leader {
            let leader = Leader {
                shared: Arc::clone(&self.shared),
                done: false,
            };
            tokio::task::spawn_blocking(move || leader.lead());
        }
        outcome.await.map_err(|_| Closed)
    }
}

/// Whoever has this is the one who writes.
struct Leader<C: Commit> {
    shared: Arc<Shared<C>>,
    done: bool,
}

impl<C: Commit> Leader<C> {
    fn lead(mut self) {
        loop {
            let group: Vec<Waiting<C>> = {
                let mut queue = self.shared.queue.lock();
                if queue.jobs.is_empty() {
                    queue.has_leader = false;
                    self.done = true;
                    return;
                }
                let count = queue.jobs.len().min(MAX_GROUP);
                queue.jobs.drain(..count).collect()
            };
            let mut jobs = Vec::with_capacity(group.len());
            let mut waiting = Vec::with_capacity(group.len());
            for Waiting {
                job,
                answer,
                _place,
            } in group
            {
                jobs.push(job);
                waiting.push((answer, _place));
            }
            // A panic, which the hook has reported, fails this group: its callers' channels close here. Whoever came
            // meanwhile is written.
            let commit = AssertUnwindSafe(|| self.shared.commit.commit(jobs));
            let Ok(answers) = catch_unwind(commit) else {
                continue;
            };
            for ((waiting, _place), answer) in waiting.into_iter().zip(answers) {
                // A caller who went away needs no answer.
                let _ = waiting.send(answer);
            }
        }
    }
}

impl<C: Commit> Drop for Leader<C> {
    /// A leader that never ran, because its runtime shuts down, leaves nobody waiting for ever.
    fn drop(&mut self) {
        if !self.done {
            let mut queue = self.shared.queue.lock();
            queue.has_leader = false;
            queue.jobs.clear();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Answers each number with itself and the size of its group; panics on zero.
    struct Echo;

    impl Commit for Echo {
        type Job = u32;
        type Answer = (u32, usize);

        fn commit(&self, jobs: Vec<u32>) -> Vec<(u32, usize)> {
            assert!(!jobs.contains(&0), "zero is refused by panic");
            let size = jobs.len();
            jobs.into_iter().map(|job| (job, size)).collect()
        }
    }

    #[tokio::test]
    async fn each_caller_gets_its_own_answer() {
        let queue = GroupCommit::new(Arc::new(Echo));
        let callers: Vec<_> = (1..=100)
            .map(|n| {
                let queue = queue.clone();
                tokio::spawn(async move { (n, queue.submit(n).await) })
            })
            .collect();
        for caller in callers {
            let (number, answer) = caller.await.expect("no caller panics");
            let (echo, size) = answer.expect("the queue is open");
            assert_eq!(echo, number);
            assert!((1..=100).contains(&size));
        }
    }

    #[tokio::test]
    async fn a_panic_fails_its_group_and_nobody_after_it() {
        let queue = GroupCommit::new(Arc::new(Echo));
        for _ in 0..100 {
            assert_eq!(queue.submit(0).await, Err(Closed));
            assert_eq!(queue.submit(1).await, Ok((1, 1)));
        }
    }

    #[tokio::test]
    async fn whoever_comes_while_a_group_panics_is_written() {
        /// Panics at zero, once told to go on.
        struct Held(std::sync::Mutex<std::sync::mpsc::Receiver<()>>);
        impl Commit for Held {
            type Job = u32;
            type Answer = u32;
            fn commit(&self, jobs: Vec<u32>) -> Vec<u32> {
                if jobs.contains(&0) {
                    let told = self.0.lock().expect("one leader").recv();
                    std::panic::resume_unwind(Box::new(told));
                }
                jobs
            }
        }
        let (go_on, told) = std::sync::mpsc::channel();
        let queue = GroupCommit::new(Arc::new(Held(std::sync::Mutex::new(told))));
        let fails = queue.submit(0);
        let is_written = queue.submit(1);
        let tell = async {
            while !queue.shared.queue.lock().jobs.iter().any(|it| it.job == 1) {
                tokio::task::yield_now().await;
            }
            go_on.send(()).expect("it waits");
        };
        let (failed, written, ()) = tokio::join!(
            biased;
            fails,
            async {
                while !queue.shared.queue.lock().jobs.is_empty() {
                    tokio::task::yield_now().await;
                }
                is_written.await
            },
            tell
        );
        assert_eq!((failed, written), (Err(Closed), Ok(1)));
    }

    #[tokio::test]
    async fn a_closed_queue_takes_no_jobs() {
        let queue = GroupCommit::new(Arc::new(Echo));
        queue.close();
        assert_eq!(queue.submit(1).await, Err(Closed));
    }

    #[tokio::test(start_paused = true)]
    async fn no_time_passes_while_a_group_is_written() {
        struct Slow;
        impl Commit for Slow {
            type Job = ();
            type Answer = ();
            fn commit(&self, jobs: Vec<()>) -> Vec<()> {
                // Real time for the paused clock to run ahead in, if it wanted to.
                std::thread::yield_now();
                jobs
            }
        }
        let queue = GroupCommit::new(Arc::new(Slow));
        let start = tokio::time::Instant::now();
        let outcome =
            tokio::time::timeout(std::time::Duration::from_secs(1), queue.submit(())).await;
        assert_eq!(outcome, Ok(Ok(())));
        assert_eq!(start.elapsed(), std::time::Duration::ZERO);
    }
}
