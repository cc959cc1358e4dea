//! Our rules in other programs' firewalls.
//!
//! A packet must be accepted by everybody who looks at it, so a firewall that drops by default needs a rule for what
//! goes between the router and the world. Each is asked in the way that it documents for that:
//!
//! - Docker: rules in its chain DOCKER-USER ("Docker and iptables" in its manual).
//! - ufw: a route rule (`ufw route allow`, ufw(8)).
//! - firewalld: the device is put into the zone `trusted`, for as long as firewalld runs (firewall-cmd(1)).
//! - other chains of iptables and nftables that drop: a rule at their head.
//!
//! All of them name our device or have our comment, by which they are found again. What is to be done is a pure
//! function of what is seen ([`plan`]), so the keeper can ask as often as it likes.

mod firewalld;
mod iptables;
mod nftables;
mod ufw;

use super::listing::Listing;
use crate::network::{Result, program};

/// By what our rules are known.
#[derive(Debug, Clone)]
pub struct Names {
    /// The machine's end of the pair that leads to the router.
    pub device: String,
    /// `neargate-<instance>`.
    pub comment: String,
}

/// What shall get through.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Wants {
    /// Answers of tasks to the machine.
    pub answers: bool,
    /// What tasks with public addresses begin, and the answers to it.
    pub world: bool,
}

impl Wants {
    pub const NOTHING: Wants = Wants {
        answers: false,
        world: false,
    };
    const ALL: Wants = Wants {
        answers: true,
        world: true,
    };
}

/// What the machine has of firewalls.
pub struct Seen {
    pub listing: Listing,
    tables: Vec<iptables::Tables>,
    ufw: ufw::Seen,
}

/// One command.
#[derive(Debug, Clone, PartialEq)]
pub enum Step {
    Run(String, Vec<String>),
    Nft(String),
}

impl Step {
    fn run(program: &str, args: &[&str]) -> Step {
        Step::Run(
            program.to_owned(),
            args.iter().map(|&arg| arg.to_owned()).collect(),
        )
    }
}

impl Seen {
    pub async fn look(names: &Names) -> Result<Seen> {
        let listing = Listing::of_the_machine().await?;
        let tables = iptables::look(&listing).await;
        let ufw = ufw::look(&tables, names);
        Ok(Seen {
            listing,
            tables,
            ufw,
        })
    }

    pub fn has_firewalld(&self) -> bool {
        firewalld::is_active(&self.listing)
    }

    /// The firewalls that need our rules once a task has a public address, in words.
    pub fn in_words(&self) -> Vec<String> {
        let mut words = Vec::new();
        words.extend(self.ufw.active.then(|| "ufw (a route rule)".to_owned()));
        words.extend(
            self.has_firewalld()
                .then(|| format!("firewalld (zone {})", firewalld::ZONE)),
        );
        for tables in &self.tables {
            words.extend(
                iptables::chains(tables, self.ufw.active, Wants::ALL)
                    .map(|chain| format!("iptables (rules in the chain {chain})")),
            );
        }
        words.extend(
            nftables::chains(&self.listing, &self.tables, Wants::ALL)
                .map(|chain| format!("nftables (rules in {chain})")),
        );
        words
    }
}

/// What is to be done so that each firewall lets pass what is wanted, and has nothing else of ours.
pub fn plan(seen: &Seen, names: &Names, wants: Wants) -> Vec<Step> {
    let mut steps = Vec::from_iter(ufw::plan(&seen.ufw, names, wants));
    steps.extend(firewalld::plan(&seen.listing, names, wants));
    for tables in &seen.tables {
        steps.extend(iptables::plan(tables, seen.ufw.active, names, wants));
    }
    steps.extend(nftables::plan(&seen.listing, &seen.tables, names, wants));
    steps
}

/// Does all that can be done; the first failure is the answer.
pub async fn carry_out(steps: Vec<Step>) -> Result<()> {
    let mut outcome = Ok(());
    for step in steps {
        tracing::info!(?step, "asking another firewall of this machine");
        let done = match &step {
            Step::Nft(script) => program::nft(None, script).await,
            Step::Run(name, args) => {
                let args: Vec<&str> = args.iter().map(String::as_str).collect();
                program::run(None, (name, &args), "").await.map(drop)
            }
        };
        outcome = outcome.and(done);
    }
    outcome
}
