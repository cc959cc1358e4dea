//! Holds tasks to their ephemeral storage, as well as it can be done without a file system that does: now and then it
//! is counted what a task has written, and one that has written too much is stopped. When the disk runs out of space,
//! it is counted at once.
//!
//! On Fargate the task's disk is full at that size and the write fails. What is the same is whose fault the end is: the
//! task's own, as when it exits because of the failed write. Image layers, which count on Fargate, do not count here:
//! tasks share them.

use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use neargate_cgroup::TaskCgroup;
use neargate_files::reserve;
use neargate_files::tree::{self, UsageError};
use tokio::sync::{Semaphore, watch};

use super::unlinked;

/// Between two counts of a task.
const INTERVAL: Duration = Duration::from_secs(30);
/// The same while the disk has no space but what is reserved for Neargate.
const SCARCE_INTERVAL: Duration = Duration::from_secs(5);
/// Between two looks at the disk's free space, which cost nothing.
const LOOK_INTERVAL: Duration = Duration::from_secs(1);
/// A count walks all of a task's files. Where that takes long, the pause is so many times longer.
const PAUSES_PER_WALK: u32 = 20;
/// Files, directories and links for each GiB of ephemeral storage: as many as `mkfs.ext4` has room for on a disk of that
/// size, one per 16 KiB.
const ENTRIES_PER_GIB: u64 = 65_536;
/// Counts in a row during which a task moved its directories about so that they could not be counted. No program does
/// that by chance.
const MAX_UNCOUNTED: u32 = 3;
const GIB: u64 = 1 << 30;

/// Counts one task at a time, whatever their number: the disk is theirs.
#[derive(Clone)]
pub struct Counter {
    turns: Arc<Semaphore>,
    /// Whether the disk has no space but what is reserved.
    scarce: watch::Sender<bool>,
}

impl Default for Counter {
    fn default() -> Self {
        Self {
            turns: Arc::new(Semaphore::new(1)),
            scarce: watch::Sender::new(false),
        }
    }
}

impl Counter {
    /// Looks after the disk that the tasks write to, for as long as it is polled.
    pub async fn watch_disk(&self, tasks: &Path) {
        loop {
            let scarce = File::open(tasks).and_then(reserve::is_scarce);
            let scarce = scarce.unwrap_or_else(|error| {
                tracing::warn!(%error, "the disk's free space is not known");
                false
            });
            let changed = self.scarce.send_if_modified(|known| {
                let changed = *known != scarce;
                *known = scarce;
                changed
            });
            if changed && scarce {
                tracing::warn!(
                    dir = %tasks.display(),
                    "the disk is nearly full: tasks that are over their ephemeral storage are looked for, and logs do not grow"
                );
            }
            tokio::time::sleep(LOOK_INTERVAL).await;
        }
    }

