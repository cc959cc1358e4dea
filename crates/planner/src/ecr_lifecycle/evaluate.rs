//! The decision. All rules look at the same images; what they find is applied in the order of their priorities.

use std::cmp::Reverse;
use std::collections::{HashMap, HashSet};

use neargate_domain::{Timestamp, wildcard};

use super::policy::{Count, Policy, Rule, TagCondition};

const DAY_MS: i64 = 24 * 3600 * 1000;

/// An image of the repository.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Image {
    pub digest: String,
    pub tags: Vec<String>,
    pub pushed_at: Timestamp,
    pub pulled_at: Option<Timestamp>,
    /// Digests of the indexes that refer to it.
    pub parents: Vec<String>,
}

/// An image that goes, and the rule that says so.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Expiry {
    pub digest: String,
    pub rule_priority: i32,
}

/// The images that expire, in an order in which they can be deleted: an index before what it refers to, otherwise by
/// rule, and oldest first.
pub fn images_to_expire(policy: &Policy, images: &[Image], now: Timestamp) -> Vec<Expiry> {
    let mut expiring: HashMap<&str, i32> = HashMap::new();
    // An image that meets a rule's tag condition is that rule's: no later one expires it, also if this one keeps it.
    let mut claimed: HashSet<&str> = HashSet::new();
    for rule in &policy.rules {
        let matching = matching_oldest_first(rule, images);
        for image in due(rule, &matching, now) {
            if !claimed.contains(image.digest.as_str()) {
                expiring.insert(&image.digest, rule.priority);
            }
        }
        claimed.extend(matching.iter().map(|image| image.digest.as_str()));
    }
    spare_children(&mut expiring, images);
    in_order(&expiring, images)
}

/// The images of a rule, those claimed by earlier rules too: they count as if they stayed.
fn matching_oldest_first<'a>(rule: &Rule, images: &'a [Image]) -> Vec<&'a Image> {
    let mut matching: Vec<&Image> = images.iter().filter(|image| is_of(rule, image)).collect();
    // The digest makes the order of images of one millisecond the same each time.
    matching.sort_by_key(|image| (image.pushed_at, &image.digest));
    matching
}

fn is_of(rule: &Rule, image: &Image) -> bool {
    match &rule.tags {
        TagCondition::Any => true,
        TagCondition::Untagged => image.tags.is_empty(),
        // Each of them must have a tag, be it the same one.
        TagCondition::Prefixes(prefixes) => prefixes
            .iter()
            .all(|prefix| image.tags.iter().any(|tag| tag.starts_with(prefix))),
        TagCondition::Patterns(patterns) => patterns
            .iter()
            .all(|pattern| image.tags.iter().any(|tag| wildcard::matches(pattern, tag))),
    }
}

/// Those of a rule's images whose time has come.
fn due<'a>(rule: &Rule, oldest_first: &[&'a Image], now: Timestamp) -> Vec<&'a Image> {
    let older_than =
        |days: i64, time: Timestamp| now.millis_since(time) > days.saturating_mul(DAY_MS);
    match rule.count {
        Count::MoreThan(keep) => {
            let surplus = oldest_first.len().saturating_sub(keep);
            oldest_first[..surplus].to_vec()
        }
        Count::PushedDaysAgo(days) => {
            let due = |image: &&&Image| older_than(days, image.pushed_at);
            oldest_first.iter().filter(due).copied().collect()
        }
        Count::PulledDaysAgo(days) => {
            let due =
                |image: &&&Image| older_than(days, image.pulled_at.unwrap_or(image.pushed_at));
            oldest_first.iter().filter(due).copied().collect()
        }
    }
}

/// Keeps what an index that stays refers to. An index that stays for that reason keeps its own children in turn.
fn spare_children(expiring: &mut HashMap<&str, i32>, images: &[Image]) {
    let known: HashSet<&str> = images.iter().map(|image| image.digest.as_str()).collect();
    loop {
        let stays = |parent: &String| {
            known.contains(parent.as_str()) && !expiring.contains_key(parent.as_str())
        };
        let spared: Vec<&str> = images
            .iter()
            .filter(|image| expiring.contains_key(image.digest.as_str()))
            .filter(|image| image.parents.iter().any(stays))
            .map(|image| image.digest.as_str())
            .collect();
        if spared.is_empty() {
            return;
        }
        for digest in spared {
            expiring.remove(digest);
        }
    }
}

