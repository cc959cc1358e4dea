//! Whether a container that exited runs again.
//!
//! Source: ECS developer guide, "Restart individual containers in Amazon ECS tasks with container restart policies".

use std::time::Duration;

use super::plan::RestartPlan;

/// The task must not be stopping, the code must not be ignored, and the run must have lasted the attempt period.
pub(super) fn runs_again(
    policy: Option<&RestartPlan>,
    task_stops: bool,
    exit_code: i32,
    ran_for: Duration,
) -> bool {
    policy.is_some_and(|policy| {
        !task_stops
            && !policy.ignored_exit_codes.contains(&exit_code)
            && ran_for >= policy.attempt_period
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_container_runs_again_only_if_nothing_speaks_against_it() {
        let policy = RestartPlan {
            ignored_exit_codes: vec![0, 3],
            attempt_period: Duration::from_secs(60),
        };
        for (name, policy, task_stops, exit_code, ran_secs, want) in [
            ("no policy", None, false, 1, 900, false),
            ("ran long enough", Some(&policy), false, 1, 61, true),
            ("ran exactly the period", Some(&policy), false, 1, 60, true),
            ("ran too short", Some(&policy), false, 1, 59, false),
            ("code ignored", Some(&policy), false, 3, 900, false),
            ("code 0 ignored", Some(&policy), false, 0, 900, false),
            ("killed", Some(&policy), false, 137, 900, true),
            ("task stops", Some(&policy), true, 1, 900, false),
        ] {
            assert_eq!(
                runs_again(policy, task_stops, exit_code, Duration::from_secs(ran_secs)),
                want,
                "{name}"
            );
        }
    }
}
