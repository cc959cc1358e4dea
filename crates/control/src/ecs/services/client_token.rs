//! CreateService's client token: which request it stood for.
//!
//! A repeated request is known by the service that it names. What the token adds: another request under it is refused
//! instead of making a second service.

use std::time::Duration;

use neargate_aws_wire::error::ApiError;
use neargate_domain::{Scope, Timestamp};
use serde::{Deserialize, Serialize};

use super::records::{ServiceRecord, ServiceStatus};
use crate::ecs::{errors, keys};
use crate::state::{Changes, State, Stored};

/// Longest client token. Source: CreateService reference.
const MAX_CHARS: usize = 36;
/// How long it stands for its request: as RunTask's. Source: developer guide, "Ensuring idempotency".
pub const LIFE: Duration = Duration::from_secs(24 * 3600);

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ServiceTokenRecord {
    /// Name of the service that was created.
    pub service: String,
    pub request_digest: String,
    pub created_at: Timestamp,
}

pub fn check(token: Option<&str>) -> Result<(), ApiError> {
    match token {
        Some(token) if token.chars().count() > MAX_CHARS => Err(errors::invalid_parameter(
            "idempotency token longer than 36.",
        )),
        _ => Ok(()),
    }
}

/// A token in a cluster, as it was read.
pub struct Token {
    key: String,
    known: Option<Stored<ServiceTokenRecord>>,
}

impl Token {
    /// Refuses a token that stands for another request, as long as the service of that one exists.
    pub async fn read(
        state: &State,
        scope: &Scope,
        cluster: &str,
        token: &str,
        digest: &str,
    ) -> Result<Self, ApiError> {
        let key = keys::service_client_token(scope, cluster, token);
        let known: Option<Stored<ServiceTokenRecord>> = state.get(&key).await?;
        if let Some(Stored { record, .. }) = &known
            && record.request_digest != digest
        {
            let service = keys::service(scope, cluster, &record.service);
            let service: Option<Stored<ServiceRecord>> = state.get(&service).await?;
            if service.is_some_and(|found| found.record.status != ServiceStatus::Inactive) {
                return Err(errors::not_idempotent());
            }
        }
        Ok(Self { key, known })
    }

    /// Adds to the transaction which creates the service that the token stands for it.
    pub fn remember(&self, service: &ServiceRecord, changes: &mut Changes) {
        let record = ServiceTokenRecord {
            service: service.name.clone(),
            request_digest: service.request_digest.clone(),
            created_at: service.created_at,
        };
        match &self.known {
            Some(known) => changes.replace(known, &record),
            None => changes.create(&self.key, &record),
        };
    }
}
