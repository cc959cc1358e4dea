//! Deployments among random faults, in virtual time: at every instant production traffic is a whole, and whoever has
//! some is wanted and can serve; every deployment ends; every hook runs once per stage and step.

use std::collections::{BTreeMap, BTreeSet};

use neargate_domain::Timestamp;
use proptest::prelude::*;

use super::*;
use crate::codedeploy::TrafficRouting;

const MINUTE: i64 = 60_000;
const HOUR: i64 = 60 * MINUTE;
const DAY: i64 = 24 * HOUR;

const UP: Side = Side {
    tasks: true,
    ready: true,
    serves: true,
};

/// What may happen between two passes.
#[derive(Debug, Clone, Copy)]
enum Happening {
    GreenUp,
    /// Some of green's tasks are not healthy.
    GreenShaky,
    GreenLost,
    BlueLost,
    BlueUp,
    /// Tasks that are not wanted any more have ended.
    Drained,
    HookSucceeds,
    HookFails,
    HookInProgress,
    Continue,
    RollBack,
    Alarm,
    Breaker,
    Stop,
    WeightsChanged(u8),
    RouteElsewhere,
    RouteGone,
    Superseded,
    /// By a deployment with other rules, which are somebody else's; those of the one before were led back with it.
    SupersededElsewhere,
    Minutes(i64),
    Days(i64),
}

fn happening() -> impl Strategy<Value = Happening> {
    prop_oneof![
        8 => Just(Happening::GreenUp),
        1 => Just(Happening::GreenShaky),
        1 => Just(Happening::GreenLost),
        1 => Just(Happening::BlueLost),
        3 => Just(Happening::BlueUp),
        4 => Just(Happening::Drained),
        8 => Just(Happening::HookSucceeds),
        1 => Just(Happening::HookFails),
        2 => Just(Happening::HookInProgress),
        4 => Just(Happening::Continue),
        1 => Just(Happening::RollBack),
        1 => Just(Happening::Alarm),
        1 => Just(Happening::Breaker),
        1 => Just(Happening::Stop),
        1 => (0..=100u8).prop_map(Happening::WeightsChanged),
        1 => Just(Happening::RouteElsewhere),
        1 => Just(Happening::RouteGone),
        1 => Just(Happening::Superseded),
        1 => Just(Happening::SupersededElsewhere),
        8 => (0..90i64).prop_map(Happening::Minutes),
        1 => (0..3i64).prop_map(Happening::Days),
    ]
}

fn any_hook() -> impl Strategy<Value = Hook> {
    (
        any::<bool>(),
        proptest::collection::btree_set(0..Stage::ALL.len(), 1..5),
        1..DAY,
        any::<bool>(),
    )
        .prop_map(|(pauses, stages, timeout_millis, goes_on)| Hook {
            kind: if pauses {
                HookKind::Pause
            } else {
                HookKind::Lambda
            },
            stages: stages
                .into_iter()
                .map(|position| Stage::ALL[position])
                .filter(|stage| !pauses || stage.takes_pauses())
                .collect::<BTreeSet<_>>(),
            timeout_millis,
            on_timeout: if goes_on {
                OnTimeout::Continue
            } else {
                OnTimeout::RollBack
            },
        })
}

fn any_settings() -> impl Strategy<Value = Settings> {
    let part = (1..=1000u32, 0..1440i64)
        .prop_map(|(tenths, minutes)| (f64::from(tenths) / 10.0, minutes * MINUTE));
    let routing = prop_oneof![
        Just(TrafficRouting::AllAtOnce),
        part.clone()
            .prop_map(|(percent, interval_millis)| TrafficRouting::Canary {
                percent,
                interval_millis,
            }),
        // Steps of at least 3 %, as AWS has them.
        part.prop_map(|(percent, interval_millis)| TrafficRouting::Linear {
            percent: percent.max(3.0),
            interval_millis,
        }),
    ];
    (
        routing,
        0..1440i64,
        proptest::collection::vec(any_hook(), 0..4),
        any::<bool>(),
        prop_oneof![Just(0), Just(10 * MINUTE)],
    )
        .prop_map(
            |(routing, bake_minutes, hooks, test_route, settle_millis)| Settings {
                routing,
                bake_millis: bake_minutes * MINUTE,
                hooks,
                test_route,
                settle_millis,
                timing: Timing::scaled(|duration| duration),
            },
        )
}

/// The rules, the tasks and the deployment that is about them.
struct World {
    settings: Settings,
    seen: Seen,
    progress: Progress,
    now: Timestamp,
    ended_hooks: BTreeMap<ExecutionKey, HookState>,
}

