//! The same work asked for by many is done once.

use std::collections::HashMap;
use std::future::Future;
use std::hash::Hash;
use std::sync::Arc;
use std::time::Instant;

use futures_util::FutureExt;
use futures_util::future::{BoxFuture, Shared, WeakShared};
use parking_lot::Mutex;

/// Questions kept at once before those that nobody asks any more are dropped.
const MAX_IDLE_QUESTIONS: usize = 256;

type Work<T> = BoxFuture<'static, T>;

/// Work under way, by what it is about. Whoever asks while it runs waits for the same result; when all who wait are
/// gone, the work is dropped.
pub(super) struct Flights<K, T: Clone>(Mutex<HashMap<K, WeakShared<Work<T>>>>);

impl<K, T: Clone> Default for Flights<K, T> {
    fn default() -> Self {
        Self(Mutex::default())
    }
}

impl<K: Eq + Hash, T: Clone + Send + Sync + 'static> Flights<K, T> {
    /// Joins the work about `key`, or starts it. Answers the result and whether this call started it.
    pub async fn run<F: Future<Output = T> + Send + 'static>(
        &self,
        key: K,
        start: impl FnOnce() -> F,
    ) -> (T, bool) {
        let (flight, started) = self.join(key, start);
        (flight.await, started)
    }

    fn join<F: Future<Output = T> + Send + 'static>(
        &self,
        key: K,
        start: impl FnOnce() -> F,
    ) -> (Shared<Work<T>>, bool) {
        let mut flights = self.0.lock();
        // A finished flight is not joined: what is asked for now may have to be done again.
        let running = flights
            .get(&key)
            .and_then(WeakShared::upgrade)
            .filter(|flight| flight.peek().is_none());
        if let Some(flight) = running {
            return (flight, false);
        }
        flights.retain(|_, flight| {
            flight
                .upgrade()
                .is_some_and(|flight| flight.peek().is_none())
        });
        let flight = start().boxed().shared();
        flights.extend(flight.downgrade().map(|weak| (key, weak)));
        (flight, true)
    }
}

/// The latest value of something that changes elsewhere, asked for once for all who want to know it at the time.
///
/// A flight will not do here: who joins one may get an answer from before his own question, and a tag that was pushed
/// in between would be missed. An answer is shared only with those who came before its question was asked.
pub(super) struct Latest<K, T>(Mutex<HashMap<K, Arc<Question<T>>>>);

/// The answer that came last and when its question was asked.
type Question<T> = tokio::sync::Mutex<Option<(Instant, T)>>;

impl<K, T> Default for Latest<K, T> {
    fn default() -> Self {
        Self(Mutex::default())
    }
}

impl<K: Eq + Hash + Clone, T: Clone> Latest<K, T> {
    pub async fn ask<F: Future<Output = T>>(&self, key: K, ask: impl FnOnce() -> F) -> T {
        let came = Instant::now();
        let question = {
            let mut questions = self.0.lock();
            // Who is cancelled while asking leaves his question behind.
            if questions.len() >= MAX_IDLE_QUESTIONS {
                questions.retain(|_, question| Arc::strong_count(question) > 1);
            }
            questions.entry(key.clone()).or_default().clone()
        };
        let mut answer = question.lock().await;
        if let Some((asked, value)) = &*answer
            && *asked >= came
        {
            return value.clone();
        }
        let asked = Instant::now();
        let value = ask().await;
        *answer = Some((asked, value.clone()));
        drop(answer);
        let mut questions = self.0.lock();
        // One reference is the map's and one is ours: nobody waits any more.
        if questions
            .get(&key)
            .is_some_and(|question| Arc::strong_count(question) <= 2)
        {
            questions.remove(&key);
        }
        value
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures_util::future::join_all;
    use std::sync::atomic::{AtomicU32, Ordering};
    use tokio::sync::Semaphore;

    #[tokio::test]
    async fn two_hundred_who_ask_at_once_share_one_flight() {
        let flights = Flights::<&str, u32>::default();
        let count = Arc::new(AtomicU32::new(0));
        let start = || {
            let count = count.clone();
            || async move { count.fetch_add(1, Ordering::Relaxed) }
        };
        let all: Vec<_> = (0..200).map(|_| flights.join("image", start())).collect();
        assert_eq!(all.iter().filter(|(_, started)| *started).count(), 1);
        let values = join_all(all.into_iter().map(|(flight, _)| flight)).await;
        assert!(values.iter().all(|value| *value == 0));
        assert_eq!(
            flights.run("image", start()).await,
            (1, true),
            "a finished flight is not joined"
        );
    }

    #[tokio::test]
    async fn a_flight_goes_on_without_the_one_who_started_it() {
        let flights = Flights::<&str, u32>::default();
        let gate = Arc::new(Semaphore::new(0));
        let wait = {
            let gate = gate.clone();
            || async move { gate.acquire().await.map_or(0, |_| 7) }
        };
        let (first, _) = flights.join("image", wait);
        let (second, started) = flights.join("image", || async { 8 });
        assert!(!started);
        drop(first);
        gate.add_permits(1);
        assert_eq!(second.await, 7);
    }

    #[tokio::test]
    async fn an_answer_is_not_given_to_who_came_after_its_question() {
        let latest = Latest::<&str, u32>::default();
        let count = AtomicU32::new(0);
        let ask = || async {
            tokio::task::yield_now().await;
            count.fetch_add(1, Ordering::Relaxed)
        };
        let answers = join_all((0..200).map(|_| latest.ask("tag", ask))).await;
        assert_eq!(answers[0], 0, "the first asks");
        assert!(
            answers[1..].iter().all(|answer| *answer <= 1),
            "the rest share at most one more question"
        );
        let before = count.load(Ordering::Relaxed);
        assert_eq!(
            latest.ask("tag", ask).await,
            before,
            "who comes later asks anew"
        );
        assert!(latest.0.lock().is_empty());
    }
}
