//! How long `run --detach` takes, from exec of the runtime to its exit, when the container's command runs: ours, and
//! runc and crun where they are installed, with the same bundles.
//!
//! `cargo bench -p neargate-runtime`; needs root. Prints one line for each runtime.

#[path = "../tests/host/mod.rs"]
#[allow(
    dead_code,
    reason = "shared with the tests, each of which uses its part"
)]
mod host;

use std::path::Path;
use std::time::Instant;

use host::Host;
use neargate_runtime::spec::{ContainerSettings, Ulimit};

const ROUNDS: usize = 30;

fn main() {
    for runtime in [host::OURS, "/usr/sbin/runc", "/usr/bin/crun"] {
        let path = Path::new(runtime);
        if !path.exists() {
            continue;
        }
        let Some(host) = Host::with_runtime(path) else {
            return;
        };
        // Within what any root may have: runc does not lower a limit to the host's.
        let nofile = Ulimit {
            name: "nofile".to_owned(),
            soft: 1024,
            hard: 4096,
        };
        let settings = ContainerSettings {
            memory_mib: 128,
            cpu_units: 256,
            ulimits: vec![nofile],
            ..ContainerSettings::default()
        };
        let mut times = Vec::new();
        for round in 0..ROUNDS {
            let id = format!("c{round}");
            let bundle = host.bundle(&id, "true", "", &settings);
            let begin = Instant::now();
            match host.start(&id, &bundle) {
                Ok(pid) => {
                    times.push(begin.elapsed());
                    let ended = host.wait(&id, pid);
                    assert_eq!((ended.code, ended.output.as_str()), (0, ""));
                    host.delete(&id);
                }
                Err(error) => {
                    println!("{runtime}: does not run here: {error}");
                    break;
                }
            }
        }
        times.sort();
        if let (Some(least), Some(median), Some(most)) =
            (times.first(), times.get(times.len() / 2), times.last())
        {
            println!(
                "{runtime}: median {median:.1?}, least {least:.1?}, most {most:.1?} of {} starts",
                times.len()
            );
        }
    }
}
