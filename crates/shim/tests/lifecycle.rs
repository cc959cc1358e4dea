//! A task's life with real containers.

mod support;

use std::time::{Duration, Instant};

use neargate_domain::task::{ContainerStatus, HealthStatus, StopCode};
use neargate_shim::spec::{
    DependencyCondition, DependencySpec, HealthCheckSpec, RestartPolicySpec,
};
use neargate_shim::state::TaskPhase;
use support::{Task, exit_codes, of, runtimes};

fn depends_on(container: &str, condition: DependencyCondition) -> Vec<DependencySpec> {
    vec![DependencySpec {
        container: container.into(),
        condition,
    }]
}

fn health(command: &[&str]) -> Option<HealthCheckSpec> {
    Some(HealthCheckSpec {
        command: command.iter().map(|&word| word.into()).collect(),
        interval_millis: 50,
        timeout_millis: 5_000,
        retries: 2,
        start_period_millis: 0,
    })
}

#[test]
fn exit_codes_and_reasons() {
    for runtime in runtimes() {
        for (name, script, want) in [
            ("zero", "exit 0", 0),
            ("a code", "exit 7", 7),
            ("killed by itself", "kill -9 $$; sleep 9", 0),
        ] {
            let mut task = Task::new(runtime);
            task.container("app", script);
            let mut watcher = task.start();
            let state = watcher.wait_until_stopped();
            // Signals that the first process of a pid namespace sends itself have no effect; sleep has its own end.
            if name != "killed by itself" {
                assert_eq!(exit_codes(&state), [Some(want)], "{runtime}: {name}");
            }
            assert_eq!(
                state.task.stop_code,
                Some(StopCode::EssentialContainerExited),
                "{runtime}: {name}"
            );
            assert_eq!(
                state.task.stopped_reason.as_deref(),
                Some("Essential container in task exited")
            );
            let app = of(&state, "app");
            assert!(
                app.started_at <= app.finished_at && app.started_at.is_some(),
                "{app:?}"
            );
            assert!(
                state.task.execution_stopped_at >= app.finished_at,
                "{state:?}"
            );
            assert_eq!(task.state(), state, "the file says the same");
            task.finish(&mut watcher);
        }
    }
}
