//! What all threads serve from: a table and what is compiled beside it.

use crate::table::{Listener, Problem, Table, TargetKey};
use crate::tls;
use neargate_lb_api as api;
use std::collections::HashSet;
use std::sync::Arc;

/// One version of everything. Made by the control thread, given to all workers.
#[derive(Default)]
pub struct Published {
    pub table: Arc<Table>,
    pub tls: tls::Listeners,
    /// Targets that exist; requests to any other are cut.
    present: HashSet<TargetKey>,
    /// Targets whose connections may be used again.
    reusable: HashSet<TargetKey>,
}

impl Published {
    pub fn compile(table: &api::Table, previous: Option<&Self>) -> Self {
        let table = Table::compile(table, previous.map(|published| &*published.table));
        let tls = tls::Listeners::compile(&table, previous.map(|published| &published.tls));
        let targets = || {
            table
                .target_groups
                .values()
                .flat_map(|group| &group.targets)
        };
        Self {
            present: targets().map(|target| target.key).collect(),
            reusable: targets()
                .filter(|target| target.takes_new_requests())
                .map(|target| target.key)
                .collect(),
            table: Arc::new(table),
            tls,
        }
    }

    /// What of it is not served, for people.
    pub fn problems(&self) -> impl Iterator<Item = &Problem> {
        self.table.problems.iter().chain(&self.tls.problems)
    }

    /// Whether connections to targets may be in TLS 1.3: exactly where the listener's policy has it, whatever the client
    /// speaks. Source: "Target groups for your Application Load Balancers", routing configuration.
    pub fn tls13_to_targets(&self, listener: &Listener) -> bool {
        let tls = self.tls.get(&listener.arn);
        tls.is_none_or(|tls| tls.allows_tls13())
    }

    pub fn has_target(&self, target: &TargetKey) -> bool {
        self.present.contains(target)
    }

    pub fn may_reuse(&self, target: &TargetKey) -> bool {
        self.reusable.contains(target)
    }
}
