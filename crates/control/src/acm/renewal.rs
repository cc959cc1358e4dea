//! Renewal of the certificates that Neargate's own authority has issued, before they end: under the same ARN, with a
//! key of their own. Load balancers follow the record, and show the new certificate to new connections.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::sync::Arc;
use std::time::Duration;

use neargate_aws_api::acm::types::{
    DomainValidation, RenewalEligibility, RenewalStatus, RenewalSummary,
};
use neargate_domain::{Scope, Timestamp};

use super::authority::{Authority, KeyKind};
use super::issue::{IssueError, issue};
use super::keys;
use super::records::{CertificateRecord, Origin};
use crate::certificates::{Usage, facts_of, load_balancers_using};
use crate::secrets::Secrets;
use crate::state::{Changes, State, StateError, Stored, decode, prefix_range};

const DAY: Duration = Duration::from_secs(24 * 3600);
/// How long before its end a certificate is renewed. Source: ACM guide, managed renewal.
const BEFORE_END: Duration = Duration::from_secs(60 * 24 * 3600);

/// What of a certificate decides on its renewal.
#[derive(Debug, Clone, Copy)]
struct Seen {
    eligible: bool,
    not_after: Timestamp,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Decision {
    Renew,
    NotBefore(Timestamp),
    /// Nobody would get the new one. It is looked at again when somebody may.
    Leave,
}

fn decide(seen: Seen, now: Timestamp) -> Decision {
    let before_end = i64::try_from(BEFORE_END.as_millis()).unwrap_or(i64::MAX);
    let due = seen.not_after.plus_millis(-before_end);
    match seen.eligible {
        false => Decision::Leave,
        // Also one that has ended: there is nobody whose approval AWS would have to wait for.
        true if due <= now => Decision::Renew,
        true => Decision::NotBefore(due),
    }
}

/// Certificates that something here serves, or that somebody has exported since they were made, are renewed by
/// themselves. Source: ACM guide, managed renewal.
pub fn is_eligible(record: &CertificateRecord, in_use: bool) -> bool {
    match &record.origin {
        Origin::Imported { .. } => false,
        Origin::Issued(issued) => in_use || issued.exported,
    }
}

pub fn eligibility(record: &CertificateRecord, in_use: bool) -> RenewalEligibility {
    match is_eligible(record, in_use) {
        true => RenewalEligibility::Eligible,
        false => RenewalEligibility::Ineligible,
    }
}

/// What DescribeCertificate says of the last renewal; `None` before the first.
pub fn summary(
    record: &CertificateRecord,
    validations: &[DomainValidation],
) -> Option<RenewalSummary> {
    let Origin::Issued(issued) = &record.origin else {
        return None;
    };
    Some(RenewalSummary {
        domain_validation_options: validations.to_vec(),
        renewal_status: RenewalStatus::Success,
        renewal_status_reason: None,
        updated_at: issued.renewed_at?.to_jiff(),
    })
}

/// Renews for ever; ends only with an error of the store.
///
/// Looks at all certificates when it starts, and then every day: one may have been put to use meanwhile, and a machine
/// that sleeps wakes later than its timers say.
pub async fn run(
    state: &State,
    secrets: &Secrets,
    authority: &Arc<Authority>,
) -> Result<(), StateError> {
    let day = i64::try_from(DAY.as_millis()).unwrap_or(i64::MAX);
    loop {
        let next = pass(state, secrets, authority).await?;
        let tomorrow = state.now().plus_millis(day);
        let at = next.map_or(tomorrow, |next| next.min(tomorrow));
        state.clock().wait_until(at).await;
    }
}

/// Renews what is due. Answers when the next one is.
pub async fn pass(
    state: &State,
    secrets: &Secrets,
    authority: &Arc<Authority>,
) -> Result<Option<Timestamp>, StateError> {
    let all = state.store().range(prefix_range(keys::ALL), 0).await?;
    let mut usages: BTreeMap<Scope, Usage> = BTreeMap::new();
    let mut next = None;
    for entry in &all.entries {
        if !keys::is_certificate(&String::from_utf8_lossy(&entry.key)) {
            continue;
        }
        let stored = match decode::<CertificateRecord>(entry) {
            Ok(stored) => stored,
            Err(error) => {
                tracing::error!(%error, "a certificate is passed over, and not renewed");
                continue;
            }
        };
        let Some(facts) = facts_of(&stored.record.certificate_pem) else {
            continue;
        };
        let usage = match usages.entry(stored.record.scope.clone()) {
            Entry::Occupied(known) => known.into_mut(),
            Entry::Vacant(new) => {
                let usage = load_balancers_using(state, new.key()).await?;
                new.insert(usage)
            }
        };
        let in_use = usage.contains_key(&stored.record.arn());
        let seen = Seen {
            eligible: is_eligible(&stored.record, in_use),
            not_after: facts.not_after,
        };
        match decide(seen, state.now()) {
            Decision::Renew => {
                let kind = KeyKind::of(&facts.key_algorithm);
                renew(state, secrets, authority, &stored, kind).await?;
            }
            Decision::NotBefore(at) => next = Some(next.map_or(at, |next: Timestamp| next.min(at))),
            Decision::Leave => {}
        }
    }
    Ok(next)
}

async fn renew(
    state: &State,
    secrets: &Secrets,
    authority: &Arc<Authority>,
    stored: &Stored<CertificateRecord>,
    kind: Option<KeyKind>,
) -> Result<(), StateError> {
    let (arn, now) = (stored.record.arn(), state.now());
    let mut record = stored.record.clone();
    let (Origin::Issued(issued), Some(kind)) = (&mut record.origin, kind) else {
        return Ok(());
    };
    issued.renewed_at = Some(now);
    // Who has exported it has the old one.
    issued.exported = false;
    let names = &record.subject_alternative_names;
    let fresh = match issue(authority, secrets, &arn, names, kind, now).await {
        Ok(fresh) => fresh,
        Err(error) => {
            tell_failure(&arn, &error);
            return Ok(());
        }
    };
    record.certificate_pem = fresh.certificate_pem;
    record.chain_pem = Some(fresh.chain_pem);
    record.sealed_private_key = fresh.sealed_private_key;
    let mut changes = Changes::new();
    changes.replace(stored, &record);
    match state.commit(changes).await {
        Ok(_) => tracing::info!(arn, "a certificate was renewed"),
        // Deleted or changed meanwhile: the next pass sees it as it is.
        Err(StateError::Conflict) => {}
        Err(error) => return Err(error),
    }
    Ok(())
}

fn tell_failure(arn: &str, error: &IssueError) {
    tracing::error!(arn, %error, "a certificate could not be renewed, and will be tried again tomorrow");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn renewal_begins_sixty_days_before_the_end() {
        const DAY_MILLIS: i64 = 86_400_000;
        let day = |number: i64| Timestamp(number * DAY_MILLIS);
        for (name, eligible, now, want) in [
            ("fresh", true, day(0), Decision::NotBefore(day(335))),
            (
                "the last moment",
                true,
                Timestamp(day(335).0 - 1),
                Decision::NotBefore(day(335)),
            ),
            ("due", true, day(335), Decision::Renew),
            ("while the machine was off", true, day(394), Decision::Renew),
            ("after its end", true, day(400), Decision::Renew),
            ("for nobody", false, day(394), Decision::Leave),
        ] {
            let not_after = day(395);
            let got = decide(
                Seen {
                    eligible,
                    not_after,
                },
                now,
            );
            assert_eq!(got, want, "{name}");
        }
    }
}
