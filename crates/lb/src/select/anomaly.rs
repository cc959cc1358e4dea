//! Targets that fail more of their requests than the others of their group, though their health checks pass, and how
//! much less they get for it. Pure.
//!
//! AWS: among three healthy targets or more, 5xx answers and failed connections are compared between targets. An
//! anomalous one gets less and less until it recovers or gets next to nothing, and more again little by little; at most
//! half of the targets are treated so. AWS does not publish its numbers, so those here are ours. Sources:
//! ALB/edit-target-group-attributes, automatic target weights; "Improving availability with Application Load Balancer
//! automatic target weights".

use std::time::Duration;

/// How often targets are judged.
pub const INTERVAL: Duration = Duration::from_secs(5);
/// The weight of a target that nothing is held against.
pub const FULL_WEIGHT: u32 = 1000;
/// Enough to notice that a target has recovered.
const MIN_WEIGHT: u32 = 20;
/// How fast a weight comes back: in ten rounds from nothing.
const RECOVERY: u32 = FULL_WEIGHT / 10;
const MIN_TARGETS: usize = 3;
/// Fewer say nothing about a target that was normal.
const MIN_REQUESTS: u32 = 10;

/// What became of a target's requests since the last round.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Outcomes {
    pub requests: u32,
    /// Answered with 5xx, or not answered for the target's fault.
    pub failures: u32,
}

impl Outcomes {
    /// With what was seen before, which counts half as much each round.
    fn after(self, before: Self) -> Self {
        Self {
            requests: (before.requests / 2).saturating_add(self.requests),
            failures: (before.failures / 2).saturating_add(self.failures),
        }
    }

    fn per_mille(self) -> u64 {
        let (failures, requests) = (u64::from(self.failures), u64::from(self.requests));
        (failures * 1000).checked_div(requests).unwrap_or(0)
    }
}

/// What is held of a target.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Standing {
    pub anomalous: bool,
    /// Its share among the others.
    pub weight: u32,
    seen: Outcomes,
}

impl Default for Standing {
    fn default() -> Self {
        Self {
            anomalous: false,
            weight: FULL_WEIGHT,
            seen: Outcomes::default(),
        }
    }
}

impl Standing {
    pub fn is_mitigated(&self) -> bool {
        self.weight < FULL_WEIGHT
    }
}

/// One round for the healthy targets of a group, in any order that stays. `mitigates`: weights follow.
pub fn judge(targets: &[(Standing, Outcomes)], mitigates: bool) -> Vec<Standing> {
    let seen: Vec<Outcomes> = targets
        .iter()
        .map(|(before, new)| new.after(before.seen))
        .collect();
    let anomalous: Vec<bool> = (0..targets.len())
        .map(|index| targets.len() >= MIN_TARGETS && is_anomalous(&seen, index, targets[index].0))
        .collect();
    let mut worst: Vec<usize> = (0..targets.len()).filter(|&i| anomalous[i]).collect();
    worst.sort_by_key(|&index| std::cmp::Reverse(seen[index].per_mille()));
    worst.truncate(targets.len() / 2);
    let standing = |index: usize| {
        let before = targets[index].0.weight;
        let weight = match (mitigates, worst.contains(&index)) {
            (false, _) => FULL_WEIGHT,
            (true, true) => (before / 2).max(MIN_WEIGHT),
            (true, false) => (before + RECOVERY).min(FULL_WEIGHT),
        };
        Standing {
            anomalous: anomalous[index],
            weight,
            seen: seen[index],
        }
    };
    (0..targets.len()).map(standing).collect()
}

