//! What is kept of groups and streams. Their events are in the log store.

use std::collections::BTreeMap;

use neargate_aws_api::logs::types::LogGroupClass;
use neargate_domain::Timestamp;
use serde::{Deserialize, Serialize};

pub type Tags = BTreeMap<String, String>;

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct GroupRecord {
    pub name: String,
    pub created_at: Timestamp,
    /// `None`: events never expire.
    pub retention_days: Option<i32>,
    /// Name of a [`LogGroupClass`].
    pub class: String,
    pub kms_key_id: Option<String>,
    pub deletion_protection: bool,
    pub tags: Tags,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct StreamRecord {
    pub name: String,
    pub created_at: Timestamp,
}

impl GroupRecord {
    pub fn new(name: &str, created_at: Timestamp) -> Self {
        Self {
            name: name.to_owned(),
            created_at,
            retention_days: None,
            class: LogGroupClass::Standard.as_str().to_owned(),
            kms_key_id: None,
            deletion_protection: false,
            tags: Tags::new(),
        }
    }

    /// Events of an earlier time have expired.
    pub fn expired_before_ms(&self, now: Timestamp) -> Option<i64> {
        const DAY_MS: i64 = 86_400_000;
        self.retention_days
            .map(|days| now.0 - i64::from(days) * DAY_MS)
    }
}
