//! The service scheduler in virtual time, over random services, faults and orders of events.
//!
//! What must hold at every step is in [`world::World::step`]: planning twice is planning once, healthy tasks are not
//! taken below the floor, starts do not go above the ceiling, nothing is stopped before it is drained, protected tasks
//! stay, nothing is killed for being unknown, and a plan that is carried out leaves nothing to do. Here: that every
//! history ends, and where.

mod simulation {
    pub mod world;
}

use neargate_planner::services::{GroupState, Scheduling};
use simulation::world::{Version, World};

/// Steps of virtual time that a service may take to settle once nothing goes wrong any more.
const MAX_STEPS_TO_SETTLE: usize = 3_000;

fn settle(world: &mut World, seed: u64) {
    for _ in 0..MAX_STEPS_TO_SETTLE {
        if world.is_settled() {
            return;
        }
        world.step();
    }
    panic!(
        "seed {seed} does not settle:\n{:#?}\n{}",
        world.service.tasks,
        world.story()
    );
}

#[test]
fn whatever_happens_a_service_settles() {
    let (mut completed, mut failed, mut stuck, mut passes) = (0, 0, 0, 0);
    for seed in 0..300 {
        let mut world = World::new(seed);
        for _ in 0..40 {
            for _ in 0..seed % 7 {
                world.step();
            }
            world.meddle();
        }
        world.calm();
        settle(&mut world, seed);
        // Each task tells of its start, target, health and stop; faults and deployments add to that.
        let bound = 12 * world.created + 300;
        assert!(
            world.events <= bound,
            "seed {seed}: {} events, {} tasks",
            world.events,
            world.created
        );
        match world.service.groups[0].state {
            GroupState::Completed => completed += 1,
            GroupState::Failed => failed += 1,
            GroupState::InProgress => {
                assert!(
                    world.has_no_way(),
                    "seed {seed} could go on:\n{}",
                    world.story()
                );
                stuck += 1;
            }
        }
        passes += world.passes;
    }
    // The simulation is worth nothing if it never gets anywhere, or to one end only.
    println!("{completed} completed, {failed} failed, {stuck} stuck, {passes} passes");
    assert!(completed > 150 && failed > 30 && stuck < 40);
    assert!(passes > 50_000, "{passes} passes");
}

#[test]
fn an_even_service_stays_even_and_an_uneven_one_becomes_even() {
    for seed in 0..60 {
        let mut world = World::new(seed);
        world.service.service.zone_rebalancing = true;
        world.service.service.maximum_percent = 200;
        world.zones = 3;
        world.service.groups[0].zones = ["zone-0", "zone-1"].map(str::to_owned).to_vec();
        world.service.service.scheduling = Scheduling::Replica { desired: 6 };
        settle(&mut world, seed);
        // A zone comes (back): its share moves there.
        world.service.groups[0].zones.push("zone-2".to_owned());
        for _ in 0..100 {
            world.step();
        }
        settle(&mut world, seed);
        assert_eq!(world.zone_spread(), 0, "seed {seed}: {}", world.story());
    }
}

#[test]
fn a_bad_version_is_rolled_back_and_the_old_tasks_serve_throughout() {
    for seed in 0..60 {
        for version in [
            Version::CannotStart,
            Version::Crashes,
            Version::NeverHealthy,
        ] {
            let mut world = World::new(seed);
            let spec = &mut world.service.service;
            spec.circuit_breaker.enable = true;
            spec.circuit_breaker.rollback = true;
            spec.minimum_healthy_percent = 100;
            spec.maximum_percent = 200;
            spec.scheduling = Scheduling::Replica {
                desired: 1 + (seed % 6) as u32,
            };
            let noticed = !world.service.groups[0].target_groups.is_empty() || world.checks();
            if version == Version::NeverHealthy && !noticed {
                continue; // Nobody would notice.
            }
            settle(&mut world, seed);
            let good: Vec<String> = world.service.tasks.keys().cloned().collect();
            world.deploy(version);
            settle(&mut world, seed);
            let primary = &world.service.groups[0];
            assert!(
                primary.is_rollback && world.versions[&primary.id] == Version::Good,
                "seed {seed}, {version:?}: {}",
                world.story()
            );
            let left: Vec<String> = world.service.tasks.keys().cloned().collect();
            assert_eq!(
                left, good,
                "seed {seed}, {version:?}: the old tasks never went"
            );
        }
    }
}

/// A good push, and a bad one when the first one's tasks have run for a moment only.
#[test]
fn a_bad_push_just_after_a_good_one_takes_nothing_that_serves() {
    for seed in 0..200 {
        for version in [
            Version::CannotStart,
            Version::Crashes,
            Version::NeverHealthy,
        ] {
            let mut world = World::new(seed);
            let spec = &mut world.service.service;
            spec.minimum_healthy_percent = 100;
            spec.maximum_percent = 200;
            spec.circuit_breaker.enable = seed % 2 == 0;
            spec.scheduling = Scheduling::Replica {
                desired: 1 + (seed % 4) as u32,
            };
            let desired = world.desired();
            while world.running() < desired {
                world.step();
            }
            let good: Vec<String> = world.service.tasks.keys().cloned().collect();
            world.deploy(version);
            for _ in 0..60 {
                world.step();
                let left: Vec<&String> = world
                    .service
                    .tasks
                    .iter()
                    .filter(|(_, task)| task.is_alive() && task.leaving.is_none())
                    .map(|(id, _)| id)
                    .collect();
                assert!(
                    good.iter().all(|id| left.contains(&id)) || world.healthy() >= desired,
                    "seed {seed}, {version:?}: {}",
                    world.story()
                );
            }
        }
    }
}

#[test]
fn a_clock_that_jumps_stalls_nothing() {
    const HOUR: i64 = 3_600_000;
    for seed in 0..60 {
        for by in [-365 * 24 * HOUR, -HOUR, -120_000, HOUR, 365 * 24 * HOUR] {
            let mut world = World::new(seed);
            for _ in 0..20 {
                world.step();
                world.meddle();
            }
            world.calm();
            world.jump_by(by);
            let jumped_at = world.now;
            settle(&mut world, seed);
            // The longest back-off, twice, and what tasks take to come and go.
            let took = world.acted_at.millis_since(jumped_at);
            assert!(
                took < 2 * HOUR,
                "seed {seed}, by {by}: {took} ms: {}",
                world.story()
            );
        }
    }
}

#[test]
fn a_deleted_service_ends() {
    for seed in 0..60 {
        let mut world = World::new(seed);
        for _ in 0..20 {
            world.step();
            world.meddle();
        }
        world.calm();
        world.service.service.deleting = true;
        settle(&mut world, seed);
        assert!(world.inactive, "seed {seed}");
    }
}