    /// Waits until a task has written more than it may, and answers its `stoppedReason`.
    pub async fn exceeded(
        self,
        task_dir: PathBuf,
        cgroup: Option<TaskCgroup>,
        limit_gib: u64,
    ) -> String {
        if limit_gib == 0 {
            return std::future::pending().await;
        }
        let mut pause = INTERVAL;
        let mut uncounted = 0;
        loop {
            self.wait(pause).await;
            let (dir, cgroup) = (task_dir.clone(), cgroup.clone());
            // Never closed.
            let turn = self.turns.clone().acquire_owned().await;
            let counted = tokio::task::spawn_blocking(move || {
                let began = Instant::now();
                let pids = cgroup.and_then(|group| group.pids().ok());
                let excess = excess(&dir, &pids.unwrap_or_default(), limit_gib);
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
                Ok(None) => uncounted = 0,
                Err(UsageError::Moved) => {
                    uncounted += 1;
                    if uncounted == MAX_UNCOUNTED {
                        return "Ephemeral storage exceeded: the task moves its directories faster than they can be counted".to_owned();
                    }
                }
                Err(UsageError::Io(error)) => {
                    tracing::warn!(dir = %task_dir.display(), %error, "a task's ephemeral storage cannot be counted");
                }
            }
        }
    }

    /// Until it is time for the next count.
    async fn wait(&self, pause: Duration) {
        let mut scarce = self.scarce.subscribe();
        tokio::select! {
            () = tokio::time::sleep(pause) => {}
            () = async {
                tokio::time::sleep(SCARCE_INTERVAL.min(pause)).await;
                // The sender is this counter's.
                let _ = scarce.wait_for(|scarce| *scarce).await;
            } => {}
        }
    }
}

fn excess(task_dir: &Path, pids: &[i32], limit_gib: u64) -> Result<Option<String>, UsageError> {
    let most_entries = limit_gib.saturating_mul(ENTRIES_PER_GIB);
    let mut used = used(task_dir, most_entries)?;
    used.bytes += unlinked::bytes(task_dir, pids).map_err(UsageError::Io)?;
    #[expect(clippy::cast_precision_loss, reason = "shown with one digit")]
    let gib = |bytes: u64| bytes as f64 / GIB as f64;
    Ok(if used.entries > most_entries {
        Some(format!(
            "Ephemeral storage exceeded: the task has more than {most_entries} files and directories"
        ))
    } else if used.bytes > limit_gib.saturating_mul(GIB) {
        let used = gib(used.bytes);
        Some(format!(
            "Ephemeral storage exceeded: the task used {used:.1} GiB of {limit_gib}.0 GiB"
        ))
    } else {
        None
    })
}

/// What a task has written: writable layers, volumes, and the files that every container has from the task.
fn used(task_dir: &Path, most_entries: u64) -> Result<tree::Usage, UsageError> {
    let mut places = vec![task_dir.join("volumes"), task_dir.join("network")];
    let containers = std::fs::read_dir(task_dir.join("containers")).map_err(UsageError::Io)?;
    for container in containers {
        places.push(container.map_err(UsageError::Io)?.path().join("upper"));
    }
    let mut used = tree::Usage::default();
    for place in places {
        match tree::usage(&place, most_entries.saturating_sub(used.entries)) {
            Ok(more) => {
                used.bytes += more.bytes;
                used.entries += more.entries;
            }
            // What is not there, or not any more, takes no place.
            Err(UsageError::Io(error)) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(error),
        }
    }
    Ok(used)
}

#[cfg(test)]
mod tests {
    use std::fs;

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
    fn everything_that_a_task_can_write_counts_together() {
        let task = tempfile::tempdir().expect("a directory");
        let at = |path: &str| task.path().join(path);
        fs::create_dir(at("containers")).expect("made");
        let mib = || used(task.path(), u64::MAX).expect("counted").bytes / MIB;
        assert_eq!(mib(), 0, "nothing is written, and there are no volumes");
        write(&at("containers/app/upper/data/file"), 2 * MIB);
        fs::create_dir(at("containers/new")).expect("made");
        assert_eq!(mib(), 2, "one layer");
        write(&at("containers/side/upper/file"), 2 * MIB);
        assert_eq!(mib(), 4, "two layers");
        write(&at("volumes/cache/file"), 2 * MIB);
        assert_eq!(mib(), 6, "and a volume");
        write(&at("network/hosts"), 2 * MIB);
        assert_eq!(mib(), 8, "and /etc/hosts");
        write(&at("logs/app/0"), 2 * MIB);
        write(&at("containers/app/rootfs/bin/sh"), 2 * MIB);
        assert_eq!(mib(), 8, "neither logs nor images");
        File::create(at("volumes/cache/hole"))
            .and_then(|file| file.set_len(100 * MIB))
            .expect("made");
        assert_eq!(mib(), 8, "a hole takes no place");
    }

    #[test]
    fn the_reason_says_how_much() {
        let task = tempfile::tempdir().expect("a directory");
        write(&task.path().join("containers/app/upper/file"), 60 * MIB);
        let reason = |limit_gib| excess(task.path(), &[], limit_gib).expect("counted");
        assert_eq!(reason(1), None);
        // Nothing is that small: here it is what makes the sizes easy.
        let want = "Ephemeral storage exceeded: the task has more than 0 files and directories";
        assert_eq!(reason(0).as_deref(), Some(want));
        fs::remove_dir_all(task.path().join("containers/app/upper")).expect("removed");
        assert_eq!(reason(0), None);
    }
}
