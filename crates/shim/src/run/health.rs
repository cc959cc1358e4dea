//! Health checks: another process in the container, from the container's own process with another command.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::fs;
use std::io;
use std::path::Path;

use neargate_planner::supervision::Event;
use serde::Deserialize;
use serde_json::value::{RawValue, to_raw_value};

use super::Shim;
use super::children::Job;
use super::runtime::{self, Streams};
use crate::spec::ContainerSpec;

/// The one member of `config.json` that matters here, its own members unread: user, environment, capabilities and
/// limits of the check are those of the container.
#[derive(Deserialize)]
struct BundleConfig {
    process: BTreeMap<String, Box<RawValue>>,
}

impl Shim {
    pub(super) fn check_health(&mut self, container: usize, check: u64) {
        if let Err(error) = self.exec_health_check(container, check) {
            super::note("cannot run a health check", error);
            self.pending.push_back(Event::HealthChecked {
                container,
                check,
                passed: false,
            });
        }
    }

    fn exec_health_check(&mut self, index: usize, check: u64) -> io::Result<()> {
        if self.children.has_health_exec(index) {
            return Err(io::Error::other(
                "the runtime has not finished the one before",
            ));
        }
        let container = &mut self.containers[index];
        let spec = &container.spec;
        let files = &container.files;
        if !container.health_process_written {
            fs::write(&files.health_process, health_process(spec, &files.bundle)?)?;
            container.health_process_written = true;
        }
        let _ = fs::remove_file(&files.health_pid);
        let pid = runtime::spawn(
            &self.spec.runtime,
            &files.log,
            [
                "exec".as_ref(),
                "--detach".as_ref(),
                "--process".as_ref(),
                files.health_process.as_os_str(),
                "--pid-file".as_ref(),
                files.health_pid.as_os_str(),
                OsStr::new(&spec.id),
            ],
            Streams::null(),
        )?;
        self.children.add(
            pid,
            Job::HealthExec {
                container: index,
                check,
                aborted: false,
            },
        );
        Ok(())
    }
}

fn health_process(spec: &ContainerSpec, bundle: &Path) -> io::Result<Vec<u8>> {
    let config = fs::read(bundle.join("config.json"))?;
    let mut process = serde_json::from_slice::<BundleConfig>(&config)?.process;
    let argv = spec.health_check.as_ref().map(|check| check.argv());
    process.insert("args".into(), to_raw_value(&argv.unwrap_or_default())?);
    process.insert("terminal".into(), to_raw_value(&false)?);
    process.remove("consoleSize");
    process.remove("commandLine");
    Ok(serde_json::to_vec(&process)?)
}
