//! Deployments among random faults, in virtual time: at every instant the production weights are a whole, and who has
//! weight has a task set that is there and was steady.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use neargate_domain::Timestamp;
use proptest::prelude::*;

use super::*;

const SECOND: i64 = 1_000;

/// What may happen between two passes.
#[derive(Debug, Clone, Copy)]
enum Happening {
    GreenSteady,
    GreenUnsteady,
    HookSucceeds,
    HookFails,
    Alarm,
    Stop { roll_back: bool },
    ContinueReady,
    ContinueTermination,
    RouteChanged,
    GreenDeleted,
    Hours(i64),
    Nothing,
}

fn happening() -> impl Strategy<Value = Happening> {
    prop_oneof![
        6 => Just(Happening::GreenSteady),
        1 => Just(Happening::GreenUnsteady),
        5 => Just(Happening::HookSucceeds),
        1 => Just(Happening::HookFails),
        1 => Just(Happening::Alarm),
        1 => any::<bool>().prop_map(|roll_back| Happening::Stop { roll_back }),
        2 => Just(Happening::ContinueReady),
        2 => Just(Happening::ContinueTermination),
        1 => Just(Happening::RouteChanged),
        1 => Just(Happening::GreenDeleted),
        3 => (0..3i64).prop_map(Happening::Hours),
        6 => Just(Happening::Nothing),
    ]
}

fn any_settings() -> impl Strategy<Value = Settings> {
    let routing = prop_oneof![
        Just(TrafficRouting::AllAtOnce),
        (1..100u32, 1..3600i64).prop_map(|(percent, seconds)| TrafficRouting::Canary {
            percent: percent.into(),
            interval_millis: seconds * SECOND,
        }),
        (1..100u32, 1..3600i64).prop_map(|(percent, seconds)| TrafficRouting::Linear {
            percent: percent.into(),
            interval_millis: seconds * SECOND,
        }),
    ];
    let hooks = proptest::collection::btree_set(0..8usize, 0..4).prop_map(|indices| {
        let events = indices.into_iter().map(|index| Event::ALL[index]);
        events
            .filter(|event| event.takes_hook())
            .collect::<BTreeSet<_>>()
    });
    let ready = prop_oneof![
        Just(Ready::Continue),
        Just(Ready::StopAfter {
            millis: 600 * SECOND,
            stated: Duration::from_secs(600)
        }),
    ];
    (
        routing,
        any::<bool>(),
        hooks,
        ready,
        0..7200i64,
        any::<[bool; 3]>(),
    )
        .prop_map(
            |(routing, test_listener, hooks, ready, termination, [failure, alarm, request])| {
                Settings {
                    routing,
                    test_listener,
                    hooks,
                    ready,
                    termination_wait_millis: termination * SECOND,
                    roll_back_on: RollBackOn {
                        failure,
                        alarm,
                        request,
                    },
                    timing: Timing::scaled(|duration| duration),
                }
            },
        )
}

/// The listener, the task sets and the two deployments that may be about them.
struct World {
    settings: Settings,
    seen: Seen,
    forward: Progress,
    rolling_back: Option<Progress>,
    green_is_primary: bool,
    now: Timestamp,
    ended_events: BTreeMap<Event, EventStatus>,
    created: u32,
}

impl World {
    fn pass(&mut self) {
        let plan = advance(&self.settings, &self.forward, &self.seen, self.now);
        let again = advance(&self.settings, &self.forward, &self.seen, self.now);
        assert_eq!(plan, again, "the same question has the same answer");
        self.forward = plan.progress;
        self.carry_out(&plan.actions);
        if let Some(progress) = &self.rolling_back {
            let plan = roll_back(progress, &self.seen, self.now);
            self.rolling_back = Some(plan.progress);
            self.carry_out(&plan.actions);
        }
        for event in &self.forward.events {
            if let Some(before) = self.ended_events.get(&event.event) {
                assert_eq!(*before, event.status, "{:?} ended once", event.event);
            } else if event.status.is_final() {
                self.ended_events.insert(event.event, event.status);
            }
        }
        if self.seen.green_made && self.seen.green.is_none() {
            let share = self.seen.production_green_percent.unwrap_or_default();
            assert!(share == 0.0, "a green that is gone has traffic");
        }
        // Task sets that were told to go drain until the next pass.
        if self.forward.deleting {
            self.seen.blue = None;
        }
        if self
            .rolling_back
            .as_ref()
            .is_some_and(|progress| progress.deleting)
        {
            self.seen.green = None;
        }
    }

