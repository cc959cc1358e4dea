//! Holds tasks to their ephemeral storage, as well as it can be done without a file system that does: now and then it
//! is counted what a task has written, and one that has written too much is stopped.
//!
//! On Fargate the task's disk is full at that size and the write fails. What is the same is whose fault the end is: the
//! task's own, as when it exits because of the failed write. Image layers, which count on Fargate, do not count here:
//! tasks share them.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::Semaphore;

use crate::images;

/// Between two counts of a task.
const INTERVAL: Duration = Duration::from_secs(30);
/// A count walks all of a task's files. Where that takes long, the pause is so many times longer.
const PAUSES_PER_WALK: u32 = 20;
const GIB: u64 = 1 << 30;

/// Counts one task at a time, whatever their number: the disk is theirs.
#[derive(Clone)]
pub struct Counter(Arc<Semaphore>);

impl Default for Counter {
    fn default() -> Self {
        Self(Arc::new(Semaphore::new(1)))
    }
}

impl Counter {
    /// Waits until a task has written more than it may, and answers its `stoppedReason`.
    pub async fn exceeded(self, task_dir: PathBuf, limit_gib: u64) -> String {
        if limit_gib == 0 {
            return std::future::pending().await;
        }
        let mut pause = INTERVAL;
        loop {
            tokio::time::sleep(pause).await;
            let dir = task_dir.clone();
            // Never closed.
            let turn = self.0.clone().acquire_owned().await;
            let counted = tokio::task::spawn_blocking(move || {
                let began = Instant::now();
                let excess = excess(&dir, limit_gib.saturating_mul(GIB));
                // Here and not in the waiting task, which may be gone before the walk has ended.
                drop(turn);
                (excess, began.elapsed())
            })
            .await;
            let Ok((excess, took)) = counted else {
                continue;
            };
            pause = INTERVAL.max(took * PAUSES_PER_WALK);
            match excess {
                Ok(Some(reason)) => return reason,
                Ok(None) => {}
                Err(error) => {
                    tracing::warn!(dir = %task_dir.display(), %error, "a task's ephemeral storage cannot be counted");
                }
            }
        }
    }
}

fn excess(task_dir: &Path, limit: u64) -> io::Result<Option<String>> {
    let used = used(task_dir)?;
    #[expect(clippy::cast_precision_loss, reason = "shown with one digit")]
    let gib = |bytes: u64| bytes as f64 / GIB as f64;
    Ok((used > limit).then(|| {
        let (used, limit) = (gib(used), gib(limit));
        format!("Ephemeral storage exceeded: the task used {used:.1} GiB of {limit:.1} GiB")
    }))
}

/// Bytes on disk of a task's writable layers and volumes.
fn used(task_dir: &Path) -> io::Result<u64> {
    let mut bytes = size(images::disk_usage(&task_dir.join("volumes")))?;
    for container in std::fs::read_dir(task_dir.join("containers"))? {
        bytes += size(images::rootfs_usage(&container?.path()))?;
    }
    Ok(bytes)
}

/// What is not there, or not any more, takes no place.
fn size(usage: io::Result<images::Usage>) -> io::Result<u64> {
    match usage {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(0),
        usage => Ok(usage?.bytes),
    }
}

#[cfg(test)]
mod tests {
    use std::fs::{self, File};

    use super::*;

    const MIB: u64 = 1 << 20;

    /// A file whose bytes are on disk, unlike those of a hole.
    fn write(path: &Path, bytes: u64) {
        let parent = path.parent().expect("below a directory");
        fs::create_dir_all(parent).expect("made");
        let bytes = usize::try_from(bytes).expect("small");
        fs::write(path, vec![7; bytes]).expect("written");
        // Some file systems place it only then.
        File::open(path)
            .and_then(|file| file.sync_all())
            .expect("on disk");
    }

    #[test]
    fn writable_layers_and_volumes_count_together() {
        let task = tempfile::tempdir().expect("a directory");
        let at = |path: &str| task.path().join(path);
        fs::create_dir(at("containers")).expect("made");
        let over = |limit| excess(task.path(), limit).expect("counted").is_some();
        assert!(!over(0), "nothing is written, and there are no volumes");
        write(&at("containers/app/upper/data/file"), 2 * MIB);
        fs::create_dir(at("containers/new")).expect("made");
        assert!(over(MIB) && !over(3 * MIB), "one layer");
        write(&at("containers/side/upper/file"), 2 * MIB);
        assert!(over(3 * MIB) && !over(5 * MIB), "two layers");
        write(&at("volumes/cache/file"), 2 * MIB);
        assert!(over(5 * MIB) && !over(7 * MIB), "and a volume");
        write(&at("logs/app/0"), 2 * MIB);
        write(&at("containers/app/rootfs/bin/sh"), 2 * MIB);
        assert!(!over(7 * MIB), "neither logs nor images");
        File::create(at("volumes/cache/hole"))
            .and_then(|file| file.set_len(100 * MIB))
            .expect("made");
        assert!(!over(7 * MIB), "a hole takes no place");
    }

    #[test]
    fn the_reason_says_how_much() {
        let task = tempfile::tempdir().expect("a directory");
        write(&task.path().join("containers/app/upper/file"), 60 * MIB);
        let reason = excess(task.path(), 10 * MIB).expect("counted");
        let want = "Ephemeral storage exceeded: the task used 0.1 GiB of 0.0 GiB";
        assert_eq!(reason.as_deref(), Some(want));
    }
}
