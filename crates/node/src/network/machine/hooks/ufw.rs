//! ufw: a route rule. It accepts answers by itself, forwarded or not (its `before.rules`).

use super::{Names, Step, Wants, iptables};
use std::fs;

/// Where ufw keeps the rules of its user, ours too: they outlive a reboot that we do not.
const RULES: &str = "/etc/ufw/user.rules";

#[derive(Debug, Default, Clone, PartialEq)]
pub struct Seen {
    pub active: bool,
    /// Our rule is in the kernel.
    in_force: bool,
    /// Our rule is among those that ufw keeps.
    kept: bool,
}

pub fn look(tables: &[iptables::Tables], names: &Names) -> Seen {
    let rule = format!("-A ufw-user-forward -i {} ", names.device);
    let lines = || tables.iter().flat_map(|tables| &tables.lines);
    let kept = fs::read_to_string(RULES).unwrap_or_default();
    Seen {
        active: lines().any(|line| line == "-N ufw-user-forward"),
        in_force: lines().any(|line| line.starts_with(&rule)),
        kept: kept
            .split_ascii_whitespace()
            .any(|word| word == names.device),
    }
}

pub fn plan(seen: &Seen, names: &Names, wants: Wants) -> Option<Step> {
    let rule = ["allow", "in", "on", &names.device];
    if wants.world && seen.active && !seen.in_force {
        let comment = ["comment", &names.comment];
        return Some(Step::run(
            "ufw",
            &[&["route"][..], &rule, &comment].concat(),
        ));
    }
    // Also while ufw is off: it would come back with it.
    (!wants.world && seen.kept)
        .then(|| Step::run("ufw", &[&["route", "delete"][..], &rule].concat()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_rule_is_asked_for_once_and_taken_back_whatever_became_of_ufw() {
        let names = Names {
            device: "ngn1".into(),
            comment: "neargate-1".into(),
        };
        for (name, [active, in_force, kept], world, want) in [
            ("off", [false, false, false], true, None),
            (
                "on",
                [true, false, false],
                true,
                Some("route allow in on ngn1 comment neargate-1"),
            ),
            ("in force", [true, true, true], true, None),
            (
                "no longer wanted",
                [true, true, true],
                false,
                Some("route delete allow in on ngn1"),
            ),
            (
                "switched off",
                [false, false, true],
                false,
                Some("route delete allow in on ngn1"),
            ),
            ("never was", [true, false, false], false, None),
        ] {
            let seen = Seen {
                active,
                in_force,
                kept,
            };
            let wants = Wants {
                answers: true,
                world,
            };
            let step = plan(&seen, &names, wants);
            let want = want.map(|args| Step::run("ufw", &args.split(' ').collect::<Vec<_>>()));
            assert_eq!(step, want, "{name}");
        }
    }
}
