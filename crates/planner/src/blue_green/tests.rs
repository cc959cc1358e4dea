//! Every transition, as a table: what the deployment is like, what is seen, what follows.

use std::collections::{BTreeMap, BTreeSet};

use neargate_domain::Timestamp;

use super::*;
use crate::codedeploy::TrafficRouting;

const MINUTE: i64 = 60_000;
const HOUR: i64 = 60 * MINUTE;
const START: Timestamp = Timestamp(1_000_000);

const GONE: Side = Side {
    tasks: false,
    ready: false,
    serves: false,
};
const COMING_UP: Side = Side {
    tasks: true,
    ready: false,
    serves: false,
};
const UP: Side = Side {
    tasks: true,
    ready: true,
    serves: true,
};
const SOME: Side = Side { ready: false, ..UP };

fn settings() -> Settings {
    Settings {
        routing: TrafficRouting::AllAtOnce,
        bake_millis: 5 * MINUTE,
        hooks: Vec::new(),
        test_route: true,
        settle_millis: 0,
        timing: Timing::scaled(|duration| duration),
    }
}

fn canary() -> Settings {
    Settings {
        routing: TrafficRouting::Canary {
            percent: 10.0,
            interval_millis: 10 * MINUTE,
        },
        ..settings()
    }
}

fn hook(kind: HookKind, stages: &[Stage]) -> Hook {
    Hook {
        kind,
        stages: stages.iter().copied().collect::<BTreeSet<_>>(),
        timeout_millis: 24 * HOUR,
        on_timeout: OnTimeout::RollBack,
    }
}

fn with_hook(kind: HookKind, stages: &[Stage]) -> Settings {
    Settings {
        hooks: vec![hook(kind, stages)],
        ..settings()
    }
}

fn seen() -> Seen {
    Seen {
        blue: Some(UP),
        blue_is_routed: true,
        green: GONE,
        others: false,
        production: Route::Pair { green_percent: 0.0 },
        test: Route::Pair { green_percent: 0.0 },
        alarm: false,
        breaker_tripped: false,
        stop: false,
        answers: BTreeMap::new(),
    }
}

/// A deployment with the world that it changes: actions take effect before the next pass.
struct Run {
    settings: Settings,
    seen: Seen,
    progress: Progress,
    now: Timestamp,
    /// Everything that was done, in order.
    log: Vec<Action>,
    wake_at: Option<Timestamp>,
}

impl Run {
    fn new(settings: Settings) -> Self {
        Self {
            settings,
            seen: seen(),
            progress: Progress::new(false, START),
            now: START,
            log: Vec::new(),
            wake_at: None,
        }
    }

    /// With green at full size.
    fn green_up(settings: Settings) -> Self {
        let mut run = Self::new(settings);
        run.pass();
        run.seen.green = UP;
        run.pass();
        run
    }

    fn pass(&mut self) -> &mut Self {
        let plan = advance(&self.settings, &self.progress, &self.seen, self.now);
        for action in &plan.actions {
            match action {
                Action::RouteProduction { green_percent } => {
                    self.seen.production = Route::Pair {
                        green_percent: *green_percent,
                    };
                }
                Action::RouteTest { green } => {
                    self.seen.test = Route::Pair {
                        green_percent: if *green { 100.0 } else { 0.0 },
                    };
                }
                Action::AttachGreen => {}
            }
        }
        self.progress = plan.progress;
        self.log.extend(plan.actions);
        self.wake_at = plan.wake_at;
        self
    }

    fn after(&mut self, millis: i64) -> &mut Self {
        self.now = self.now.plus_millis(millis);
        self.pass()
    }

    fn answer(&mut self, answer: Answer) -> &mut Self {
        self.seen.answers = self
            .progress
            .calls()
            .map(|key| (key, answer.clone()))
            .collect();
        self.pass();
        self.seen.answers.clear();
        self
    }

    fn at(&self) -> (Status, Stage) {
        (self.progress.status, self.progress.stage)
    }

    fn reason(&self) -> String {
        self.progress
            .failure
            .as_ref()
            .map(Failure::status_reason)
            .unwrap_or_default()
    }

    /// Stages and steps for which hooks were started.
    fn executed(&self) -> Vec<(Stage, u32, bool)> {
        let keys = self.progress.executions.iter().map(|e| e.key);
        keys.map(|key| (key.stage, key.step, key.back)).collect()
    }
}

