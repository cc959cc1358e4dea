//! One pass over a deployment that CodeDeploy made to roll another one back: traffic returns to the task set that had
//! it before, and the other one goes. No third task set is made.

use neargate_domain::Timestamp;

use super::failure::Failure;
use super::lifecycle::{Event, EventStatus};
use super::progress::{Action, Plan, Progress, Seen, Status};

/// `seen` speaks of the failed deployment's blue and green. Hooks are not called, nothing is waited for.
pub fn roll_back(progress: &Progress, seen: &Seen, now: Timestamp) -> Plan {
    let mut plan = Plan {
        progress: progress.clone(),
        actions: Vec::new(),
        wake_at: None,
    };
    let next = &mut plan.progress;
    if next.status.is_final() {
        return plan;
    }
    if next.status == Status::Created {
        next.status = Status::InProgress;
        next.started_at = Some(now);
        if seen.blue.is_none() {
            next.status = Status::Failed;
            next.completed_at = Some(now);
            next.failure = Some(Failure::task_set_gone());
            for event in &mut next.events {
                event.status = EventStatus::Skipped;
            }
            return plan;
        }
        for event in &mut next.events {
            event.status = match event.event {
                Event::AllowTestTraffic | Event::AllowTraffic => EventStatus::Succeeded,
                _ => EventStatus::Skipped,
            };
            event.started_at = Some(now);
            event.ended_at = Some(now);
        }
        plan.actions = vec![
            Action::RouteProduction { green_percent: 0.0 },
            Action::RouteTest { green: false },
            Action::MakeBluePrimary,
            Action::DeleteGreen,
        ];
        next.deleting = true;
        return plan;
    }
    if seen.green.is_none() {
        next.status = Status::Succeeded;
        next.completed_at = Some(now);
    }
    plan
}
