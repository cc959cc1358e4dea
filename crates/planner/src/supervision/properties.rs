//! What holds for every plan and every order of events.

use std::time::Duration;

use neargate_domain::task::StopCode;
use proptest::prelude::*;

use super::rules::container;
use super::*;

/// Plans of 1 to 6 containers whose dependencies point backwards, so that there is no circle.
fn plans() -> impl Strategy<Value = TaskPlan> {
    let one = (
        any::<bool>(),
        prop::collection::vec((any::<prop::sample::Index>(), 0..4_u8), 0..3),
        prop::option::of(1..60_u64),
        (1..40_u64, any::<bool>(), any::<bool>()),
    );
    prop::collection::vec(one, 1..=6).prop_map(|list| {
        let mut containers: Vec<ContainerPlan> = Vec::new();
        for (index, (essential, depends_on, start_timeout, (stop_secs, checked, restarts))) in
            list.into_iter().enumerate()
        {
            let mut plan = container(&format!("c{index}"), &[]);
            for (on, condition) in depends_on.into_iter().filter(|_| index > 0) {
                let on = &mut containers[on.index(index)];
                let condition = match condition {
                    0 => Condition::Start,
                    1 => Condition::Complete,
                    2 => Condition::Success,
                    _ if on.health_check.is_some() => Condition::Healthy,
                    _ => Condition::Start,
                };
                plan.depends_on.push(Dependency {
                    container: on.name.clone(),
                    condition,
                });
            }
            plan.essential = essential;
            plan.start_timeout = start_timeout.map(Duration::from_secs);
            plan.stop_timeout = Duration::from_secs(stop_secs);
            plan.health_check = checked.then_some(HealthCheckPlan {
                interval: Duration::from_secs(5),
                timeout: Duration::from_secs(2),
                retries: 2,
                start_period: Duration::from_secs(7),
            });
            plan.restart = restarts.then_some(RestartPlan {
                ignored_exit_codes: vec![0],
                attempt_period: Duration::from_secs(20),
            });
            containers.push(plan);
        }
        TaskPlan::new(containers).expect("backward dependencies only")
    })
}

/// Any event, sensible at that moment or not.
fn events() -> impl Strategy<Value = (u64, Event)> {
    let index = 0..7_usize;
    let event = prop_oneof![
        2 => Just(Event::Tick),
        6 => index.clone().prop_map(|container| Event::Started { container }),
        1 => index.clone().prop_map(|container| Event::StartFailed {
            container,
            error: StartError::CannotStartContainer,
            text: "no".into(),
        }),
        4 => (index.clone(), prop_oneof![Just(0), Just(1), Just(137)])
            .prop_map(|(container, code)| Event::Exited { container, code, reason: None }),
        3 => (index, 0..5_u64, any::<bool>())
            .prop_map(|(container, check, passed)| Event::HealthChecked { container, check, passed }),
    ];
    (0..30_000_u64, event)
}

/// What the outside world would look like after the actions, to hold the actions against.
struct World<'a> {
    plan: &'a TaskPlan,
    /// Start asked for or running.
    alive: Vec<bool>,
    signalled: Vec<bool>,
    starts: Vec<u32>,
    ended: bool,
}

impl<'a> World<'a> {
    fn new(plan: &'a TaskPlan) -> Self {
        let count = plan.containers().len();
        Self {
            plan,
            alive: vec![false; count],
            signalled: vec![false; count],
            starts: vec![0; count],
            ended: false,
        }
    }

    fn step(&mut self, state: &mut TaskState, now: Moment, event: Event) {
        let before = state.clone();
        let actions = advance(self.plan, state, now, event);
        assert!(
            !self.ended || (actions.is_empty() && *state == before),
            "something happened after the end"
        );
        for (index, container) in state.containers.iter().enumerate() {
            if matches!(container.phase, Phase::Stopped) {
                self.alive[index] = false;
            }
        }
        for action in &actions {
            match *action {
                Action::Start { container, restart } => {
                    assert!(
                        restart || !self.alive[container],
                        "two starts of one container"
                    );
                    assert_eq!(
                        restart,
                        self.starts[container] > 0,
                        "a second start is a restart"
                    );
                    assert!(state.stop.is_none(), "a start while the task stops");
                    self.alive[container] = true;
                    self.starts[container] += 1;
                }
                Action::Signal { container, signal } => {
                    assert!(self.alive[container], "a signal to what does not live");
                    assert!(
                        signal == 9 || !self.signalled[container],
                        "two stop signals"
                    );
                    for &dependent in self.plan.dependents(container) {
                        assert!(
                            !self.alive[dependent],
                            "a dependency was signalled before its dependent was gone"
                        );
                    }
                    self.signalled[container] = true;
                }
                Action::TaskEnded => self.ended = true,
                Action::AbortStart { .. }
                | Action::CheckHealth { .. }
                | Action::AbortHealthCheck { .. } => {}
            }
        }
        assert_eq!(self.ended, state.ended);
        assert!(
            !self.ended || self.alive.iter().all(|alive| !alive),
            "ended with a living container"
        );
        let wake = next_wake(self.plan, state);
        assert!(
            wake.is_none_or(|at| at > now),
            "work left for the past: {wake:?} at {now:?}"
        );
    }
}

proptest! {
    #[test]
    fn any_history_is_safe_and_ends_after_a_stop(plan in plans(), history in prop::collection::vec(events(), 0..60)) {
        let mut state = TaskState::new(&plan);
        let mut world = World::new(&plan);
        let mut now = Moment(0);
        world.step(&mut state, now, Event::Tick);
        for (wait_millis, event) in history {
            now = Moment(now.0 + wait_millis);
            world.step(&mut state, now, event);
        }
        let request = StopRequest { code: StopCode::UserInitiated, reason: String::new(), signal: None };
        world.step(&mut state, now, Event::Stop(request));
        // From here on a well-behaved world: what is killed exits, what is being started starts.
        for _ in 0..100 {
            if state.ended {
                break;
            }
            now = next_wake(&plan, &state).unwrap_or(now);
            world.step(&mut state, now, Event::Tick);
            for container in 0..plan.containers().len() {
                match state.containers[container].phase {
                    Phase::Starting { .. } => world.step(&mut state, now, Event::Started { container }),
                    Phase::Running { .. } if world.signalled[container] => {
                        world.step(&mut state, now, Event::Exited { container, code: 143, reason: None });
                    }
                    _ => {}
                }
            }
        }
        prop_assert!(state.ended, "not stopped: {state:?}");
    }
}