fn production(green_percent: f64) -> Action {
    Action::RouteProduction { green_percent }
}

#[test]
fn a_deployment_goes_through_all_stages() {
    let mut run = Run::new(settings());
    run.pass();
    assert_eq!(run.at(), (Status::InProgress, Stage::ScaleUp));
    assert!(run.progress.wants_green() && run.progress.wants_blue());
    assert_eq!(run.log, [Action::AttachGreen], "health-checked from here");
    run.seen.green = COMING_UP;
    run.after(MINUTE);
    assert_eq!(run.at().1, Stage::ScaleUp);
    run.seen.green = UP;
    run.pass();
    assert_eq!(run.at(), (Status::InProgress, Stage::BakeTime));
    let want = [
        Action::AttachGreen,
        Action::RouteTest { green: true },
        production(100.0),
    ];
    assert_eq!(run.log, want);
    assert_eq!(run.wake_at, Some(run.now.plus_millis(5 * MINUTE)));
    run.after(5 * MINUTE - 1);
    assert!(run.progress.wants_blue(), "not a moment early");
    run.after(1);
    assert_eq!(run.at(), (Status::InProgress, Stage::CleanUp));
    assert!(!run.progress.wants_blue() && run.progress.wants_green());
    run.seen.blue = Some(GONE);
    run.pass();
    assert_eq!(run.at().0, Status::Successful);
    assert_eq!(run.wake_at, None);
    let end = run.progress.clone();
    run.seen.stop = true;
    run.after(MINUTE);
    assert_eq!(run.progress, end, "an ended deployment stays as it is");
    assert_eq!(run.log, want, "nothing more was done");
}

#[test]
fn traffic_moves_in_the_steps_of_the_strategy() {
    let linear = |percent, minutes| TrafficRouting::Linear {
        percent,
        interval_millis: minutes * MINUTE,
    };
    let canary = |percent, minutes| TrafficRouting::Canary {
        percent,
        interval_millis: minutes * MINUTE,
    };
    for (name, routing, want) in [
        ("BLUE_GREEN", TrafficRouting::AllAtOnce, vec![(0, 100.0)]),
        (
            "LINEAR 25 %",
            linear(25.0, 2),
            vec![(0, 25.0), (2, 50.0), (4, 75.0), (6, 100.0)],
        ),
        (
            "LINEAR, a part that does not divide 100",
            linear(40.0, 1),
            vec![(0, 40.0), (1, 80.0), (2, 100.0)],
        ),
        ("LINEAR 100 %", linear(100.0, 6), vec![(0, 100.0)]),
        (
            "LINEAR without a wait",
            linear(50.0, 0),
            vec![(0, 50.0), (0, 100.0)],
        ),
        ("CANARY 0.5 %", canary(0.5, 10), vec![(0, 0.5), (10, 100.0)]),
        ("CANARY 100 %", canary(100.0, 10), vec![(0, 100.0)]),
    ] {
        let mut run = Run::green_up(Settings {
            routing,
            bake_millis: 0,
            ..settings()
        });
        let (mut shares, mut taken) = (Vec::new(), 0);
        for minute in 0..12 {
            for action in &run.log[taken..] {
                if let Action::RouteProduction { green_percent } = action {
                    shares.push((minute, *green_percent));
                }
            }
            taken = run.log.len();
            run.after(MINUTE);
        }
        assert_eq!(shares, want, "{name}");
        assert_eq!(run.at().1, Stage::CleanUp, "{name}");
    }
}

