//! How many processors a task's containers see: as many as its size rounds up to, as under Fargate, and not all of the
//! machine's, for which a JVM, Go and nginx would size themselves.
//!
//! A container gets files of fixed text over the few that programs read: `cpu.max` or `cpu.cfs_quota_us` of its control
//! group (the JVM, Go 1.25 and later, Node.js, .NET, Rust), `/sys/devices/system/cpu/online` (the C library's
//! `sysconf`: nginx, Python, Ruby) and `/proc/cpuinfo`. That costs some bind mounts at the start and nothing afterwards.
//!
//! Rejected: a cpuset. It pins, so that a task waits for its processor while another one idles, and nobody can balance
//! pins as fast as the scheduler does without them. So `sched_getaffinity`, which `nproc` and Go before 1.25 ask, names
//! all processors still. A quota that binds is for where CPU is not overcommitted; it is the task's group's, which a
//! container does not see, hence the file there as well.

use std::fs;
use std::io;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::Mutex;

use neargate_cgroup::{CpuQuota, Layout};
use neargate_runtime::spec::Bind;

/// CPU units of a whole vCPU.
const UNITS_PER_VCPU: u64 = 1024;
const CPUINFO: &str = "/proc/cpuinfo";
const ONLINE: &str = "/sys/devices/system/cpu/online";

/// Held while the files of a size are made, which tasks that start together share.
static MAKING: Mutex<()> = Mutex::new(());

/// The mounts for a task of this size; their texts are below `run`, written once for each size.
pub fn binds(run: &Path, layout: &Layout, cpu_units: u64) -> io::Result<Vec<Bind>> {
    let dir = run.join("cpus").join(cpu_units.to_string());
    let machine = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    let shown = shown(cpu_units);
    let quota = CpuQuota::of_cpu_units(cpu_units);
    let (quota_file, quota_text) = match layout {
        Layout::V1 { controllers, .. } => {
            let tree = controllers.get("cpu").and_then(|mount| mount.file_name());
            let tree = Path::new("/sys/fs/cgroup").join(tree.unwrap_or("cpu".as_ref()));
            (
                tree.join("cpu.cfs_quota_us"),
                format!("{}\n", quota.quota_us),
            )
        }
        Layout::V2 { .. } => (
            PathBuf::from("/sys/fs/cgroup/cpu.max"),
            format!("{} {}\n", quota.quota_us, quota.period_us),
        ),
    };
    let mut texts = Vec::new();
    // A kernel without CFS bandwidth has no such file to be covered.
    if layout.has_cpu_quota() {
        texts.push((quota_file, quota_text));
    }
    if shown < machine {
        texts.push((
            PathBuf::from(CPUINFO),
            first_processors(&fs::read_to_string(CPUINFO)?, shown),
        ));
        if Path::new(ONLINE).exists() {
            texts.push((PathBuf::from(ONLINE), online(shown)));
        }
    }
    // Who panicked meanwhile left nothing half: files are replaced whole.
    let _making = MAKING
        .lock()
        .unwrap_or_else(std::sync::PoisonError::into_inner);
    neargate_files::private::make_dir(&dir)?;
    texts
        .into_iter()
        .map(|(destination, text)| {
            let source = dir.join(destination.file_name().unwrap_or_default());
            if !source.exists() {
                neargate_files::replace_unsynced(&source, text.as_bytes())?;
                // For every user of a container, whatever our umask is.
                fs::set_permissions(&source, fs::Permissions::from_mode(0o444))?;
            }
            Ok(Bind {
                source,
                destination: destination.display().to_string(),
                read_only: true,
            })
        })
        .collect()
}

/// A quarter and a half are one.
fn shown(cpu_units: u64) -> usize {
    usize::try_from(cpu_units.div_ceil(UNITS_PER_VCPU).max(1)).unwrap_or(usize::MAX)
}

fn online(shown: usize) -> String {
    match shown {
        1 => "0\n".to_owned(),
        more => format!("0-{}\n", more - 1),
    }
}

/// A paragraph for each processor; on some architectures there is one for the machine too, which stays.
fn first_processors(cpuinfo: &str, shown: usize) -> String {
    let mut seen = 0;
    let mut text = String::new();
    for paragraph in cpuinfo.split_inclusive("\n\n") {
        if paragraph.starts_with("processor") {
            seen += 1;
            if seen > shown {
                continue;
            }
        }
        text.push_str(paragraph);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tasks_that_start_together_share_the_files() {
        let run = tempfile::tempdir().expect("a directory");
        let layout = Layout::detect().expect("control groups");
        std::thread::scope(|threads| {
            for units in [256, 512].repeat(8) {
                let (run, layout) = (run.path(), &layout);
                threads.spawn(move || {
                    for bind in binds(run, layout, units).expect("made") {
                        let mode = fs::metadata(&bind.source).expect("there").permissions();
                        assert_eq!(mode.mode() & 0o777, 0o444, "{}", bind.source.display());
                    }
                });
            }
        });
    }

    #[test]
    fn sizes_round_up() {
        for (units, processors, text) in [
            (256, 1, "0\n"),
            (512, 1, "0\n"),
            (1024, 1, "0\n"),
            (2048, 2, "0-1\n"),
            (4096, 4, "0-3\n"),
            (16_384, 16, "0-15\n"),
        ] {
            assert_eq!(shown(units), processors, "{units}");
            assert_eq!(online(shown(units)), text, "{units}");
        }
    }

    #[test]
    fn the_first_processors_and_what_is_of_no_processor_stay() {
        let text = "processor\t: 0\nmodel\t: x\n\nprocessor\t: 1\nmodel\t: x\n\nprocessor\t: 2\n\nHardware\t: y\n";
        assert_eq!(
            first_processors(text, 2),
            "processor\t: 0\nmodel\t: x\n\nprocessor\t: 1\nmodel\t: x\n\nHardware\t: y\n"
        );
        assert_eq!(first_processors(text, 9), text);
        assert_eq!(first_processors("", 1), "");
    }
}
