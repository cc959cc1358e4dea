//! The way down: dependents before what they depend on, each container with its own stop signal and stopTimeout.

use super::advance::Action;
use super::plan::TaskPlan;
use super::state::{ContainerStop, Moment, Phase, TaskState};

const SIGKILL: i32 = 9;

/// One pass over a task that stops. Containers that never began end at once; the others are signalled as soon as all
/// that depend on them are gone.
pub(super) fn stop_what_may(
    plan: &TaskPlan,
    state: &mut TaskState,
    now: Moment,
    actions: &mut Vec<Action>,
) {
    let Some(request) = &state.stop else { return };
    let signal = request.signal;
    loop {
        let mut changed = false;
        for index in 0..state.containers.len() {
            let dependents_gone = plan
                .dependents(index)
                .iter()
                .all(|&on| state.containers[on].is_stopped());
            let container = &mut state.containers[index];
            match container.phase {
                Phase::Pending => {
                    container.end(None, None);
                    changed = true;
                }
                Phase::Running { .. } if dependents_gone && container.stop.is_none() => {
                    if let Some(check) = container
                        .health
                        .as_mut()
                        .and_then(|health| health.suspend())
                    {
                        actions.push(Action::AbortHealthCheck {
                            container: index,
                            check,
                        });
                    }
                    let signal = signal.unwrap_or(plan.containers()[index].stop_signal);
                    let kill_at = now.after(plan.containers()[index].stop_timeout);
                    container.stop = Some(ContainerStop {
                        kill_at,
                        killed: signal == SIGKILL,
                    });
                    actions.push(Action::Signal {
                        container: index,
                        signal,
                    });
                }
                _ => {}
            }
        }
        if !changed {
            break;
        }
    }
    for (index, container) in state.containers.iter_mut().enumerate() {
        if let Some(stop) = &mut container.stop
            && !stop.killed
            && stop.kill_at <= now
        {
            stop.killed = true;
            actions.push(Action::Signal {
                container: index,
                signal: SIGKILL,
            });
        }
    }
}