    fn carry_out(&mut self, actions: &[Action]) {
        for action in actions {
            match *action {
                Action::CreateGreen => {
                    self.created += 1;
                    self.seen.green = Some(SetSeen { steady: false });
                    self.seen.green_made = true;
                }
                Action::RouteProduction { green_percent } => {
                    assert!((0.0..=100.0).contains(&green_percent), "{green_percent}");
                    let blue = 100.0 - green_percent;
                    if green_percent > 0.0 {
                        let is_steady = self.seen.green.is_some_and(|green| green.steady);
                        assert!(is_steady, "traffic to an unready green");
                    }
                    if blue > 0.0 {
                        assert!(self.seen.blue.is_some(), "traffic to a blue that is gone");
                    }
                    self.seen.production_green_percent = Some(green_percent);
                }
                Action::MakeGreenPrimary => {
                    assert_eq!(self.seen.production_green_percent, Some(100.0));
                    self.green_is_primary = true;
                }
                Action::MakeBluePrimary => self.green_is_primary = false,
                Action::DeleteBlue => {
                    assert_eq!(
                        self.seen.production_green_percent,
                        Some(100.0),
                        "blue has traffic"
                    );
                    assert!(self.green_is_primary);
                }
                Action::DeleteGreen => {
                    assert_eq!(
                        self.seen.production_green_percent,
                        Some(0.0),
                        "green has traffic"
                    );
                    assert!(!self.green_is_primary);
                }
                Action::StartRollBack => {
                    assert!(self.rolling_back.is_none(), "one roll back");
                    self.rolling_back = Some(Progress::new(self.settings.test_listener));
                }
                Action::InvokeHook(_) | Action::RouteTest { .. } => {}
            }
        }
    }

    fn happens(&mut self, happening: Happening) {
        let invoked = self
            .forward
            .events
            .iter()
            .find(|e| e.status == EventStatus::InProgress);
        let hook = invoked
            .map(|e| e.event)
            .filter(|e| self.settings.hooks.contains(e));
        match happening {
            Happening::GreenSteady | Happening::GreenUnsteady => {
                if let Some(green) = &mut self.seen.green {
                    green.steady = matches!(happening, Happening::GreenSteady);
                }
            }
            Happening::HookSucceeds => {
                self.seen
                    .hooks
                    .extend(hook.map(|event| (event, HookAnswer::Succeeded)));
            }
            Happening::HookFails => {
                self.seen
                    .hooks
                    .extend(hook.map(|event| (event, HookAnswer::Failed)));
            }
            Happening::Alarm => self.seen.alarms = vec!["alarm".into()],
            Happening::Stop { roll_back } => self.seen.stop = Some(StopRequest { roll_back }),
            Happening::ContinueReady => self.seen.continue_ready = true,
            Happening::ContinueTermination => self.seen.continue_termination = true,
            // A hand that changes the route once more, after the roll back, has its way.
            Happening::RouteChanged if self.rolling_back.is_some() => {}
            Happening::RouteChanged => self.seen.production_green_percent = None,
            // ECS refuses the first, and nobody watches over the second.
            Happening::GreenDeleted if self.green_is_primary || self.forward.status.is_final() => {}
            Happening::GreenDeleted => self.seen.green = None,
            Happening::Hours(hours) => self.now = self.now.plus_millis(hours * 3600 * SECOND),
            Happening::Nothing => self.now = self.now.plus_millis(SECOND),
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(500))]
    #[test]
    fn traffic_is_whole_and_goes_to_task_sets_that_can_serve(
        settings in any_settings(),
        happenings in proptest::collection::vec(happening(), 0..60),
    ) {
        let mut world = World {
            forward: Progress::new(settings.test_listener),
            settings,
            seen: Seen {
                service: ServiceSeen::Usable,
                blue: Some(SetSeen { steady: true }),
                green: None,
                green_made: false,
                production_green_percent: Some(0.0),
                test_green_percent: Some(0.0),
                hooks: BTreeMap::new(),
                alarms: Vec::new(),
                stop: None,
                continue_ready: false,
                continue_termination: false,
            },
            rolling_back: None,
            green_is_primary: false,
            now: Timestamp(0),
            ended_events: BTreeMap::new(),
            created: 0,
        };
        for happening in happenings {
            world.pass();
            world.happens(happening);
        }
        // Whatever happened, everything ends: by success, or because every wait has a limit.
        for _ in 0..400 {
            world.now = world.now.plus_millis(3600 * SECOND);
            world.pass();
        }
        prop_assert!(world.forward.status.is_final(), "{:?}", world.forward);
        prop_assert!(world.created <= 1);
        if let Some(progress) = &world.rolling_back {
            prop_assert_eq!(progress.status, Status::Succeeded);
            prop_assert_eq!(world.seen.production_green_percent, Some(0.0));
            prop_assert!(!world.green_is_primary);
        }
        if world.forward.status == Status::Succeeded {
            prop_assert!(world.seen.blue.is_none() && world.green_is_primary);
        }
    }
}
