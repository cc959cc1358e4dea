//! Which targets' health became another: for those who shall look at these and at no others.

use std::collections::BTreeSet;
use std::sync::{Arc, Weak};

use parking_lot::Mutex;
use tokio::sync::Notify;

/// A registered target of a target group.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TargetKey {
    pub group_arn: String,
    pub id: String,
    pub port: u16,
}

/// Where changes are told.
#[derive(Default)]
pub struct HealthFollowers(Mutex<Vec<Weak<Untaken>>>);

/// One follower's changes, from when it began to follow.
pub struct HealthChanges(Arc<Untaken>);

/// A target that changes twice before it is taken is there once, so that a slow follower has no queue.
#[derive(Default)]
struct Untaken {
    targets: Mutex<BTreeSet<TargetKey>>,
    told: Notify,
}

impl HealthFollowers {
    pub fn follow(&self) -> HealthChanges {
        let untaken = Arc::new(Untaken::default());
        self.0.lock().push(Arc::downgrade(&untaken));
        HealthChanges(untaken)
    }

    pub fn tell(&self, changed: &[TargetKey]) {
        if changed.is_empty() {
            return;
        }
        self.0.lock().retain(|follower| {
            let Some(untaken) = follower.upgrade() else {
                return false;
            };
            untaken.targets.lock().extend(changed.iter().cloned());
            untaken.told.notify_one();
            true
        });
    }
}

impl HealthChanges {
    /// The targets that changed since the last call; waits for one.
    pub async fn next(&self) -> BTreeSet<TargetKey> {
        loop {
            let changed = std::mem::take(&mut *self.0.targets.lock());
            if !changed.is_empty() {
                return changed;
            }
            self.0.told.notified().await;
        }
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt as _;

    use super::*;

    fn target(port: u16) -> TargetKey {
        TargetKey {
            group_arn: "group".to_owned(),
            id: "10.0.0.1".to_owned(),
            port,
        }
    }

    #[test]
    fn each_follower_takes_each_change_once() {
        let followers = HealthFollowers::default();
        let (first, second) = (followers.follow(), followers.follow());
        let taken = |from: &HealthChanges| -> Option<Vec<u16>> {
            let changed = from.next().now_or_never()?;
            Some(changed.into_iter().map(|target| target.port).collect())
        };
        followers.tell(&[]);
        assert_eq!(taken(&first), None, "nothing is no change");
        followers.tell(&[target(1), target(2)]);
        followers.tell(&[target(2), target(3)]);
        assert_eq!(taken(&first), Some(vec![1, 2, 3]));
        assert_eq!(taken(&first), None, "it was taken");
        drop(first);
        followers.tell(&[target(4)]);
        assert_eq!(taken(&second), Some(vec![1, 2, 3, 4]));
        assert_eq!(followers.0.lock().len(), 1, "who has gone is forgotten");
    }
}