#[test]
fn hooks_of_a_stage_run_together_and_hold_it() {
    for stage in Stage::ALL.into_iter().filter(|stage| stage.takes_hooks()) {
        let both = || {
            let mut run = Run::green_up(Settings {
                hooks: vec![
                    hook(HookKind::Lambda, &[stage]),
                    hook(HookKind::Lambda, &[stage]),
                ],
                ..settings()
            });
            if stage == Stage::ReconcileService {
                run = Run {
                    progress: Progress::new(true, START),
                    ..Run::new(run.settings)
                };
                run.pass();
            }
            assert_eq!(run.at(), (Status::InProgress, stage), "{stage}");
            assert_eq!(run.progress.calls().count(), 2, "{stage}");
            run.pass().pass();
            assert_eq!(run.executed().len(), 2, "{stage}: once each");
            run
        };
        let mut run = both();
        let key = run.progress.calls().next().expect("two are called");
        run.seen.answers = [(key, Answer::Succeeded)].into();
        run.pass();
        assert_eq!(run.at().1, stage, "{stage}: one is not all");
        run.answer(Answer::Succeeded);
        assert_ne!(run.at().1, stage, "{stage}");
        assert_eq!(run.at().0, Status::InProgress, "{stage}");

        let mut run = both();
        let key = run.progress.calls().next().expect("two are called");
        run.seen.answers = [(key, Answer::Failed("It said no.".to_owned()))].into();
        run.pass();
        let want = format!(
            "Service deployment rolled back because {stage} lifecycle hook(s) failed. It said no."
        );
        assert_eq!(run.reason(), want);
        assert_ne!(run.at().0, Status::InProgress, "{stage}");
    }
}

#[test]
fn a_stage_without_hooks_of_its_own_calls_none() {
    let everywhere: Vec<Stage> = Stage::ALL.to_vec();
    let mut run = Run::green_up(with_hook(HookKind::Lambda, &everywhere));
    for _ in 0..20 {
        run.answer(Answer::Succeeded);
        run.after(5 * MINUTE);
        if run.at().1 == Stage::CleanUp {
            break;
        }
    }
    let stages: Vec<Stage> = run
        .executed()
        .into_iter()
        .map(|(stage, ..)| stage)
        .collect();
    let want = [
        Stage::PreScaleUp,
        Stage::PostScaleUp,
        Stage::TestTrafficShift,
        Stage::PostTestTrafficShift,
        Stage::PreProductionTrafficShift,
        Stage::ProductionTrafficShift,
        Stage::PostProductionTrafficShift,
    ];
    assert_eq!(stages, want);
}

#[test]
fn hooks_run_again_at_every_step() {
    let mut run = Run::green_up(Settings {
        routing: TrafficRouting::Linear {
            percent: 50.0,
            interval_millis: MINUTE,
        },
        ..with_hook(
            HookKind::Lambda,
            &[
                Stage::PreProductionTrafficShift,
                Stage::ProductionTrafficShift,
            ],
        )
    });
    let shares = |run: &Run| run.progress.green_percent;
    assert_eq!(shares(&run), 0.0, "asked before the shift");
    run.answer(Answer::Succeeded);
    assert_eq!(shares(&run), 50.0, "asked again with it");
    run.answer(Answer::Succeeded).after(MINUTE);
    assert_eq!(shares(&run), 50.0, "the next step asks first");
    run.answer(Answer::Succeeded).answer(Answer::Succeeded);
    let (before, during) = (
        Stage::PreProductionTrafficShift,
        Stage::ProductionTrafficShift,
    );
    let want = [
        (before, 0, false),
        (during, 0, false),
        (before, 1, false),
        (during, 1, false),
    ];
    assert_eq!(run.executed(), want);
    assert_eq!(run.at(), (Status::InProgress, Stage::BakeTime));
}

#[test]
fn a_hook_in_progress_is_called_again_until_its_time_is_up() {
    let mut run = Run::new(with_hook(HookKind::Lambda, &[Stage::PreScaleUp]));
    run.pass();
    run.answer(Answer::CallAgain {
        after_millis: 30_000,
    });
    assert_eq!(run.progress.calls().count(), 0);
    assert_eq!(run.wake_at, Some(START.plus_millis(30_000)));
    run.after(29_999);
    assert_eq!(run.progress.calls().count(), 0);
    run.after(1);
    assert_eq!(run.progress.calls().count(), 1);
    assert_eq!(run.executed().len(), 1, "it is the same execution");
    run.after(24 * HOUR);
    assert_eq!(
        run.reason(),
        "Service deployment rolled back because PRE_SCALE_UP lifecycle hook(s) failed. The hook timed out."
    );
    assert_eq!(run.progress.executions[0].state, HookState::TimedOut);
    assert_eq!(run.at().0, Status::RolledBack, "green was never started");
}

