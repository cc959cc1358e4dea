//! Counts what became of tasks, each thing once: failures in a row, the circuit breaker's stage, the launch back-off.

use super::events;
use super::memory::{BackOff, Topic};
use super::pass::Pass;
use super::plan::ServiceEvent;
use super::snapshot::{EndCause, Stage, TargetState};
use super::verdict::{Condition, Failure};

/// So many rounds of launches have to fail before the event says that tasks do not start consistently.
const IMPAIRED_AFTER_ROUNDS: u32 = 3;

/// Notes news about the tasks of all groups.
pub(super) fn account(pass: &mut Pass<'_>) {
    let mut said = Vec::new();
    let mut impaired = false;
    let resets = pass.seen.service.circuit_breaker.reset_on_healthy_task;
    for group in &mut pass.groups {
        let memory = &mut group.memory;
        for seen in &group.tasks {
            let mut noted = seen.task.noted;
            if seen.task.running_since.is_some() && !noted.ran {
                noted.ran = true;
                memory.back_off = None;
                if !memory.has_run {
                    // The circuit breaker's second stage begins to count afresh.
                    memory.has_run = true;
                    if resets {
                        memory.failed_tasks = 0;
                    }
                }
            }
            match seen.condition {
                Condition::Healthy if !noted.healthy || noted.failing => {
                    noted.healthy = true;
                    noted.failing = false;
                    group.recovered = true;
                }
                Condition::Failing(failure) if !noted.failing => {
                    noted.failing = true;
                    memory.failed_tasks = memory.failed_tasks.saturating_add(1);
                    let target_groups = group.group.map_or(&[][..], |g| &g.target_groups);
                    said.push(unhealthy(
                        pass.seen.service.name.as_str(),
                        seen.id,
                        seen.task,
                        failure,
                        target_groups,
                    ));
                }
                _ => {}
            }
            if let Stage::Ended(cause) = seen.task.stage
                && !noted.ended
            {
                noted.ended = true;
                let own_fault = matches!(cause, EndCause::FailedToStart | EndCause::Exited);
                if own_fault && seen.task.leaving.is_none() {
                    if !noted.failing {
                        memory.failed_tasks = memory.failed_tasks.saturating_add(1);
                    }
                    if seen.task.running_since.is_none() {
                        let next = BackOff::after_failure(
                            memory.back_off,
                            seen.task.created_at,
                            pass.now,
                            &pass.seen.timing,
                        );
                        impaired |= next.rounds >= IMPAIRED_AFTER_ROUNDS;
                        memory.back_off = Some(next);
                    }
                }
            }
            if noted != seen.task.noted {
                pass.plan.notes.push((seen.id.to_owned(), noted));
            }
        }
        if group.recovered {
            memory.has_been_healthy = true;
            if resets {
                memory.failed_tasks = 0;
            }
        }
    }
    for event in said {
        pass.say(event);
    }
    if impaired {
        let event = events::start_impaired(pass.name());
        pass.say_once(Topic::Impaired, event);
    }
}

fn unhealthy(
    service: &str,
    id: &str,
    task: &super::snapshot::TaskView,
    failure: Failure,
    target_groups: &[super::snapshot::TargetGroupUse],
) -> ServiceEvent {
    match failure {
        Failure::Container => events::container_unhealthy(service, id),
        Failure::Target(position) => {
            let reason = match task.target(position) {
                TargetState::Unhealthy { reason } => reason.as_str(),
                _ => "Health checks failed",
            };
            let target_group = &target_groups[position];
            events::target_unhealthy(
                service,
                id,
                target_group.container_port,
                &target_group.arn,
                reason,
            )
        }
    }
}
