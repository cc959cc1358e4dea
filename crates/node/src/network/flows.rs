//! How many flows one task may have in the router's table of them.
//!
//! The kernel bounds how fast a task begins flows (a token bucket in the firewall). Those that it has are counted here,
//! once a second and only while there are many at all; who has too many begins none until some have ended. The
//! firewall could count too (`ct count`), but that costs a millisecond per new flow of a task that has 16,000.

use super::{
    blocking,
    conntrack::{self, Flow},
    error::Result,
    router::Router,
};
use std::{
    collections::{BTreeMap, BTreeSet},
    fs::{self, File},
    net::Ipv4Addr,
    os::unix::fs::FileExt,
    time::{Duration, Instant},
};

/// What a task may have begun and that is not over. Each is some 300 bytes of the kernel's memory; a busy client of a
/// few services has some thousand.
const MAX_PER_TASK: u32 = 16_384;
/// However small the kernel's table is, one task gets no more than this part of it.
const PART_OF_TABLE: u32 = 4;
/// The table's size, which is the same for all namespaces.
const TABLE_SIZE: &str = "/proc/sys/net/netfilter/nf_conntrack_max";
/// What is in it, of the namespace in which the file is opened.
const TABLE_COUNT: &str = "/proc/sys/net/netfilter/nf_conntrack_count";
/// Flows that a task may begin in a second, and at once after a pause: between two looks it gets no further.
pub const STARTS_PER_SECOND: u32 = 2000;
pub const STARTS_AT_ONCE: u32 = 8192;
const LOOK_INTERVAL: Duration = Duration::from_secs(1);
/// A look at a long table takes long; so much longer is the pause after it.
const PAUSE_FACTOR: u32 = 10;

/// How many flows each sender has begun, by zone and address.
pub type Tally = BTreeMap<(u16, Ipv4Addr), u32>;

/// The bound of one task on this machine. Blocks.
pub fn per_task() -> u32 {
    // Before the first table that tracks flows, the file may not be there.
    let size = fs::read_to_string(TABLE_SIZE)
        .ok()
        .and_then(|text| text.trim().parse::<u32>().ok());
    within(size)
}

fn within(table: Option<u32>) -> u32 {
    match table {
        // Zero: the table has no bound.
        None | Some(0) => MAX_PER_TASK,
        Some(size) => MAX_PER_TASK.min((size / PART_OF_TABLE).max(1)),
    }
}

/// Whether a task has too many, given whether it had. It needs some room to be let go on, so that it is not shut and
/// opened with every flow.
pub fn is_full(flows: u32, bound: u32, was_full: bool) -> bool {
    flows >= if was_full { bound - bound / 8 } else { bound }
}

/// The router's table, looked at now and then.
pub struct Table {
    router: Router,
    bound: u32,
    count: Option<File>,
    /// Somebody has too many.
    full: bool,
}

impl Table {
    pub fn new(router: Router, bound: u32) -> Table {
        Table {
            router,
            bound,
            count: None,
            full: false,
        }
    }

    /// Returns when somebody may have too many flows, or no longer.
    pub async fn next(&mut self) -> Tally {
        let mut pause = LOOK_INTERVAL;
        loop {
            tokio::time::sleep(pause).await;
            pause = LOOK_INTERVAL;
            if !self.full && self.count().await < self.bound {
                continue;
            }
            let began = Instant::now();
            match self.router.within(tally).await {
                Ok(tally) => {
                    let had = std::mem::replace(
                        &mut self.full,
                        tally
                            .values()
                            .any(|&flows| is_full(flows, self.bound, true)),
                    );
                    if had || self.full {
                        return tally;
                    }
                }
                Err(error) => tracing::debug!(%error, "flows not counted"),
            }
            pause = pause.max(began.elapsed() * PAUSE_FACTOR);
        }
    }

    /// Flows in the table; 0 while there is none.
    async fn count(&mut self) -> u32 {
        if self.count.is_none() {
            self.count = self
                .router
                .within(|| Ok(File::open(TABLE_COUNT)))
                .await
                .ok()
                .and_then(|opened| opened.ok());
        }
        let mut text = [0; 16];
        let length = self
            .count
            .as_ref()
            .and_then(|file| file.read_at(&mut text, 0).ok());
        let text = std::str::from_utf8(&text[..length.unwrap_or_default()]);
        text.ok()
            .and_then(|text| text.trim().parse().ok())
            .unwrap_or_default()
    }
}

/// Ends flows in the router, and on the machine what they were there: it has the router's address for all tasks.
pub async fn end(
    router: &Router,
    address: Ipv4Addr,
    is_over: impl Fn(&Flow) -> bool + Send + 'static,
) -> Result<()> {
    let over = router.within(move || conntrack::end(is_over)).await?;
    let translated: BTreeSet<(u8, u16)> = over
        .iter()
        .filter(|flow| flow.reply.to == Some(address))
        .map(|flow| (flow.reply.protocol, flow.reply.to_port))
        .collect();
    if translated.is_empty() {
        return Ok(());
    }
    let is_over = move |flow: &Flow| {
        let original = &flow.original;
        let port = (original.protocol, original.from_port);
        original.from == Some(address) && translated.contains(&port)
    };
    blocking(move || conntrack::end(is_over)).await.map(drop)
}

fn tally() -> Result<Tally> {
    let mut tally = Tally::new();
    conntrack::list(|flow, _| {
        if let Some(sender) = flow.original.from {
            *tally.entry((flow.zone, sender)).or_default() += 1;
        }
    })?;
    Ok(tally)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_had_too_many_needs_some_room() {
        for (flows, was_full, want) in [
            (15, false, false),
            (16, false, true),
            (15, true, true),
            (14, true, true),
            (13, true, false),
        ] {
            assert_eq!(is_full(flows, 16, was_full), want, "{flows} {was_full}");
        }
    }

    #[test]
    fn a_task_never_has_most_of_the_table() {
        for (table, want) in [
            (None, MAX_PER_TASK),
            (Some(0), MAX_PER_TASK),
            (Some(262_144), MAX_PER_TASK),
            (Some(32_768), 8192),
            (Some(1), 1),
        ] {
            assert_eq!(within(table), want, "{table:?}");
        }
    }
}