#[test]
fn a_timeout_may_let_the_deployment_go_on() {
    for kind in [HookKind::Lambda, HookKind::Pause] {
        let mut run = Run::new(Settings {
            hooks: vec![Hook {
                on_timeout: OnTimeout::Continue,
                timeout_millis: MINUTE,
                ..hook(kind, &[Stage::PreScaleUp])
            }],
            ..settings()
        });
        run.pass().after(MINUTE - 1);
        assert_eq!(run.at().1, Stage::PreScaleUp, "{kind:?}");
        run.after(1);
        assert_eq!(run.at(), (Status::InProgress, Stage::ScaleUp), "{kind:?}");
        assert_eq!(run.progress.executions[0].state, HookState::TimedOut);
    }
}

#[test]
fn a_pause_waits_for_its_action() {
    for (name, verdict, want) in [
        ("continued", Verdict::Continue, Status::InProgress),
        ("rolled back", Verdict::RollBack, Status::RolledBack),
    ] {
        let mut run = Run::new(with_hook(HookKind::Pause, &[Stage::PreScaleUp]));
        run.pass().after(HOUR);
        let execution = run.progress.executions[0].clone();
        assert_eq!(execution.state, HookState::AwaitingAction, "{name}");
        assert_eq!(run.progress.calls().count(), 0, "{name}: nothing to call");
        assert!(run.progress.resolve(execution.key, verdict), "{name}");
        assert!(
            !run.progress.resolve(execution.key, verdict),
            "{name}: once"
        );
        run.pass();
        assert_eq!(run.at().0, want, "{name}");
    }
}

#[test]
fn what_interrupts_a_deployment_gives_blue_its_traffic_and_ends_green() {
    type Change = fn(&mut Seen);
    let rows: [(&str, Change, &str); 8] = [
        ("stopped", |s| s.stop = true, "it was stopped by the user."),
        ("an alarm", |s| s.alarm = true, "an alarm was triggered."),
        (
            "the breaker",
            |s| s.breaker_tripped = true,
            "the circuit breaker threshold was exceeded.",
        ),
        (
            "the rule forwards elsewhere",
            |s| s.production = Route::Elsewhere("It has an unexpected group.".to_owned()),
            "of invalid networking configuration. It has an unexpected group.",
        ),
        (
            "somebody moved the weights",
            |s| {
                s.production = Route::Pair {
                    green_percent: 70.0,
                }
            },
            "of invalid networking configuration. The weights of the production listener rule were changed during the \
             deployment.",
        ),
        (
            "the rule is gone",
            |s| s.production = Route::Unusable("It does not exist.".to_owned()),
            "of invalid networking configuration. It does not exist.",
        ),
        (
            "green is lost",
            |s| s.green = COMING_UP,
            "the target service revision has no healthy tasks while it receives traffic.",
        ),
        (
            "too long",
            |_| {},
            "the service deployment did not complete within 30 days.",
        ),
    ];
    for (name, change, because) in rows {
        let mut run = Run::green_up(Settings {
            routing: TrafficRouting::Canary {
                percent: 10.0,
                interval_millis: 40 * 24 * HOUR,
            },
            ..settings()
        });
        assert_eq!(run.progress.green_percent, 10.0, "{name}");
        change(&mut run.seen);
        let unusable = name == "the rule is gone";
        run.after(if name == "too long" {
            30 * 24 * HOUR
        } else {
            1
        });
        assert_eq!(run.at(), (Status::RollingBack, Stage::CleanUp), "{name}");
        assert_eq!(
            run.reason(),
            format!("Service deployment rolled back because {because}"),
            "{name}"
        );
        // Also where a rule is gone: there may be others.
        let back = [production(0.0), Action::RouteTest { green: false }];
        assert_eq!(run.log[run.log.len() - back.len()..], back, "{name}");
        let times = run.log.iter().filter(|a| **a == production(0.0)).count();
        assert_eq!(times, 1, "{name}");
        assert!(
            run.progress.wants_blue() && !run.progress.wants_green(),
            "{name}"
        );
        run.seen.green = COMING_UP;
        run.pass();
        assert_eq!(run.at().0, Status::RollingBack, "{name}: green drains");
        run.seen.green = GONE;
        run.pass();
        let want = if unusable {
            Status::RollbackFailed
        } else {
            Status::RolledBack
        };
        assert_eq!(run.at().0, want, "{name}");
        assert_eq!(run.wake_at, None, "{name}");
    }
}

