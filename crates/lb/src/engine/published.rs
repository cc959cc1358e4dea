//! What all threads serve from: a table and what is compiled beside it.

use crate::table::{Table, TargetKey};
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

    pub fn has_target(&self, target: &TargetKey) -> bool {
        self.present.contains(target)
    }

    pub fn may_reuse(&self, target: &TargetKey) -> bool {
        self.reusable.contains(target)
    }
}
