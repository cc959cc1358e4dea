//! Every transition, as a table: what the deployment is like, what is seen, what follows.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use neargate_domain::Timestamp;

use super::*;

const MINUTE: i64 = 60_000;
const START: Timestamp = Timestamp(1_000_000);

fn settings() -> Settings {
    Settings {
        routing: TrafficRouting::AllAtOnce,
        test_listener: false,
        hooks: BTreeSet::new(),
        ready: Ready::Continue,
        termination_wait_millis: 5 * MINUTE,
        roll_back_on: RollBackOn::default(),
        timing: Timing::scaled(|duration| duration),
    }
}

fn seen() -> Seen {
    Seen {
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
            progress: Progress::new(settings.test_listener),
            settings,
            seen: seen(),
            now: START,
            log: Vec::new(),
            wake_at: None,
        }
    }

    fn pass(&mut self) -> &mut Self {
        let plan = advance(&self.settings, &self.progress, &self.seen, self.now);
        for action in &plan.actions {
            match action {
                Action::CreateGreen => {
                    self.seen.green = Some(SetSeen { steady: false });
                    self.seen.green_made = true;
                    self.seen.production_green_percent = Some(0.0);
                }
                Action::RouteProduction { green_percent } => {
                    self.seen.production_green_percent = Some(*green_percent);
                }
                _ => {}
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

    fn green_is_steady(&mut self) -> &mut Self {
        self.seen.green = Some(SetSeen { steady: true });
        self.pass()
    }

    fn status(&self, event: Event) -> EventStatus {
        self.progress.event(event).expect("the event exists").status
    }

    fn in_progress(&self) -> Option<Event> {
        let current = |e: &&EventProgress| e.status == EventStatus::InProgress;
        self.progress.events.iter().find(current).map(|e| e.event)
    }

    fn error(&self) -> &str {
        self.progress
            .failure
            .as_ref()
            .map_or("", |f| f.code.as_str())
    }
}

#[test]
fn a_deployment_without_hooks_goes_through_all_events() {
    let mut run = Run::new(settings());
    run.pass();
    assert_eq!(run.in_progress(), Some(Event::Install));
    assert_eq!(run.log, [Action::CreateGreen]);
    run.green_is_steady();
    let shifted = [
        Action::CreateGreen,
        Action::RouteProduction {
            green_percent: 100.0,
        },
        Action::MakeGreenPrimary,
    ];
    assert_eq!(run.log, shifted, "blue still waits");
    assert_eq!(run.progress.status, Status::InProgress);
    assert!(
        run.progress
            .events
            .iter()
            .all(|e| e.status == EventStatus::Succeeded)
    );
    assert_eq!(run.wake_at, Some(START.plus_millis(5 * MINUTE)));
    run.after(5 * MINUTE - 1);
    assert_eq!(run.log.len(), 3, "not a moment early");
    run.after(1);
    assert_eq!(run.log[3..], [Action::DeleteBlue]);
    assert_eq!(run.progress.status, Status::InProgress, "blue drains");
    run.seen.blue = None;
    run.pass();
    assert_eq!(run.progress.status, Status::Succeeded);
    let end = run.progress.clone();
    run.after(MINUTE);
    assert_eq!(run.progress, end, "an ended deployment stays as it is");
}

#[test]
fn traffic_moves_in_the_steps_of_the_configuration() {
    let canary = |percent, minutes| TrafficRouting::Canary {
        percent,
        interval_millis: minutes * MINUTE,
    };
    let linear = |percent, minutes| TrafficRouting::Linear {
        percent,
        interval_millis: minutes * MINUTE,
    };
    for (name, routing, want) in [
        ("all at once", TrafficRouting::AllAtOnce, vec![(0, 100.0)]),
        (
            "ECSCanary10Percent5Minutes",
            canary(10.0, 5),
            vec![(0, 10.0), (5, 100.0)],
        ),
        ("a canary of everything", canary(100.0, 5), vec![(0, 100.0)]),
        (
            "ECSLinear10PercentEvery1Minutes",
            linear(10.0, 1),
            (0..10).map(|n| (n, f64::from(n + 1) * 10.0)).collect(),
        ),
        (
            "a part that does not divide 100",
            linear(40.0, 2),
            vec![(0, 40.0), (2, 80.0), (4, 100.0)],
        ),
    ] {
        let mut run = Run::new(Settings {
            routing,
            ..settings()
        });
        run.pass().green_is_steady();
        let mut shares = Vec::new();
        let mut taken = 0;
        for minute in 0..12 {
            for action in &run.log[taken..] {
                if let Action::RouteProduction { green_percent } = action {
                    shares.push((minute, green_percent.round()));
                }
            }
            taken = run.log.len();
            run.after(MINUTE);
        }
        assert_eq!(shares, want, "{name}");
        assert_eq!(
            run.status(Event::AllowTraffic),
            EventStatus::Succeeded,
            "{name}"
        );
    }
}

#[test]
fn a_hook_holds_its_event_until_it_answers() {
    for event in Event::ALL.into_iter().filter(|event| event.takes_hook()) {
        let hooked = Settings {
            hooks: [event].into(),
            test_listener: true,
            ..settings()
        };
        for (name, answer, after, want, code) in [
            (
                "succeeds",
                Some(HookAnswer::Succeeded),
                1,
                EventStatus::Succeeded,
                "",
            ),
            (
                "fails",
                Some(HookAnswer::Failed),
                1,
                EventStatus::Failed,
                "HOOK_EXECUTION_FAILURE",
            ),
            (
                "is silent",
                None,
                60 * MINUTE,
                EventStatus::Failed,
                "TIMEOUT",
            ),
            (
                "may still answer",
                None,
                60 * MINUTE - 1,
                EventStatus::InProgress,
                "",
            ),
            (
                "does not exist",
                Some(HookAnswer::NotInvoked("no function".into())),
                1,
                EventStatus::Failed,
                "INVALID_LAMBDA_FUNCTION",
            ),
        ] {
            let mut run = Run::new(hooked.clone());
            run.pass();
            if run.in_progress() == Some(Event::Install) {
                run.green_is_steady();
            }
            assert_eq!(run.in_progress(), Some(event), "{event:?} {name}");
            let invoked = |action: &&Action| **action == Action::InvokeHook(event);
            run.pass().pass();
            assert_eq!(
                run.log.iter().filter(invoked).count(),
                1,
                "{event:?} {name}: once"
            );
            run.seen.hooks = answer.map(|answer| (event, answer)).into_iter().collect();
            run.after(after);
            assert_eq!(run.status(event), want, "{event:?} {name}");
            assert_eq!(run.error(), code, "{event:?} {name}");
            if want == EventStatus::Failed {
                let later = run.progress.events.iter().filter(|e| e.event > event);
                assert!(
                    later.clone().all(|e| e.status == EventStatus::Skipped),
                    "{event:?} {name}"
                );
                assert_eq!(run.progress.status, Status::Failed, "{event:?} {name}");
            }
        }
    }
}

#[test]
fn test_traffic_moves_before_production_traffic() {
    let mut run = Run::new(Settings {
        test_listener: true,
        hooks: [Event::AfterAllowTestTraffic].into(),
        ..settings()
    });
    run.pass().green_is_steady();
    let want = [
        Action::CreateGreen,
        Action::RouteTest { green: true },
        Action::InvokeHook(Event::AfterAllowTestTraffic),
    ];
    assert_eq!(run.log, want);
    assert_eq!(
        Progress::new(false).events.len(),
        6,
        "two fewer without a test listener"
    );
}

#[test]
fn green_must_become_steady_in_an_hour() {
    let mut run = Run::new(settings());
    run.pass();
    assert_eq!(run.wake_at, Some(START.plus_millis(60 * MINUTE)));
    run.after(60 * MINUTE);
    assert_eq!(run.progress.status, Status::Failed);
    assert_eq!(run.error(), "TIMEOUT");
    assert_eq!(run.status(Event::Install), EventStatus::Failed);
    assert_eq!(
        run.log,
        [Action::CreateGreen],
        "no roll back was configured"
    );
}

#[test]
fn a_green_that_is_not_steady_gets_no_more_traffic() {
    let failing = || {
        let mut run = Run::new(Settings {
            routing: TrafficRouting::Canary {
                percent: 10.0,
                interval_millis: 5 * MINUTE,
            },
            ..settings()
        });
        run.pass().green_is_steady();
        assert_eq!(run.progress.green_percent, 10.0);
        run.seen.green = Some(SetSeen { steady: false });
        run.after(5 * MINUTE);
        assert_eq!(run.progress.green_percent, 10.0);
        assert_eq!(run.wake_at, Some(run.now.plus_millis(60 * MINUTE)));
        run
    };
    let mut run = failing();
    run.after(59 * MINUTE).green_is_steady();
    assert_eq!(run.status(Event::AllowTraffic), EventStatus::Succeeded);
    assert_eq!(run.progress.green_percent, 100.0);

    let mut run = failing();
    run.after(60 * MINUTE);
    assert_eq!(run.progress.status, Status::Failed);
    assert_eq!((run.error(), run.progress.green_percent), ("TIMEOUT", 10.0));
}

#[test]
fn a_deployment_may_wait_to_be_continued() {
    let waits = Settings {
        ready: Ready::StopAfter {
            millis: 10 * MINUTE,
            stated: Duration::from_secs(600),
        },
        ..settings()
    };
    let ready = || {
        let mut run = Run::new(waits.clone());
        run.pass().green_is_steady();
        assert_eq!(run.progress.status, Status::Ready);
        assert_eq!(run.wake_at, Some(START.plus_millis(10 * MINUTE)));
        run
    };
    let mut run = ready();
    run.seen.continue_ready = true;
    run.after(MINUTE);
    assert_eq!(run.progress.status, Status::InProgress);
    assert_eq!(run.status(Event::AllowTraffic), EventStatus::Succeeded);

    let mut run = ready();
    run.after(10 * MINUTE);
    assert_eq!(run.progress.status, Status::Stopped);
    let message = &run.progress.failure.as_ref().expect("a reason").message;
    assert!(
        message.ends_with("This time out period is 10 minutes."),
        "{message}"
    );
}

#[test]
fn what_interrupts_a_deployment_ends_it_and_rolls_it_back_if_wanted() {
    type Change = fn(&mut Seen);
    let everything = RollBackOn {
        failure: true,
        alarm: true,
        request: true,
    };
    let rows: [(&str, Change, Status, &str); 8] = [
        (
            "stopped",
            |s| s.stop = Some(StopRequest { roll_back: false }),
            Status::Stopped,
            "MANUAL_STOP",
        ),
        (
            "an alarm",
            |s| s.alarms = vec!["high".into()],
            Status::Stopped,
            "ALARM_ACTIVE",
        ),
        (
            "the service went",
            |s| s.service = ServiceSeen::Unusable("gone".into()),
            Status::Failed,
            "INVALID_ECS_SERVICE",
        ),
        (
            "green went",
            |s| s.green = None,
            Status::Failed,
            "ECS_UPDATE_ERROR",
        ),
        (
            "blue went",
            |s| s.blue = None,
            Status::Failed,
            "ECS_UPDATE_ERROR",
        ),
        (
            "the rule forwards elsewhere",
            |s| s.production_green_percent = None,
            Status::Failed,
            "ELASTIC_LOAD_BALANCING_INVALID",
        ),
        (
            "somebody moved the weights",
            |s| s.production_green_percent = Some(70.0),
            Status::Failed,
            "ELASTIC_LOAD_BALANCING_INVALID",
        ),
        (
            "nothing of it",
            |s| s.alarms.clear(),
            Status::InProgress,
            "",
        ),
    ];
    for (name, change, status, code) in rows {
        for roll_back_on in [RollBackOn::default(), everything] {
            let mut run = Run::new(Settings {
                routing: TrafficRouting::Canary {
                    percent: 10.0,
                    interval_millis: 5 * MINUTE,
                },
                roll_back_on,
                ..settings()
            });
            run.pass().green_is_steady();
            assert_eq!(run.seen.production_green_percent, Some(10.0));
            change(&mut run.seen);
            run.after(MINUTE);
            assert_eq!((run.progress.status, run.error()), (status, code), "{name}");
            let wanted = roll_back_on.failure && status.is_final() && name != "blue went";
            let started = run.log.last() == Some(&Action::StartRollBack);
            assert_eq!(started, wanted, "{name} {roll_back_on:?}");
        }
    }
}

#[test]
fn traffic_leaves_a_green_that_was_deleted_by_hand() {
    let mut run = Run::new(Settings {
        test_listener: true,
        routing: TrafficRouting::Canary {
            percent: 10.0,
            interval_millis: 5 * MINUTE,
        },
        ..settings()
    });
    run.pass().green_is_steady();
    let before = run.log.len();
    run.seen.green = None;
    run.after(1);
    let want = [
        Action::RouteProduction { green_percent: 0.0 },
        Action::MakeBluePrimary,
        Action::RouteTest { green: false },
    ];
    assert_eq!(
        run.log[before..],
        want,
        "although nothing is to be rolled back"
    );
    assert_eq!(run.progress.status, Status::Failed);
    assert_eq!(run.progress.green_percent, 0.0);
}

#[test]
fn nothing_interrupts_the_end_of_blue() {
    type Change = fn(&mut Seen);
    let rows: [(&str, Change); 4] = [
        ("a stop", |s| s.stop = Some(StopRequest { roll_back: true })),
        ("an alarm", |s| s.alarms = vec!["high".into()]),
        ("a changed route", |s| s.production_green_percent = None),
        ("a service that goes", |s| {
            s.service = ServiceSeen::Unusable("gone".into());
        }),
    ];
    for (name, change) in rows {
        let mut run = Run::new(settings());
        run.pass().green_is_steady().after(5 * MINUTE);
        assert_eq!(run.log.last(), Some(&Action::DeleteBlue), "{name}");
        change(&mut run.seen);
        run.pass();
        run.seen.blue = None;
        run.pass();
        assert_eq!(run.progress.status, Status::Succeeded, "{name}");
        assert_eq!(run.log.last(), Some(&Action::DeleteBlue), "{name}");
    }
}

#[test]
fn a_blue_that_is_deleted_in_its_wait_needs_no_wait() {
    let mut run = Run::new(settings());
    run.pass().green_is_steady();
    let actions = run.log.len();
    run.seen.blue = None;
    run.seen.stop = Some(StopRequest { roll_back: true });
    run.pass();
    assert_eq!(run.progress.status, Status::Succeeded);
    assert_eq!(run.log.len(), actions, "nothing is left to be done");
}

#[test]
fn what_cannot_be_carried_out_fails_the_deployment() {
    let roll_back_on = RollBackOn {
        failure: true,
        ..RollBackOn::default()
    };
    for (name, green_made, want) in [
        ("green was never made", false, vec![]),
        ("green is there", true, vec![Action::StartRollBack]),
    ] {
        let settings = Settings {
            roll_back_on,
            ..settings()
        };
        let mut about = Progress::new(false);
        about.status = Status::InProgress;
        about.events[0].status = EventStatus::Succeeded;
        about.events[1].status = EventStatus::InProgress;
        let seen = Seen {
            green_made,
            green: green_made.then_some(SetSeen { steady: false }),
            ..seen()
        };
        let failure = Failure::ecs_refused("No.");
        let plan = refuse(&settings, &about, &seen, failure, START);
        assert_eq!(plan.actions, want, "{name}");
        assert_eq!(plan.progress.status, Status::Failed, "{name}");
        assert_eq!(plan.progress.started_at, Some(START), "{name}");
        let statuses: Vec<EventStatus> = plan.progress.events.iter().map(|e| e.status).collect();
        use EventStatus::{Failed, Skipped, Succeeded};
        let want = [Succeeded, Failed, Skipped, Skipped, Skipped, Skipped];
        assert_eq!(statuses, want, "{name}");
    }
}

#[test]
fn a_stop_says_itself_whether_to_roll_back() {
    let mut run = Run::new(settings());
    run.pass();
    run.seen.stop = Some(StopRequest { roll_back: true });
    run.pass();
    assert_eq!(run.log, [Action::CreateGreen, Action::StartRollBack]);
}

#[test]
fn a_stop_in_the_termination_wait_ends_the_wait() {
    for (name, change) in [
        (
            "stopped",
            (|s| s.stop = Some(StopRequest { roll_back: false })) as fn(&mut Seen),
        ),
        ("continued", |s| s.continue_termination = true),
    ] {
        let mut run = Run::new(settings());
        run.pass().green_is_steady();
        change(&mut run.seen);
        run.pass();
        assert_eq!(run.log.last(), Some(&Action::DeleteBlue), "{name}");
        run.seen.blue = None;
        run.pass();
        assert_eq!(run.progress.status, Status::Succeeded, "{name}");
    }
}

#[test]
fn blue_must_serve_when_a_deployment_begins() {
    for (name, production, test) in [
        ("green's group has traffic", Some(100.0), Some(0.0)),
        ("neither", None, Some(0.0)),
        ("no group has test traffic", Some(0.0), None),
    ] {
        let mut run = Run::new(Settings {
            roll_back_on: RollBackOn {
                failure: true,
                ..RollBackOn::default()
            },
            test_listener: true,
            ..settings()
        });
        run.seen.production_green_percent = production;
        run.seen.test_green_percent = test;
        run.pass();
        assert_eq!(run.progress.status, Status::Failed, "{name}");
        assert_eq!(run.error(), "ELASTIC_LOAD_BALANCING_INVALID", "{name}");
        assert_eq!(
            run.log,
            [],
            "{name}: nothing was changed, so nothing is rolled back"
        );
    }
}

#[test]
fn what_a_failed_deployment_left_on_green_is_no_obstacle() {
    let mut run = Run::new(settings());
    run.seen.production_green_percent = Some(90.0);
    run.pass();
    assert_eq!(run.log, [Action::CreateGreen]);
    run.green_is_steady();
    assert_eq!(run.progress.green_percent, 100.0);

    let mut run = Run::new(Settings {
        test_listener: true,
        ..settings()
    });
    run.seen.test_green_percent = Some(100.0);
    run.pass();
    let want = [Action::CreateGreen, Action::RouteTest { green: false }];
    assert_eq!(run.log, want, "testers see the new green when it is steady");
}

#[test]
fn a_roll_back_gives_blue_its_traffic_and_ends_green() {
    let failed = Seen {
        green: Some(SetSeen { steady: true }),
        production_green_percent: Some(10.0),
        ..seen()
    };
    let plan = roll_back(&Progress::new(true), &failed, START);
    let want = [
        Action::RouteProduction { green_percent: 0.0 },
        Action::RouteTest { green: false },
        Action::MakeBluePrimary,
        Action::DeleteGreen,
    ];
    assert_eq!(plan.actions, want);
    assert_eq!(plan.progress.status, Status::InProgress);
    let again = roll_back(&plan.progress, &failed, START);
    assert_eq!(
        (again.actions.len(), again.progress.status),
        (0, Status::InProgress),
        "green drains"
    );
    let gone = Seen {
        green: None,
        ..failed.clone()
    };
    let end = roll_back(&again.progress, &gone, START);
    assert_eq!(end.progress.status, Status::Succeeded);

    let without_blue = Seen {
        blue: None,
        ..failed
    };
    let plan = roll_back(&Progress::new(false), &without_blue, START);
    assert_eq!(
        (plan.progress.status, plan.actions.len()),
        (Status::Failed, 0)
    );
}