#[test]
fn blue_stays_until_green_is_whole() {
    for (name, green, later, want) in [
        ("whole", UP, 0, (Status::InProgress, Stage::CleanUp)),
        (
            "some have died",
            SOME,
            0,
            (Status::InProgress, Stage::BakeTime),
        ),
        (
            "for a day",
            SOME,
            24 * HOUR,
            (Status::RollingBack, Stage::CleanUp),
        ),
    ] {
        let mut run = Run::green_up(settings());
        assert_eq!(run.at(), (Status::InProgress, Stage::BakeTime), "{name}");
        run.seen.green = green;
        run.after(5 * MINUTE);
        assert!(
            run.progress.is_past_return() || run.wake_at.is_some(),
            "{name}"
        );
        run.after(later);
        assert_eq!(run.at(), want, "{name}");
    }
}

#[test]
fn hooks_of_the_shifts_hear_of_the_way_back() {
    let mut run = Run::green_up(Settings {
        hooks: vec![hook(
            HookKind::Lambda,
            &[
                Stage::PostScaleUp,
                Stage::TestTrafficShift,
                Stage::ProductionTrafficShift,
            ],
        )],
        ..canary()
    });
    for _ in 0..3 {
        run.answer(Answer::Succeeded);
    }
    assert_eq!(run.progress.green_percent, 10.0);
    run.seen.stop = true;
    run.pass();
    assert_eq!(
        run.at(),
        (Status::RollingBack, Stage::ProductionTrafficShift)
    );
    let back = [production(0.0), Action::RouteTest { green: false }];
    assert_eq!(
        run.log[run.log.len() - 2..],
        back,
        "before anybody is asked"
    );
    assert!(run.progress.wants_green(), "until the hooks have seen it");
    run.answer(Answer::Failed("I do not like it".to_owned()));
    assert_eq!(run.at(), (Status::RollingBack, Stage::TestTrafficShift));
    run.answer(Answer::Succeeded);
    assert_eq!(run.at(), (Status::RollingBack, Stage::CleanUp));
    let want = [
        (Stage::ProductionTrafficShift, 0, true),
        (Stage::TestTrafficShift, 0, true),
    ];
    assert_eq!(run.executed()[3..], want);
    assert_eq!(
        run.reason(),
        "Service deployment rolled back because it was stopped by the user.",
        "what hooks say now changes nothing"
    );
}

#[test]
fn a_running_call_is_given_up_when_its_deployment_fails() {
    let mut run = Run::new(with_hook(HookKind::Lambda, &[Stage::PreScaleUp]));
    run.pass();
    run.seen.stop = true;
    run.pass();
    assert_eq!(run.progress.calls().count(), 0);
    assert_eq!(run.at().0, Status::RolledBack);
}

#[test]
fn traffic_stays_with_green_while_blue_has_nobody_to_take_it() {
    let mut run = Run::green_up(settings());
    run.seen.blue = Some(COMING_UP);
    run.seen.stop = true;
    run.pass();
    assert_eq!(
        run.at(),
        (Status::RollingBack, Stage::ProductionTrafficShift)
    );
    assert_eq!(
        run.seen.production,
        Route::Pair {
            green_percent: 100.0
        }
    );
    assert!(run.progress.wants_green() && run.progress.wants_blue());
    run.seen.blue = Some(UP);
    run.pass();
    assert_eq!(run.seen.production, Route::Pair { green_percent: 0.0 });

    let mut run = Run::green_up(settings());
    run.seen.blue = Some(COMING_UP);
    run.seen.green = COMING_UP;
    run.pass();
    assert_eq!(
        run.seen.production,
        Route::Pair { green_percent: 0.0 },
        "with nobody anywhere, blue it is"
    );
}

#[test]
fn rules_must_be_fit_before_anything_is_changed() {
    let elsewhere = || Route::Elsewhere("An unexpected target group.".to_owned());
    for (name, production, test, blue, fits) in [
        ("as it should be", 0.0, None, true, true),
        ("green's group has all traffic", 100.0, None, true, false),
        ("both have some", 50.0, None, true, false),
        ("a new service, the first group", 100.0, None, false, true),
        ("a new service, the other group", 0.0, None, false, true),
        ("a new service, both", 50.0, None, false, false),
        (
            "the test rule goes elsewhere",
            0.0,
            Some(elsewhere()),
            true,
            false,
        ),
    ] {
        let mut run = Run::new(settings());
        run.seen.production = Route::Pair {
            green_percent: production,
        };
        if let Some(test) = test {
            run.seen.test = test;
        }
        run.seen.blue = blue.then_some(UP);
        run.pass();
        if fits {
            assert_eq!(run.at(), (Status::InProgress, Stage::ScaleUp), "{name}");
            continue;
        }
        let want = if blue {
            Status::RolledBack
        } else {
            Status::Failed
        };
        assert_eq!(run.at().0, want, "{name}");
        assert!(
            run.reason().contains("invalid networking configuration"),
            "{name}"
        );
        assert_eq!(run.log, [], "{name}: hands off");
    }
}