/// Whether a target fails clearly more than the others together. One that did stays so until it is nearly as good.
fn is_anomalous(seen: &[Outcomes], index: usize, before: Standing) -> bool {
    let own = seen[index];
    let others = seen.iter().enumerate().filter(|(other, _)| *other != index);
    let others = others.fold(Outcomes::default(), |sum, (_, one)| Outcomes {
        requests: sum.requests.saturating_add(one.requests),
        failures: sum.failures.saturating_add(one.failures),
    });
    let (min_requests, margin) = if before.anomalous {
        (1, 50)
    } else {
        (MIN_REQUESTS, 100)
    };
    own.requests >= min_requests && own.per_mille() >= others.per_mille() * 3 / 2 + margin
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Rounds of the same outcomes (requests, failures), one target each; what is held after the last.
    fn after(rounds: usize, outcomes: &[(u32, u32)], mitigates: bool) -> Vec<Standing> {
        let mut standing = vec![Standing::default(); outcomes.len()];
        for _ in 0..rounds {
            standing = next(&standing, outcomes, mitigates);
        }
        standing
    }

    fn next(standing: &[Standing], outcomes: &[(u32, u32)], mitigates: bool) -> Vec<Standing> {
        let outcomes = outcomes
            .iter()
            .map(|&(requests, failures)| Outcomes { requests, failures });
        let targets: Vec<_> = standing.iter().copied().zip(outcomes).collect();
        judge(&targets, mitigates)
    }

    #[test]
    fn who_fails_more_than_the_others_is_anomalous() {
        const WELL: (u32, u32) = (100, 0);
        for (name, outcomes, want) in [
            ("all well", vec![WELL, WELL, WELL], ""),
            ("one fails", vec![WELL, (100, 30), WELL], "1"),
            ("all fail alike", vec![(100, 50), (100, 55), (100, 45)], ""),
            (
                "all fail, one more so",
                vec![(100, 20), (100, 60), (100, 20)],
                "1",
            ),
            ("too little to tell", vec![WELL, (9, 9), WELL], ""),
            ("a failure now and then", vec![WELL, (100, 5), WELL], ""),
            ("two targets", vec![WELL, (100, 90)], ""),
            ("no requests", vec![(0, 0), (0, 0), (0, 0)], ""),
            ("two of four", vec![WELL, (100, 90), WELL, (100, 80)], "1 3"),
        ] {
            let found: Vec<String> = after(1, &outcomes, false)
                .iter()
                .enumerate()
                .filter(|(_, standing)| standing.anomalous)
                .map(|(index, _)| index.to_string())
                .collect();
            assert_eq!(found.join(" "), want, "{name}");
        }
    }

    #[test]
    fn weights_fall_step_by_step_and_come_back_little_by_little() {
        let bad = [(100, 0), (100, 50), (100, 0)];
        let weights =
            |standing: &[Standing]| -> Vec<u32> { standing.iter().map(|s| s.weight).collect() };
        for (rounds, want) in [
            (1, 500),
            (2, 250),
            (5, 31),
            (6, MIN_WEIGHT),
            (50, MIN_WEIGHT),
        ] {
            let got = weights(&after(rounds, &bad, true));
            assert_eq!(got, [FULL_WEIGHT, want, FULL_WEIGHT], "after {rounds}");
        }
        assert_eq!(
            weights(&after(9, &bad, false)),
            [FULL_WEIGHT; 3],
            "only told"
        );
        // It answers again, at first a few requests that the old failures outweigh.
        let mut standing = after(50, &bad, true);
        let mut seen = Vec::new();
        while standing[1].is_mitigated() {
            standing = next(&standing, &[(100, 0), (20, 0), (100, 0)], true);
            seen.push(standing[1].weight);
        }
        assert!(
            seen.windows(2).all(|two| two[1] <= two[0] + RECOVERY),
            "{seen:?}"
        );
        assert!((10..20).contains(&seen.len()), "{seen:?}");
        // Nobody asks it at all.
        let quiet = next(&after(50, &bad, true), &[(0, 0); 3], true);
        let quiet = (0..20).fold(quiet, |held, _| next(&held, &[(0, 0); 3], true));
        assert_eq!(quiet[1].weight, FULL_WEIGHT);
    }

    #[test]
    fn at_most_half_of_the_targets_get_less() {
        for (name, outcomes, want) in [
            (
                "the worst of three",
                vec![(100, 5), (100, 50), (100, 90)],
                vec![2],
            ),
            (
                "two of five",
                vec![(100, 0), (100, 50), (100, 0), (100, 60), (100, 0)],
                vec![1, 3],
            ),
        ] {
            let mitigated: Vec<usize> = after(3, &outcomes, true)
                .iter()
                .enumerate()
                .filter(|(_, standing)| standing.is_mitigated())
                .map(|(index, _)| index)
                .collect();
            assert_eq!(mitigated, want, "{name}");
        }
    }
}