fn in_order(expiring: &HashMap<&str, i32>, images: &[Image]) -> Vec<Expiry> {
    let mut waiting: Vec<&Image> = images
        .iter()
        .filter(|image| expiring.contains_key(image.digest.as_str()))
        .collect();
    waiting.sort_by_key(|image| {
        let priority = expiring[image.digest.as_str()];
        (priority, image.pushed_at, Reverse(&image.digest))
    });
    let mut ordered = Vec::with_capacity(waiting.len());
    let mut left: HashSet<&str> = waiting.iter().map(|image| image.digest.as_str()).collect();
    // Digests cannot refer to each other in a circle, so each pass takes some; a made-up circle ends the loop.
    while !waiting.is_empty() {
        let free = |image: &Image| {
            !image
                .parents
                .iter()
                .any(|parent| left.contains(parent.as_str()))
        };
        let (now, later): (Vec<&Image>, Vec<&Image>) =
            waiting.iter().copied().partition(|image| free(image));
        if now.is_empty() {
            return ordered;
        }
        for image in now {
            left.remove(image.digest.as_str());
            ordered.push(Expiry {
                digest: image.digest.clone(),
                rule_priority: expiring[image.digest.as_str()],
            });
        }
        waiting = later;
    }
    ordered
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::{Value, json};

    use super::super::PolicyDocument;
    use super::*;

    const NOW: Timestamp = Timestamp(1_000 * DAY_MS);

    fn policy(rules: &[Value]) -> Policy {
        let rules: Vec<Value> = rules
            .iter()
            .enumerate()
            .map(|(at, selection)| {
                json!({"rulePriority": at + 1, "selection": selection, "action": {"type": "expire"}})
            })
            .collect();
        let document: PolicyDocument =
            serde_json::from_value(json!({ "rules": rules })).expect("a document");
        Policy::try_from(document).expect("a policy")
    }

    fn image(digest: &str, tags: &[&str], days_ago: i64) -> Image {
        Image {
            digest: digest.into(),
            tags: tags.iter().map(|t| (*t).to_owned()).collect(),
            pushed_at: NOW.plus_millis(-days_ago * DAY_MS),
            pulled_at: None,
            parents: Vec::new(),
        }
    }

    fn pulled(mut image: Image, days_ago: i64) -> Image {
        image.pulled_at = Some(NOW.plus_millis(-days_ago * DAY_MS));
        image
    }

    fn child_of(mut image: Image, parents: &[&str]) -> Image {
        image.parents = parents.iter().map(|p| (*p).to_owned()).collect();
        image
    }

    fn prefix(prefixes: &[&str], keep: usize) -> Value {
        json!({"tagStatus": "tagged", "tagPrefixList": prefixes, "countType": "imageCountMoreThan", "countNumber": keep})
    }

    fn pattern(patterns: &[&str], keep: usize) -> Value {
        json!({"tagStatus": "tagged", "tagPatternList": patterns, "countType": "imageCountMoreThan", "countNumber": keep})
    }

    fn untagged(days: i64) -> Value {
        json!({"tagStatus": "untagged", "countType": "sinceImagePushed", "countUnit": "days", "countNumber": days})
    }

    fn any(keep: usize) -> Value {
        json!({"tagStatus": "any", "countType": "imageCountMoreThan", "countNumber": keep})
    }

    fn any_pulled(days: i64) -> Value {
        json!({"tagStatus": "any", "countType": "sinceImagePulled", "countUnit": "days", "countNumber": days})
    }

    /// The first rows are the user guide's examples ("Examples of lifecycle policies").
    #[test]
    fn images_expire_as_the_user_guide_says() {
        let a = || image("a", &["beta-1", "prod-1"], 10);
        let b = || image("b", &["beta-2", "prod-2"], 9);
        let c = || image("c", &["beta-3"], 8);
        for (name, rules, images, want) in [
            (
                "age: older than 14 days",
                vec![
                    json!({"tagStatus": "untagged", "countType": "sinceImagePushed", "countUnit": "days", "countNumber": 14}),
                ],
                vec![
                    image("a", &[], 15),
                    image("b", &[], 14),
                    image("c", &["v1"], 20),
                ],
                vec![("a", 1)],
            ),
            (
                "several rules: prod before beta",
                vec![prefix(&["prod"], 1), prefix(&["beta"], 1)],
                vec![a(), b(), c()],
                vec![("a", 1)],
            ),
            (
                "several rules: beta before prod",
                vec![prefix(&["beta"], 1), prefix(&["prod"], 1)],
                vec![a(), b(), c()],
                vec![("a", 1), ("b", 1)],
            ),
            (
                "several tags in a rule: each must be there",
                vec![prefix(&["alpha", "beta"], 1)],
                vec![
                    image("a", &["alpha-1"], 10),
                    image("b", &["beta-1"], 9),
                    image("c", &["alpha-2", "beta-2"], 8),
                    image("d", &["alpha-3", "beta-3"], 7),
                ],
                vec![("c", 1)],
            ),
            (
                "any counts what earlier rules claimed, and spares it",
                vec![prefix(&["prod"], 1), prefix(&["beta"], 1), any(1)],
                vec![a(), b(), c(), image("d", &[], 1), image("e", &["other"], 7)],
                vec![("a", 1), ("e", 3)],
            ),
            (
                "a later rule counts what an earlier one marked",
                vec![untagged(5), any(2)],
                vec![
                    image("a", &[], 9),
                    image("b", &["x"], 8),
                    image("c", &["y"], 7),
                ],
                vec![("a", 1)],
            ),
            (
                "patterns",
                vec![pattern(&["*-prod*"], 1)],
                vec![
                    image("a", &["web-prod1"], 3),
                    image("b", &["web-prod2"], 2),
                    image("c", &["prod"], 9),
                ],
                vec![("a", 1)],
            ),
            (
                "one tag may satisfy two patterns",
                vec![pattern(&["web*", "*prod"], 1)],
                vec![
                    image("a", &["web-prod"], 3),
                    image("b", &["web-x", "x-prod"], 2),
                ],
                vec![("a", 1)],
            ),
            (
                "pulled lately stays, never pulled counts from the push",
                vec![any_pulled(30)],
                vec![
                    pulled(image("a", &["x"], 90), 40),
                    pulled(image("b", &["y"], 90), 3),
                    image("c", &["z"], 50),
                    image("d", &["w"], 5),
                ],
                vec![("a", 1), ("c", 1)],
            ),
            ("nothing to do", vec![any(5)], vec![a(), b(), c()], vec![]),
            ("no images", vec![any(5)], vec![], vec![]),
            (
                "a child stays while its index does",
                vec![untagged(1)],
                vec![
                    image("index", &["v1"], 9),
                    child_of(image("child", &[], 9), &["index"]),
                ],
                vec![],
            ),
            (
                "an index goes before its child",
                vec![any_pulled(1)],
                vec![
                    child_of(image("child", &[], 9), &["index"]),
                    image("index", &["v1"], 8),
                ],
                vec![("index", 1), ("child", 1)],
            ),
            (
                "a child of two stays for the one that stays",
                vec![any_pulled(5)],
                vec![
                    child_of(image("child", &[], 9), &["old", "new"]),
                    image("old", &["v1"], 8),
                    image("new", &["v2"], 1),
                ],
                vec![("old", 1)],
            ),
            (
                "an index that stays keeps what is below it",
                vec![untagged(1)],
                vec![
                    image("top", &["v1"], 9),
                    child_of(image("middle", &[], 9), &["top"]),
                    child_of(image("leaf", &[], 9), &["middle"]),
                ],
                vec![],
            ),
        ] {
            let found = images_to_expire(&policy(&rules), &images, NOW);
            let found: Vec<(&str, i32)> = found
                .iter()
                .map(|e| (e.digest.as_str(), e.rule_priority))
                .collect();
            assert_eq!(found, want, "{name}");
        }
    }

    fn some_images() -> impl Strategy<Value = Vec<Image>> {
        let tags = proptest::collection::vec("(prod|beta)-[0-2]", 0..3);
        let one = (
            tags,
            0i64..60,
            proptest::option::of(0i64..60),
            proptest::collection::vec(proptest::arbitrary::any::<prop::sample::Index>(), 0..2),
        );
        proptest::collection::vec(one, 0..20).prop_map(|drawn| {
            let mut images = Vec::new();
            for (at, (tags, pushed, pulled_at, parents)) in drawn.into_iter().enumerate() {
                let tags: Vec<&str> = tags.iter().map(String::as_str).collect();
                let mut made = image(&format!("i{at:02}"), &tags, pushed);
                if let Some(days) = pulled_at {
                    made = pulled(made, days);
                }
                // Parents come earlier, so that there is no circle.
                if at > 0 {
                    made.parents = parents
                        .iter()
                        .map(|p| format!("i{:02}", p.index(at)))
                        .collect();
                }
                images.push(made);
            }
            images
        })
    }

    fn some_policy() -> impl Strategy<Value = Policy> {
        (1usize..4, 1usize..4, 1i64..30, 1usize..10).prop_map(|(prod, beta, days, all)| {
            policy(&[
                prefix(&["prod"], prod),
                pattern(&["b*"], beta),
                untagged(days),
                self::any(all),
            ])
        })
    }

    proptest! {
        #[test]
        fn twice_equals_once(images in some_images(), policy in some_policy()) {
            let gone: HashSet<String> = images_to_expire(&policy, &images, NOW)
                .into_iter()
                .map(|e| e.digest)
                .collect();
            let left: Vec<Image> = images.into_iter().filter(|i| !gone.contains(&i.digest)).collect();
            prop_assert_eq!(images_to_expire(&policy, &left, NOW), vec![]);
        }

        #[test]
        fn nothing_goes_before_the_index_that_needs_it(images in some_images(), policy in some_policy()) {
            let mut left: HashSet<String> = images.iter().map(|i| i.digest.clone()).collect();
            let by_digest: HashMap<&str, &Image> = images.iter().map(|i| (i.digest.as_str(), i)).collect();
            for expiry in images_to_expire(&policy, &images, NOW) {
                let parents = &by_digest[expiry.digest.as_str()].parents;
                prop_assert!(parents.iter().all(|p| !left.contains(p)));
                prop_assert!(left.remove(&expiry.digest), "expired twice");
            }
        }
    }
}
