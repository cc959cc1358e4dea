//! The way back: all traffic returns to blue in one step, the hooks of the shifts that were made hear of it, and green's
//! tasks go.

use super::advance::{Hooks, Next, Pass};
use super::failure::Failure;
use super::progress::{Route, Status};
use super::stage::Stage;

impl Pass<'_> {
    /// Ends the way forward.
    pub(super) fn fail(&mut self, failure: Failure) -> Next {
        self.progress.failure = Some(failure);
        if self.seen.blue.is_none() {
            self.progress.end(Status::Failed, self.now);
            self.wake_at = None;
            return Next::GoOn;
        }
        self.progress.status = Status::RollingBack;
        let reconciles = self.progress.stage == Stage::ReconcileService;
        let touched = self.progress.scaled_up || reconciles;
        self.progress.returned = !touched || !self.progress.owns_rules();
        self.progress.abandon_hooks();
        self.progress.step = 0;
        let shifted = self.progress.green_percent > 0.0;
        self.enter(match (shifted, self.progress.test_on_green) {
            (true, _) => Stage::ProductionTrafficShift,
            (false, true) => Stage::TestTrafficShift,
            (false, false) => Stage::CleanUp,
        });
        Next::GoOn
    }

    pub(super) fn step_back(&mut self) -> Next {
        if !self.progress.begun {
            if !self.progress.returned {
                if self.blue_must_come_back() {
                    return Next::Wait;
                }
                self.traffic_back();
            }
            self.progress.shifted_at = Some(self.now);
            self.start_hooks(true);
        }
        if matches!(self.hooks(true), Hooks::Open) {
            return Next::Wait;
        }
        if self.progress.stage != Stage::CleanUp {
            if self.has_settled() {
                let test = self.progress.stage == Stage::ProductionTrafficShift
                    && self.progress.test_on_green;
                self.enter(if test {
                    Stage::TestTrafficShift
                } else {
                    Stage::CleanUp
                });
                return Next::GoOn;
            }
            return Next::Wait;
        }
        let limit = self.settings.timing.stage_millis;
        let end = self.progress.entered_at.plus_millis(limit);
        if self.seen.green.tasks && !self.is_over(end) {
            return Next::Wait;
        }
        self.progress.test_on_green = false;
        let status = match self.progress.stuck {
            Some(_) => Status::RollbackFailed,
            None => Status::RolledBack,
        };
        self.progress.end(status, self.now);
        Next::GoOn
    }

    /// Blue's tasks died meanwhile and are being replaced: until then whoever has traffic keeps it, if it can serve.
    fn blue_must_come_back(&self) -> bool {
        let lost = self.seen.blue.is_some_and(|blue| !blue.serves);
        let on_blue = match self.seen.production {
            Route::Pair { green_percent } => green_percent == 0.0,
            _ => self.progress.green_percent == 0.0,
        };
        lost && !on_blue && (self.seen.green.serves || self.seen.others)
    }

    /// Whatever was done to the rules meanwhile, blue gets everything.
    fn traffic_back(&mut self) {
        self.progress.returned = true;
        match &self.seen.production {
            Route::Unusable(why) => {
                // Where nothing was shifted, nothing is missing.
                if self.progress.green_percent > 0.0 {
                    self.progress.stuck = Some(why.clone());
                    // Of several rules the others can be led back.
                    self.route_production(0.0);
                }
            }
            Route::Pair { green_percent } if *green_percent == 0.0 => {
                self.progress.green_percent = 0.0;
            }
            // Where they lead is nothing to blue, nor was it our doing.
            _ if !self.seen.blue_is_routed && self.progress.green_percent == 0.0 => {}
            _ => self.route_production(0.0),
        }
        if self.progress.test_on_green || !self.progress.scaled_up {
            self.route_test(false);
        }
    }
}
