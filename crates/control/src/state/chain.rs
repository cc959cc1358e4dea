//! Records that many calls change one after the other: a counter that each call takes the next number of.
//!
//! With read, decide and commit alone, all calls under way would read the same number, one would win, and the others
//! would try again: one number per `fsync`, and most of the work in vain. Here a call takes its place at the end of a
//! chain: it decides on what the call before it *will* leave, requires exactly that value, and goes to the store right
//! behind it, so that one group commit takes the whole chain. The store's compare is what makes this safe; the chain
//! only makes it likely that the compare holds. Where a call of the chain fails, those behind it end in
//! [`StateError::Conflict`] and begin anew.

use std::collections::HashMap;
use std::future::poll_fn;
use std::sync::Arc;
use std::task::Poll;

use bytes::Bytes;
use neargate_store::{Compare, Condition, Op};
use parking_lot::Mutex;
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::{Changes, State, StateError, decode};

/// The chains with calls under way, by the key of their record.
#[derive(Default)]
pub(super) struct Chains(Mutex<HashMap<Bytes, Arc<Mutex<Tail>>>>);

/// Where a chain ends.
#[derive(Default)]
struct Tail {
    /// What the record will be once all calls of the chain are committed; `None`: ask the store.
    value: Option<Bytes>,
    /// Counts how often the chain broke, so that a late failure of an old chain does not break the one after it.
    generation: u64,
}

/// A call's hold on its chain, which is forgotten with the last of them.
struct Link {
    chains: Arc<Chains>,
    key: Bytes,
    tail: Arc<Mutex<Tail>>,
}

impl Link {
    fn of(chains: &Arc<Chains>, key: &Bytes) -> Self {
        let tail = Arc::clone(chains.0.lock().entry(key.clone()).or_default());
        Self {
            chains: Arc::clone(chains),
            key: key.clone(),
            tail,
        }
    }
}

impl Drop for Link {
    fn drop(&mut self) {
        let mut chains = self.chains.0.lock();
        // The map's and this one: links are only made under the map's lock.
        if Arc::strong_count(&self.tail) == 2 {
            chains.remove(&self.key);
        }
    }
}

impl State {
    /// Replaces the record at `key`, in turn with all calls that do so now. `decide` gets the record as the call before
    /// leaves it, and gives the new one, what else to change in the same transaction, and what to return. It must be
    /// quick: the other calls wait.
    ///
    /// # Errors
    /// [`StateError::Conflict`] as of [`State::commit`]: run it by [`State::retrying`].
    pub async fn chained<T, R>(
        &self,
        key: &str,
        decide: impl FnOnce(Option<T>) -> (T, Changes, R),
    ) -> Result<R, StateError>
    where
        T: Serialize + DeserializeOwned,
    {
        let key = Bytes::copy_from_slice(key.as_bytes());
        let link = Link::of(&self.chains, &key);
        let stored = self.store.get(&key).await?;
        let mut decide = Some(decide);
        // Deciding and joining the store's queue are one step under the tail's lock, so that the queue has the chain's
        // order. The first poll of a transaction queues it.
        let (mut commit, first, generation, result) = poll_fn(|context| {
            let Some(decide) = decide.take() else {
                unreachable!("the first poll is the last");
            };
            let mut tail = link.tail.lock();
            let before = match &tail.value {
                Some(value) => Some((value.clone(), parse(&key, value)?)),
                None => match &stored {
                    Some(entry) => Some((entry.value.clone(), decode(entry)?.record)),
                    None => None,
                },
            };
            let (condition, record) = match before {
                Some((value, record)) => (Condition::Value(value), Some(record)),
                None => (Condition::Absent, None),
            };
            let (next, Changes(mut txn), result) = decide(record);
            let value = super::encode(&next);
            txn.compares.push(Compare {
                key: key.clone(),
                condition,
            });
            txn.ops.push(Op::Put {
                key: key.clone(),
                value: value.clone(),
                lease: 0,
            });
            let mut commit = self.store.txn(txn);
            let first = commit.as_mut().poll(context);
            tail.value = Some(value);
            Poll::Ready(Ok::<_, StateError>((
                commit,
                first,
                tail.generation,
                result,
            )))
        })
        .await?;
        let outcome = match first {
            Poll::Ready(outcome) => outcome,
            Poll::Pending => commit.as_mut().await,
        };
        match outcome {
            Ok(outcome) if outcome.committed => Ok(result),
            failed => {
                let mut tail = link.tail.lock();
                if tail.generation == generation {
                    tail.generation += 1;
                    tail.value = None;
                }
                drop(tail);
                failed?;
                Err(StateError::Conflict)
            }
        }
    }
}

