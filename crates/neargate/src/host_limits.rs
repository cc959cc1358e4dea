//! Limits of the machine that tasks meet and that the kernel shares between all processes of root, and what Neargate's own
//! processes are spared when memory runs out.

use std::path::Path;

use neargate_runtime::DEFAULT_NOFILE;

/// Of the server, the node and the load balancer: the kernel kills a task's process first, and the shims, which are at
/// -999, after all others.
const OOM_SCORE_ADJ: &str = "-900";
/// So many inotify instances are enough for some hundred tasks that watch files; the kernel's default is 128.
const ENOUGH_INOTIFY_INSTANCES: u64 = 1024;
/// What an open file costs at least, which a task pays with its memory. With fewer files than the memory is worth, the
/// table is full before the memory is.
const OPEN_FILE_BYTES: u64 = 256;

/// Keeps this process from being killed for the memory of others. Where Neargate may not do that (without
/// CAP_SYS_RESOURCE) containers are the likelier victims still.
pub fn be_spared() {
    let _ = std::fs::write("/proc/self/oom_score_adj", OOM_SCORE_ADJ);
}

/// What `doctor` says of them.
pub fn notes() -> Vec<String> {
    let number = |path: &str| -> Option<u64> {
        let text = std::fs::read_to_string(Path::new("/proc/sys/fs").join(path)).ok()?;
        text.trim().parse().ok()
    };
    let memory = neargate_cgroup::Layout::detect().map_or(0, |layout| {
        neargate_cgroup::Capacity::read(&layout).memory_bytes
    });
    [
        neargate_runtime::files_below_default().map(files_of_a_process),
        number("file-max").and_then(|files| files_of_the_machine(files, memory)),
        number("inotify/max_user_instances").and_then(inotify),
    ]
    .into_iter()
    .flatten()
    .collect()
}

fn files_of_a_process(most: u64) -> String {
    format!(
        "open files: containers get {most} and not Fargate's {DEFAULT_NOFILE}, nor what `ulimits` asks for above that, since neargate may not raise limits; \
         start it with CAP_SYS_RESOURCE or with a higher `ulimit -Hn`"
    )
}

fn files_of_the_machine(files: u64, memory: u64) -> Option<String> {
    (files < memory / OPEN_FILE_BYTES).then(|| {
        format!(
            "fs.file-max is {files}: a task with enough memory can open all of them, and then no other task can open any; \
             do as systemd does: `sysctl -w fs.file-max=9223372036854775807`"
        )
    })
}

fn inotify(instances: u64) -> Option<String> {
    (instances < ENOUGH_INOTIFY_INSTANCES).then(|| {
        format!(
            "fs.inotify.max_user_instances is {instances}: root's in all containers and on the machine share them, so one task can use them up; \
             raise it: `sysctl -w fs.inotify.max_user_instances=8192`"
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_one_task_could_use_up_is_said() {
        const GIB: u64 = 1 << 30;
        for (name, said, want) in [
            (
                "files as the kernel sets them",
                files_of_the_machine(2_466_193, 24 * GIB),
                true,
            ),
            (
                "files as systemd sets them",
                files_of_the_machine(i64::MAX as u64, 24 * GIB),
                false,
            ),
            ("inotify as the kernel sets it", inotify(128), true),
            ("inotify raised", inotify(8192), false),
        ] {
            assert_eq!(said.is_some(), want, "{name}: {said:?}");
        }
    }
}
