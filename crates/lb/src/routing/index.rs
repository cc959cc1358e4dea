//! Which rules can match a request at all, found by its host and the first segment of its path instead of by asking
//! each rule: a listener with 100 rules for 100 hosts or path prefixes then asks two or three.

use super::condition::Condition;
use crate::table::Rule;
use std::collections::HashMap;

/// For hosts and first path segments that rules name literally, the rules that may match.
#[derive(Debug, Default)]
pub struct RuleIndex {
    words: usize,
    hosts: Facet,
    segments: Facet,
}

#[derive(Debug, Default)]
struct Facet {
    named: HashMap<Vec<u8>, Vec<u64>>,
    /// Rules that do not tie themselves to a name.
    any: Vec<u64>,
}

const BITS: usize = u64::BITS as usize;
/// Longest host that is looked up; DNS names are shorter, and others match no literal.
const MAX_HOST_BYTES: usize = 253;

impl RuleIndex {
    pub fn new(rules: &[Rule]) -> Self {
        let words = rules.len().div_ceil(BITS);
        let mut index = Self {
            words,
            hosts: Facet::new(words),
            segments: Facet::new(words),
        };
        for (at, rule) in rules.iter().enumerate() {
            index.hosts.add(at, words, host_names(rule));
            index.segments.add(at, words, path_segments(rule));
        }
        index
    }

    /// Indices of the rules that may match, in order.
    pub(super) fn candidates(&self, host: &str, path: &str) -> impl Iterator<Item = usize> {
        let by_host = self.hosts.named_in_lower_case(host);
        let by_segment = self.segments.named(first_segment(path.as_bytes()));
        (0..self.words).flat_map(move |word| {
            let bits = |facet: &Facet, named: Option<&[u64]>| {
                facet.any[word] | named.map_or(0, |named| named[word])
            };
            let both = bits(&self.hosts, by_host) & bits(&self.segments, by_segment);
            ones(both).map(move |bit| word * BITS + bit)
        })
    }
}

impl Facet {
    fn new(words: usize) -> Self {
        Self {
            named: HashMap::new(),
            any: vec![0; words],
        }
    }

    fn add(&mut self, rule: usize, words: usize, names: Option<Vec<Vec<u8>>>) {
        let set = |bits: &mut [u64]| bits[rule / BITS] |= 1 << (rule % BITS);
        let Some(names) = names else {
            return set(&mut self.any);
        };
        for name in names {
            set(self.named.entry(name).or_insert_with(|| vec![0; words]));
        }
    }

    fn named_in_lower_case(&self, name: &str) -> Option<&[u64]> {
        if self.named.is_empty() {
            return None;
        }
        let mut lower = [0; MAX_HOST_BYTES];
        let lower = lower.get_mut(..name.len())?;
        lower.copy_from_slice(name.as_bytes());
        lower.make_ascii_lowercase();
        self.named(lower)
    }

    fn named(&self, name: &[u8]) -> Option<&[u64]> {
        // Most listeners have none, and hashing would be the dearest thing here.
        if self.named.is_empty() {
            return None;
        }
        self.named.get(name).map(Vec::as_slice)
    }
}

fn ones(mut bits: u64) -> impl Iterator<Item = usize> {
    std::iter::from_fn(move || {
        let lowest = bits.trailing_zeros() as usize;
        bits &= bits.checked_sub(1)?;
        Some(lowest)
    })
}

/// The hosts that a rule is tied to, if it names them all literally.
fn host_names(rule: &Rule) -> Option<Vec<Vec<u8>>> {
    rule.conditions
        .iter()
        .find_map(|condition| match condition {
            Condition::Host(patterns) if patterns.expressions.is_empty() => patterns
                .wildcards
                .iter()
                .map(|pattern| pattern.literal().map(<[u8]>::to_vec))
                .collect(),
            _ => None,
        })
}

/// The first path segments that a rule is tied to, if it names them all literally.
fn path_segments(rule: &Rule) -> Option<Vec<Vec<u8>>> {
    rule.conditions
        .iter()
        .find_map(|condition| match condition {
            Condition::Path(patterns) if patterns.expressions.is_empty() => patterns
                .wildcards
                .iter()
                .map(|pattern| {
                    let prefix = pattern.prefix();
                    let segment = first_segment(prefix);
                    let whole = segment.len() < prefix.len() || pattern.literal().is_some();
                    whole.then(|| segment.to_vec())
                })
                .collect(),
            _ => None,
        })
}

/// `/a` of `/a/b`.
fn first_segment(path: &[u8]) -> &[u8] {
    let end = path.iter().skip(1).position(|byte| *byte == b'/');
    end.map_or(path, |end| &path[..=end])
}
