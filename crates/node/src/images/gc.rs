//! Collecting images that no task uses.

use std::collections::{HashMap, HashSet};
use std::io;
use std::time::{Duration, SystemTime};

use super::disk::TempLayer;
use super::store::Inner;
use super::{Digest, Image, ImageStore};

/// When an image that no task uses goes.
#[derive(Clone, Debug)]
pub struct GcPolicy {
    /// Not used for this long: it goes.
    pub max_unused_age: Duration,
    /// All unused images together may keep this much, unpacked; beyond it the ones unused longest go first.
    pub max_unused_bytes: u64,
}

impl Default for GcPolicy {
    /// A week, and 10 GiB: enough to start the images of last week's deployments without a pull.
    fn default() -> Self {
        Self {
            max_unused_age: Duration::from_secs(7 * 24 * 3600),
            max_unused_bytes: 10 * 1024 * 1024 * 1024,
        }
    }
}

/// What a collection did.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct GcReport {
    /// The digests of the images that went.
    pub images: Vec<Digest>,
    pub layers: usize,
    /// Of the layers that went, unpacked.
    pub bytes: u64,
}

impl ImageStore {
    /// Removes images that are not in `in_use` (the [`Image::digest`] of every task of the node that is not stopped),
    /// that nobody is pulling or holds a [`super::PulledImage`] of, and that `policy` wants gone; then the layers that
    /// no image has.
    pub async fn collect_garbage(
        &self,
        in_use: HashSet<Digest>,
        now: SystemTime,
        policy: GcPolicy,
    ) -> io::Result<GcReport> {
        let inner = self.inner.clone();
        let work = self
            .inner
            .background
            .spawn_blocking(move || collect(&inner, &in_use, now, &policy));
        work.await.map_err(io::Error::other)?
    }
}

fn collect(
    inner: &Inner,
    in_use: &HashSet<Digest>,
    now: SystemTime,
    policy: &GcPolicy,
) -> io::Result<GcReport> {
    let mut report = GcReport::default();
    let removed = {
        let no_new_leases = inner.leases.stop_new();
        let sizes: HashMap<Digest, u64> = inner.layers.all().into_iter().collect();
        let (used, unused): (Vec<_>, Vec<_>) =
            inner.entries().into_iter().partition(|(image, _)| {
                [&image.digest, &image.manifest_digest]
                    .iter()
                    .any(|d| in_use.contains(d) || no_new_leases.holds(d))
            });
        // The age of an image that was in use until now begins now.
        used.iter()
            .for_each(|(image, _)| inner.mark_used(image, now));
        let mut kept: HashSet<Digest> =
            used.iter().flat_map(|(image, _)| diff_ids(image)).collect();
        let mut unused: Vec<(&Image, Duration)> = unused
            .iter()
            .map(|(image, last_used)| {
                (&**image, now.duration_since(*last_used).unwrap_or_default())
            })
            .collect();
        unused.sort_by_key(|(_, age)| *age);
        let mut room = policy.max_unused_bytes;
        for (image, age) in unused {
            // A layer shared with an image that stays costs nothing more.
            let own: HashSet<Digest> = diff_ids(image)
                .filter(|digest| !kept.contains(digest))
                .collect();
            let cost = own.iter().filter_map(|digest| sizes.get(digest)).sum();
            match room.checked_sub(cost) {
                Some(left) if age < policy.max_unused_age => {
                    room = left;
                    kept.extend(own);
                }
                _ => {
                    inner.forget(image)?;
                    report.images.push(image.digest.clone());
                }
            }
        }
        take_away(
            inner,
            sizes,
            |digest| !kept.contains(digest) && !no_new_leases.holds(digest),
            &mut report,
        )?
    };
    // The slow part, when pulls may go on again.
    drop(removed);
    Ok(report)
}

/// Removes those of the layers that no image has and nobody is about to use.
pub(super) fn discard_unused_layers(inner: &Inner, layers: &[Digest]) {
    let no_new_leases = inner.leases.stop_new();
    let kept: HashSet<Digest> = inner
        .entries()
        .iter()
        .flat_map(|(image, _)| diff_ids(image))
        .collect();
    let sizes = layers
        .iter()
        .filter(|digest| inner.layers.get(digest).is_some())
        .map(|d| (d.clone(), 0))
        .collect();
    let goes = |digest: &Digest| !kept.contains(digest) && !no_new_leases.holds(digest);
    let removed = take_away(inner, sizes, goes, &mut GcReport::default());
    drop(no_new_leases);
    if let Err(error) = removed {
        tracing::warn!(%error, "cannot remove the layers of an image that failed");
    }
}

fn take_away(
    inner: &Inner,
    layers: HashMap<Digest, u64>,
    goes: impl Fn(&Digest) -> bool,
    report: &mut GcReport,
) -> io::Result<Vec<TempLayer>> {
    let mut removed = Vec::new();
    for (digest, bytes) in layers {
        if goes(&digest) {
            removed.push(inner.layers.take_away(&digest)?);
            report.layers += 1;
            report.bytes += bytes;
        }
    }
    Ok(removed)
}

fn diff_ids(image: &Image) -> impl Iterator<Item = Digest> + '_ {
    image.layers.iter().map(|layer| layer.diff_id.clone())
}