impl World {
    fn new(settings: Settings, has_blue: bool, balanced: bool) -> Self {
        let pair = || Route::Pair { green_percent: 0.0 };
        let test = balanced && settings.test_route;
        Self {
            settings,
            seen: Seen {
                blue: has_blue.then_some(UP),
                blue_is_routed: true,
                green: Side::default(),
                others: false,
                production: if balanced { pair() } else { Route::Absent },
                test: if test { pair() } else { Route::Absent },
                alarm: false,
                breaker_tripped: false,
                stop: false,
                answers: BTreeMap::new(),
            },
            progress: Progress::new(false, Timestamp(0)),
            now: Timestamp(0),
            ended_hooks: BTreeMap::new(),
        }
    }

    fn pass(&mut self) {
        let plan = advance(&self.settings, &self.progress, &self.seen, self.now);
        let again = advance(&self.settings, &self.progress, &self.seen, self.now);
        assert_eq!(plan, again, "the same question has the same answer");
        let waits = !plan.progress.status.is_final() && plan.progress.stage != Stage::CleanUp;
        assert!(
            !waits || plan.wake_at.is_some_and(|at| at > self.now) || self.blue_comes_back(&plan),
            "no wait is for ever: {:?}",
            plan.progress
        );
        self.progress = plan.progress;
        self.seen.answers.clear();
        for action in plan.actions {
            self.carry_out(action);
        }
        self.check_traffic();
        self.check_hooks();
        // The scheduler starts what is wanted.
        self.seen.green.tasks |= self.progress.wants_green();
        if !self.progress.wants_green() {
            self.seen.green.ready = false;
            self.seen.green.serves = false;
        }
        if let Some(blue) = &mut self.seen.blue
            && !self.progress.wants_blue()
        {
            blue.ready = false;
            blue.serves = false;
        }
    }

    /// The one wait that only tasks can end: the scheduler replaces blue's.
    fn blue_comes_back(&self, plan: &Plan) -> bool {
        plan.progress.is_rolling_back() && self.seen.blue.is_some_and(|blue| !blue.serves)
    }

    fn carry_out(&mut self, action: Action) {
        match action {
            Action::AttachGreen => assert_ne!(self.seen.production, Route::Absent),
            Action::RouteTest { .. } => {
                assert!(self.settings.test_route);
                assert!(self.progress.owns_rules(), "a rule of somebody else's");
            }
            Action::RouteProduction { green_percent } => {
                assert!(self.progress.owns_rules(), "a rule of somebody else's");
                let weights = weights(green_percent);
                assert!([100, 1000].contains(&(weights.blue + weights.green)));
                if weights.green > 0 {
                    assert!(self.seen.green.ready, "traffic to an unready green");
                }
                let more_for_blue = green_percent < self.green_share();
                let can_keep = self.seen.green.serves || self.seen.others;
                if let Some(blue) = self.seen.blue
                    && more_for_blue
                    && can_keep
                {
                    assert!(blue.serves, "traffic to a blue that cannot take it");
                }
                match self.seen.production {
                    Route::Absent => panic!("a rule that is not there"),
                    // What is left of the rules goes back to blue.
                    Route::Unusable(_) => assert_eq!(green_percent, 0.0),
                    _ => self.seen.production = Route::Pair { green_percent },
                }
            }
        }
    }

    fn green_share(&self) -> f64 {
        match self.seen.production {
            Route::Pair { green_percent } => green_percent,
            _ => self.progress.green_percent,
        }
    }

    /// Between passes, too: whoever has traffic is wanted, and green without a healthy task has none.
    fn check_traffic(&self) {
        let Route::Pair { green_percent } = self.seen.production else {
            return;
        };
        let Some(blue) = self.seen.blue else {
            return;
        };
        // Of hands that were at the rules after the deployment has let go of them, it knows nothing.
        let ours = (green_percent - self.progress.green_percent).abs() < 0.05;
        if !ours {
            return;
        }
        let untouched = self.progress.wants_others();
        if green_percent > 0.0 && !untouched {
            assert!(self.progress.wants_green(), "green goes with traffic");
            assert!(
                self.seen.green.serves || !blue.serves || self.progress.is_past_return(),
                "traffic stays with a lost green: {:?}",
                self.progress
            );
        }
        if green_percent < 100.0 && !self.progress.status.is_final() {
            assert!(self.progress.wants_blue(), "blue goes with traffic");
        }
    }

    fn check_hooks(&mut self) {
        let mut keys = BTreeSet::new();
        for execution in &self.progress.executions {
            assert!(keys.insert(execution.key), "{:?} twice", execution.key);
            assert!(execution.key.stage.takes_hooks());
            match self.ended_hooks.get(&execution.key) {
                Some(ended) => assert_eq!(*ended, execution.state, "it ended once"),
                None if !execution.state.is_open() => {
                    self.ended_hooks
                        .insert(execution.key, execution.state.clone());
                }
                None => {}
            }
        }
    }

    fn answer(&mut self, answer: &Answer) {
        let calls = self.progress.calls();
        self.seen.answers = calls.map(|key| (key, answer.clone())).collect();
    }