#[test]
fn a_new_service_gets_its_traffic_at_once_and_does_not_bake() {
    let mut run = Run::new(canary());
    run.seen.blue = None;
    run.pass();
    run.seen.green = UP;
    run.pass();
    assert_eq!(run.at().0, Status::Successful);
    let want = [
        Action::AttachGreen,
        Action::RouteTest { green: true },
        production(100.0),
    ];
    assert_eq!(run.log, want);

    let mut run = Run::new(canary());
    run.seen.blue = None;
    run.pass();
    run.seen.breaker_tripped = true;
    run.pass();
    assert_eq!(run.at().0, Status::Failed, "there is nothing to go back to");
    assert!(run.progress.wants_green(), "what it has, it keeps");
}

#[test]
fn a_service_that_moves_to_another_load_balancer_finds_its_rules_as_a_new_one_does() {
    for percent in [0.0, 100.0] {
        let mut run = Run::new(canary());
        run.seen.blue_is_routed = false;
        run.seen.production = Route::Pair {
            green_percent: percent,
        };
        run.pass();
        run.seen.green = UP;
        run.pass();
        assert_eq!(
            run.log.last(),
            Some(&production(100.0)),
            "{percent}: in one step"
        );
        run.after(5 * MINUTE);
        assert_eq!(run.at(), (Status::InProgress, Stage::CleanUp), "{percent}");
    }

    let mut run = Run::new(canary());
    run.seen.blue_is_routed = false;
    run.seen.production = Route::Pair {
        green_percent: 100.0,
    };
    run.pass();
    run.seen.breaker_tripped = true;
    run.pass();
    assert_eq!(run.at().0, Status::RolledBack);
    assert!(
        !run.log.contains(&production(0.0)),
        "nothing was shifted: {:?}",
        run.log
    );
}

#[test]
fn without_load_balancer_the_stages_are_the_same() {
    let mut run = Run::new(canary());
    run.seen.production = Route::Absent;
    run.seen.test = Route::Absent;
    run.pass();
    run.seen.green = UP;
    run.pass();
    assert_eq!(
        run.at(),
        (Status::InProgress, Stage::ProductionTrafficShift)
    );
    run.after(10 * MINUTE).after(5 * MINUTE);
    assert_eq!(run.at(), (Status::InProgress, Stage::CleanUp));
    assert_eq!(run.log, [], "nothing to route");
}

#[test]
fn an_unfinished_deployment_is_undone_before_the_next_begins() {
    let mut first = Run::green_up(canary());
    first.progress.supersede(first.now);
    assert_eq!(first.at().0, Status::Superseded);
    let before = first.progress.clone();
    first.after(HOUR);
    assert_eq!(first.progress, before);

    let taken_over = || Progress {
        takes_over_rules: true,
        ..Progress::new(true, START)
    };
    let mut run = Run::new(settings());
    run.progress = taken_over();
    run.seen.others = true;
    run.seen.production = Route::Pair {
        green_percent: 10.0,
    };
    run.seen.blue = Some(COMING_UP);
    run.pass();
    assert_eq!(
        (run.log.len(), run.progress.wants_others()),
        (0, true),
        "blue is not whole yet"
    );
    run.seen.blue = Some(UP);
    run.pass();
    assert!(!run.progress.wants_others());
    assert_eq!(run.at(), (Status::InProgress, Stage::ReconcileService));
    let back = [production(0.0), Action::RouteTest { green: false }];
    assert_eq!(run.log, back, "blue has everything again");
    assert!(
        !run.progress.wants_green(),
        "its target group is still in use"
    );
    run.seen.others = false;
    run.pass();
    assert_eq!(run.at().1, Stage::ScaleUp);

    let mut stopped = Run::new(settings());
    stopped.progress = taken_over();
    stopped.seen.others = true;
    stopped.seen.production = Route::Pair {
        green_percent: 10.0,
    };
    stopped.seen.stop = true;
    stopped.pass();
    assert_eq!(stopped.log, back, "also if it is stopped at once");
    assert_eq!(stopped.at().0, Status::RolledBack);
}

