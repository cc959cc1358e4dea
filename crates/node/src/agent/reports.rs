//! What the node says of its tasks: the latest report of each, and which of them the server has not heard yet.

use std::collections::{BTreeMap, BTreeSet};

use neargate_node_api::TaskObserved;
use parking_lot::Mutex;
use tokio::sync::Notify;

#[derive(Default)]
pub struct Reports {
    inner: Mutex<Inner>,
    changed: Notify,
}

#[derive(Default)]
struct Inner {
    latest: BTreeMap<String, TaskObserved>,
    unsent: BTreeSet<String>,
}

impl Reports {
    /// Takes a task's newest state; several before the next message become one.
    pub fn put(&self, report: TaskObserved) {
        let mut inner = self.inner.lock();
        inner.unsent.insert(report.task_arn.clone());
        inner.latest.insert(report.task_arn.clone(), report);
        drop(inner);
        self.changed.notify_one();
    }

    /// The task is forgotten.
    pub fn remove(&self, task_arn: &str) {
        let mut inner = self.inner.lock();
        inner.latest.remove(task_arn);
        inner.unsent.remove(task_arn);
    }

    /// Everything, for a new session; nothing is unsent afterwards.
    pub fn all(&self) -> Vec<TaskObserved> {
        let mut inner = self.inner.lock();
        inner.unsent.clear();
        inner.latest.values().cloned().collect()
    }

    /// Waits until there is something to send, and takes it.
    pub async fn unsent(&self) -> Vec<TaskObserved> {
        loop {
            {
                let mut inner = self.inner.lock();
                let unsent = std::mem::take(&mut inner.unsent);
                if !unsent.is_empty() {
                    return unsent
                        .iter()
                        .filter_map(|arn| inner.latest.get(arn).cloned())
                        .collect();
                }
            }
            self.changed.notified().await;
        }
    }

    /// Digests of the images that tasks use which have not stopped.
    pub fn image_digests_in_use(&self) -> Vec<String> {
        let inner = self.inner.lock();
        let active = inner
            .latest
            .values()
            .filter(|t| t.phase() != neargate_node_api::TaskPhase::Stopped);
        active
            .flat_map(|t| t.containers.iter())
            .filter(|c| !c.image_digest.is_empty())
            .map(|c| c.image_digest.clone())
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use neargate_node_api::TaskPhase;

    use super::*;

    fn report(arn: &str, phase: TaskPhase) -> TaskObserved {
        TaskObserved {
            task_arn: arn.to_owned(),
            phase: phase.into(),
            ..TaskObserved::default()
        }
    }

    #[tokio::test]
    async fn changes_are_sent_once_and_the_latest_only() {
        let reports = Reports::default();
        reports.put(report("a", TaskPhase::Accepted));
        reports.put(report("a", TaskPhase::Running));
        reports.put(report("b", TaskPhase::Accepted));
        let sent = reports.unsent().await;
        let phases: Vec<_> = sent
            .iter()
            .map(|r| (r.task_arn.as_str(), r.phase()))
            .collect();
        assert_eq!(
            phases,
            [("a", TaskPhase::Running), ("b", TaskPhase::Accepted)]
        );
        reports.put(report("b", TaskPhase::Stopped));
        assert_eq!(
            reports.unsent().await.len(),
            1,
            "what was sent is not sent again"
        );
        assert_eq!(reports.all().len(), 2, "a new session hears of all");
    }
}