    fn resolve(&mut self, verdict: Verdict) {
        let keys: Vec<ExecutionKey> = self.progress.executions.iter().map(|e| e.key).collect();
        for key in keys {
            self.progress.resolve(key, verdict);
        }
    }

    fn happens(&mut self, happening: Happening) {
        let balanced = self.seen.production != Route::Absent;
        match happening {
            Happening::GreenUp if self.progress.wants_green() => self.seen.green = UP,
            Happening::GreenShaky => self.seen.green.ready = false,
            Happening::GreenLost => {
                self.seen.green.ready = false;
                self.seen.green.serves = false;
            }
            Happening::BlueLost => {
                if let Some(blue) = &mut self.seen.blue {
                    blue.ready = false;
                    blue.serves = false;
                }
            }
            Happening::BlueUp if self.progress.wants_blue() => {
                self.seen.blue = self.seen.blue.map(|_| UP);
            }
            Happening::Drained => self.drain(),
            Happening::HookSucceeds => self.answer(&Answer::Succeeded),
            Happening::HookFails => self.answer(&Answer::Failed("no".to_owned())),
            Happening::HookInProgress => self.answer(&Answer::CallAgain {
                after_millis: 30_000,
            }),
            Happening::Continue => self.resolve(Verdict::Continue),
            Happening::RollBack => self.resolve(Verdict::RollBack),
            Happening::Alarm => self.seen.alarm = true,
            Happening::Breaker => self.seen.breaker_tripped = true,
            Happening::Stop => self.seen.stop = true,
            Happening::WeightsChanged(green) if balanced => {
                self.seen.production = Route::Pair {
                    green_percent: green.into(),
                };
            }
            Happening::RouteElsewhere if balanced => {
                self.seen.production = Route::Elsewhere("elsewhere".to_owned());
            }
            Happening::RouteGone if balanced => {
                self.seen.production = Route::Unusable("gone".to_owned());
            }
            Happening::Superseded => self.supersede(true),
            Happening::SupersededElsewhere if balanced => {
                self.supersede(false);
                self.seen.production = Route::Elsewhere("somebody else's".to_owned());
            }
            Happening::Minutes(minutes) => self.now = self.now.plus_millis(minutes * MINUTE),
            Happening::Days(days) => self.now = self.now.plus_millis(days * DAY),
            _ => {}
        }
    }

    fn drain(&mut self) {
        if !self.progress.wants_green() {
            self.seen.green = Side::default();
        }
        if !self.progress.wants_blue() {
            self.seen.blue = self.seen.blue.map(|_| Side::default());
        }
        self.seen.others &= self.progress.wants_others();
    }

    /// A newer deployment begins: from what serves now, or from what served before an unfinished one.
    fn supersede(&mut self, same_rules: bool) {
        let open = !self.progress.status.is_final();
        let past_return = self.progress.is_past_return();
        self.progress.supersede(self.now);
        let left = if past_return {
            let left = self.seen.blue.is_some_and(|blue| blue.tasks);
            self.seen.blue = Some(self.seen.green);
            // The target groups have changed their parts.
            if let Route::Pair { green_percent } = &mut self.seen.production {
                *green_percent = 100.0 - *green_percent;
            }
            left
        } else {
            self.seen.green.tasks
        };
        self.seen.green = Side::default();
        self.seen.others = left;
        self.seen.stop = false;
        self.seen.alarm = false;
        self.seen.breaker_tripped = false;
        self.progress = Progress {
            takes_over_rules: same_rules && open && self.progress.owns_rules(),
            ..Progress::new(open || left, self.now)
        };
        self.ended_hooks.clear();
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1000))]
    #[test]
    fn traffic_is_whole_and_goes_to_tasks_that_can_serve(
        settings in any_settings(),
        has_blue in prop_oneof![5 => Just(true), 1 => Just(false)],
        balanced in prop_oneof![5 => Just(true), 1 => Just(false)],
        happenings in proptest::collection::vec(happening(), 0..80),
    ) {
        let mut world = World::new(settings, has_blue, balanced);
        for happening in happenings {
            world.pass();
            world.happens(happening);
        }
        // Whatever happened, everything ends: by success, or because every wait has a limit.
        for _ in 0..40 {
            world.pass();
            world.happens(Happening::BlueUp);
            world.happens(Happening::Drained);
            world.now = world.now.plus_millis(DAY);
        }
        world.pass();
        prop_assert!(world.progress.status.is_final(), "{:?}", world.progress);
        prop_assert_eq!(world.progress.calls().count(), 0);
        if world.progress.status == Status::RolledBack {
            prop_assert!(world.progress.wants_blue() && !world.progress.wants_green());
            prop_assert_eq!(world.progress.green_percent, 0.0);
        }
    }
}