#[test]
fn rules_that_no_deployment_found_fit_are_left_alone() {
    let elsewhere = Route::Elsewhere("It forwards to an unexpected target group.".to_owned());
    let gone = Route::Unusable("It does not exist.".to_owned());
    for (name, route, stop) in [
        ("somebody else's", elsewhere.clone(), false),
        ("not there", gone, false),
        ("stopped meanwhile", elsewhere, true),
    ] {
        let mut run = Run::new(settings());
        run.progress = Progress::new(true, START);
        run.seen.others = true;
        run.seen.production = route.clone();
        run.seen.test = route;
        run.seen.stop = stop;
        run.pass();
        run.seen.others = false;
        run.pass();
        assert_eq!(run.at().0, Status::RolledBack, "{name}");
        assert!(run.log.is_empty(), "{name}: {:?}", run.log);
    }
}

#[test]
fn what_a_stage_does_itself_has_a_limit() {
    let mut run = Run::new(settings());
    run.pass().after(24 * HOUR);
    assert_eq!(
        run.reason(),
        "Service deployment rolled back because the SCALE_UP lifecycle stage did not complete within 24 hours."
    );

    let mut run = Run::new(settings());
    run.progress = Progress::new(true, START);
    run.seen.others = true;
    run.pass().after(24 * HOUR);
    assert_eq!(run.at().0, Status::RolledBack);

    let mut run = Run::green_up(with_hook(
        HookKind::Lambda,
        &[Stage::PreProductionTrafficShift],
    ));
    run.seen.green.ready = false;
    run.answer(Answer::Succeeded);
    assert_eq!(run.at().1, Stage::ProductionTrafficShift);
    assert_eq!(run.progress.green_percent, 0.0, "green is not whole");
    run.after(24 * HOUR);
    assert!(
        run.reason().contains("PRODUCTION_TRAFFIC_SHIFT"),
        "{}",
        run.reason()
    );

    let mut run = Run::green_up(settings());
    run.after(5 * MINUTE);
    assert_eq!(run.at().1, Stage::CleanUp);
    run.after(24 * HOUR);
    assert_eq!(
        run.at().0,
        Status::Successful,
        "green serves, whoever is left"
    );

    let mut run = Run::green_up(settings());
    run.seen.stop = true;
    run.pass().after(24 * HOUR);
    assert_eq!(
        run.at().0,
        Status::RolledBack,
        "blue serves, whoever is left"
    );
}

#[test]
fn a_shift_of_a_network_load_balancer_takes_its_time() {
    let mut run = Run::green_up(Settings {
        settle_millis: 10 * MINUTE,
        bake_millis: 0,
        ..settings()
    });
    assert_eq!(run.at().1, Stage::TestTrafficShift);
    run.after(10 * MINUTE);
    assert_eq!(run.at().1, Stage::ProductionTrafficShift);
    run.after(10 * MINUTE);
    assert_eq!(run.at().1, Stage::CleanUp);
}

#[test]
fn nothing_leads_back_from_clean_up() {
    let mut run = Run::green_up(settings());
    run.after(5 * MINUTE);
    assert!(run.progress.is_past_return());
    run.seen.stop = true;
    run.seen.alarm = true;
    run.seen.production = Route::Pair {
        green_percent: 50.0,
    };
    run.pass();
    assert_eq!(run.at(), (Status::InProgress, Stage::CleanUp));
}

#[test]
fn a_rule_that_is_gone_before_any_shift_takes_nothing_from_blue() {
    let mut run = Run::new(settings());
    run.pass();
    run.seen.production = Route::Unusable("It does not exist.".to_owned());
    run.pass();
    assert_eq!(run.at().0, Status::RolledBack);
}

#[test]
fn a_green_without_tasks_to_have_is_not_ready_before_it_was_told() {
    let mut run = Run::new(settings());
    run.seen.green = UP;
    run.pass();
    assert_eq!(run.at().1, Stage::ScaleUp, "what was seen is from before");
    run.pass();
    assert_eq!(run.at().1, Stage::BakeTime);
}