fn parse<T: DeserializeOwned>(key: &Bytes, value: &Bytes) -> Result<T, StateError> {
    serde_json::from_slice(value).map_err(|error| StateError::Corrupt {
        key: String::from_utf8_lossy(key).into_owned(),
        reason: error.to_string(),
    })
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use neargate_store::EmbeddedStore;

    use super::*;
    use crate::clock::SystemClock;

    const COUNTER: &str = "/counter";

    fn state(directory: &tempfile::TempDir) -> State {
        let store = EmbeddedStore::open(&directory.path().join("state")).expect("it opens");
        State::new(Arc::new(store), Arc::new(SystemClock::new(1.0)))
    }

    /// Takes the next number and writes it down.
    async fn take(state: &State) -> Result<u32, StateError> {
        state
            .retrying(|| async {
                let number = state.chained(COUNTER, |last: Option<u32>| {
                    let next = last.unwrap_or(0) + 1;
                    let mut changes = Changes::new();
                    changes.create(&format!("/numbers/{next:04}"), &next);
                    (next, changes, next)
                });
                Ok(number.await?)
            })
            .await
    }

    async fn take_many(state: &State, count: u32) -> Vec<Result<u32, StateError>> {
        let takers: Vec<_> = (0..count)
            .map(|_| {
                let state = state.clone();
                tokio::spawn(async move { take(&state).await })
            })
            .collect();
        let mut taken = Vec::new();
        for taker in takers {
            taken.push(taker.await.expect("no taker panics"));
        }
        taken
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 4)]
    async fn each_number_is_taken_once_and_none_is_left_out() {
        let directory = tempfile::tempdir().expect("a directory");
        let state = state(&directory);
        let taken = take_many(&state, 500).await;
        let taken: BTreeSet<u32> = taken.into_iter().map(|n| n.expect("taken")).collect();
        assert_eq!(taken, (1..=500).collect());
        let written: Vec<_> = state.list::<u32>("/numbers/").await.expect("listed");
        assert_eq!(written.len(), 500);
        assert!(state.chains.0.lock().is_empty(), "no chain is left behind");
    }

    #[tokio::test]
    async fn calls_at_once_share_commits_and_do_not_conflict() {
        let directory = tempfile::tempdir().expect("a directory");
        let state = state(&directory);
        // On one thread all hundred decide before the first is written.
        let before = state.list::<u32>("/").await.expect("listed").len();
        let attempts: Vec<_> = (0..100)
            .map(|_| {
                state.chained(COUNTER, |last: Option<u32>| {
                    let next = last.unwrap_or(0) + 1;
                    (next, Changes::new(), next)
                })
            })
            .collect();
        let taken = futures_util::future::join_all(attempts).await;
        let taken: Vec<u32> = taken.into_iter().map(|n| n.expect("no conflict")).collect();
        assert_eq!((before, taken), (0, (1..=100).collect()));
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 4)]
    async fn a_chain_goes_on_after_others_change_or_delete_its_record() {
        let directory = tempfile::tempdir().expect("a directory");
        let state = state(&directory);
        let meddler = {
            let state = state.clone();
            tokio::spawn(async move {
                for _ in 0..20 {
                    let mut changes = Changes::new();
                    changes.delete(COUNTER).delete_prefix("/numbers/");
                    state.commit(changes).await.expect("committed");
                }
            })
        };
        let taken = take_many(&state, 300).await;
        meddler.await.expect("it does not panic");
        assert!(taken.iter().all(Result::is_ok), "{taken:?}");
        let last = state.get::<u32>(COUNTER).await.expect("read");
        let last = last.map_or(0, |l| l.record);
        let written = state.list::<u32>("/numbers/").await.expect("listed");
        let written: Vec<u32> = written.into_iter().map(|n| n.record).collect();
        assert_eq!(written, (1..=last).collect::<Vec<_>>());
    }

    #[tokio::test]
    async fn a_caller_who_goes_away_breaks_nothing() {
        let directory = tempfile::tempdir().expect("a directory");
        let state = state(&directory);
        {
            let mut gone = std::pin::pin!(take(&state));
            assert!(futures_util::poll!(gone.as_mut()).is_pending());
        }
        // Its number may be taken or not; the next caller gets one of its own either way.
        let number = take(&state).await.expect("taken");
        let count = state.list::<u32>("/numbers/").await.expect("listed").len();
        assert_eq!(count, usize::try_from(number).expect("small"));
        assert!(state.store().get(COUNTER.as_bytes()).await.is_ok());
    }
}
