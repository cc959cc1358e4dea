//! Where new tasks go: the zone and the capacity provider for each.

use std::collections::BTreeMap;

use super::pass::GroupPass;
use super::snapshot::ProviderShare;
use super::verdict::Condition;

/// How many tasks a group has in each zone and with each provider, as it starts and stops some.
#[derive(Debug, Clone)]
pub(super) struct Spread<'a> {
    /// In the group's order of zones; zones that it no longer has come behind.
    zones: Vec<(&'a str, usize)>,
    usable_zones: usize,
    shares: &'a [ProviderShare],
    providers: BTreeMap<&'a str, usize>,
}

impl<'a> Spread<'a> {
    /// Counts the tasks of `group` that are meant to stay.
    ///
    /// The tasks that stay are the service's whole set once older versions are gone, which is what AWS takes base and
    /// weights of; counting older versions' tasks would leave the base empty after a deployment.
    pub fn of(group: &GroupPass<'a>) -> Self {
        let zones = group.group.map_or(&[][..], |g| &g.zones);
        let shares = group.group.map_or(&[][..], |g| &g.providers);
        let mut spread = Self {
            zones: zones.iter().map(|zone| (zone.as_str(), 0)).collect(),
            usable_zones: zones.len(),
            shares,
            providers: BTreeMap::new(),
        };
        for seen in &group.tasks {
            if seen.condition > Condition::Leaving {
                spread.add(&seen.task.zone, seen.task.provider.as_deref());
            }
        }
        spread
    }

    fn add(&mut self, zone: &'a str, provider: Option<&'a str>) {
        match self.zones.iter_mut().find(|(name, _)| *name == zone) {
            Some((_, count)) => *count += 1,
            None => self.zones.push((zone, 1)),
        }
        if let Some(provider) = provider {
            *self.providers.entry(provider).or_default() += 1;
        }
    }

    pub fn remove(&mut self, zone: &str, provider: Option<&str>) {
        if let Some((_, count)) = self.zones.iter_mut().find(|(name, _)| *name == zone) {
            *count = count.saturating_sub(1);
        }
        if let Some(count) = provider.and_then(|provider| self.providers.get_mut(provider)) {
            *count = count.saturating_sub(1);
        }
    }

    /// Place for one more task, and counts it there. `None`: there is no zone, or no provider with a weight.
    pub fn place(&mut self) -> Option<(&'a str, Option<&'a str>)> {
        let zone = self.thinnest()?;
        let provider = match self.shares {
            [] => None,
            shares => Some(self.next_provider(shares)?),
        };
        self.add(zone, provider);
        Some((zone, provider))
    }

    /// The zone with the fewest tasks, the first of equals.
    fn thinnest(&self) -> Option<&'a str> {
        self.zones[..self.usable_zones]
            .iter()
            .min_by_key(|(_, count)| *count)
            .map(|(zone, _)| *zone)
    }

    fn with(&self, share: &ProviderShare) -> usize {
        self.providers
            .get(share.provider.as_str())
            .copied()
            .unwrap_or(0)
    }

    /// First the base, then whoever is furthest behind its weight.
    fn next_provider(&self, shares: &'a [ProviderShare]) -> Option<&'a str> {
        let short_of_base = shares
            .iter()
            .find(|share| self.with(share) < share.base as usize);
        let share = short_of_base.or_else(|| {
            shares
                .iter()
                .filter(|share| share.weight > 0)
                .min_by(|a, b| {
                    self.load(a, 1)
                        .cross(b.weight)
                        .cmp(&self.load(b, 1).cross(a.weight))
                })
        })?;
        Some(&share.provider)
    }

    /// Tasks beyond the base, with `more`.
    fn load(&self, share: &ProviderShare, more: usize) -> Load {
        Load((self.with(share) + more).saturating_sub(share.base as usize))
    }

    /// How much too full a place is, to choose who goes first: the provider that is furthest above its weight (one that
    /// is not in the strategy any more above all, one at its base last), then the zone with the most tasks.
    pub fn crowding(&self, zone: &str, provider: Option<&str>) -> (u64, usize) {
        /// Fixed point, so that shares can be compared without fractions.
        const UNIT: u64 = 1 << 20;
        let in_zone = self
            .zones
            .iter()
            .find(|(name, _)| *name == zone)
            .map_or(0, |(_, count)| *count);
        let above_share = match provider {
            None => 0,
            Some(_) if self.shares.is_empty() => 0,
            Some(provider) => match self.shares.iter().find(|s| s.provider == provider) {
                None => u64::MAX,
                Some(share) => {
                    let beyond_base = self.load(share, 0).0 as u64;
                    match (beyond_base, share.weight) {
                        (0, _) => 0,
                        (_, 0) => u64::MAX,
                        (beyond, weight) => beyond * UNIT / u64::from(weight),
                    }
                }
            },
        };
        (above_share, in_zone)
    }

    /// Tasks per zone that the group has, the fullest first.
    pub fn zones(&self) -> Vec<(&'a str, usize)> {
        let mut zones = self.zones[..self.usable_zones].to_vec();
        zones.sort_by_key(|(_, count)| std::cmp::Reverse(*count));
        zones
    }

    pub fn fullest_zone_count(&self) -> usize {
        self.zones
            .iter()
            .map(|(_, count)| *count)
            .max()
            .unwrap_or(0)
    }

    /// How many tasks would have to be elsewhere for the zones to be even. 0 if they differ by one task at most.
    pub fn misplaced(&self) -> usize {
        let counts = self.zones[..self.usable_zones]
            .iter()
            .map(|(_, count)| *count);
        let (Some(min), Some(max)) = (counts.clone().min(), counts.clone().max()) else {
            return 0;
        };
        if max - min < 2 {
            return 0;
        }
        let total: usize = counts.clone().sum();
        let (low, high) = (total / self.usable_zones, total.div_ceil(self.usable_zones));
        let above: usize = counts.clone().map(|count| count.saturating_sub(high)).sum();
        let below: usize = counts.map(|count| low.saturating_sub(count)).sum();
        above.max(below)
    }
}

/// Tasks of a provider beyond its base.
struct Load(usize);

impl Load {
    /// Scaled by the *other* provider's weight: a/w < b/v exactly when a*v < b*w.
    fn cross(&self, other_weight: u32) -> u128 {
        self.0 as u128 * u128::from(other_weight)
    }
}
