//! Temporary credentials, and the record of who each stands for.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use neargate_aws_api::sts::types::Credentials;
use neargate_aws_wire::access_key;
use neargate_aws_wire::error::ApiError;
use neargate_domain::Timestamp;
use neargate_store::{Compare, Condition, Op, Txn};
use serde::{Deserialize, Serialize};

use super::identity::Identity;
use crate::state::{State, StateError};

/// Bytes of randomness in a secret, which become 40 characters.
const SECRET_BYTES: usize = 30;
/// Bytes of a session token. AWS promises no form; its own are of about this size.
const TOKEN_BYTES: usize = 300;
/// An access key id has 23 random bits beside its account: by chance one may be taken, and never this often in a row.
const MAX_TRIES: usize = 8;

/// Kept as long as the session lasts. The secret is not kept: in development nobody checks it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct SessionRecord {
    identity: Identity,
    expires_at: Timestamp,
}

fn key(access_key_id: &str) -> String {
    format!("/sts/sessions/{access_key_id}")
}

/// New credentials for somebody.
pub async fn start(
    state: &State,
    identity: &Identity,
    duration_secs: i32,
) -> Result<Credentials, ApiError> {
    let duration_secs = i64::from(duration_secs);
    // Whole seconds, as AWS shows them.
    let now_secs = state.now().0.div_euclid(1000);
    let expires_at = Timestamp((now_secs + duration_secs) * 1000);
    let record = SessionRecord {
        identity: identity.clone(),
        expires_at,
    };
    let value = serde_json::to_vec(&record).map_err(|_| ApiError::internal())?;
    let lease = state
        .store()
        .lease_grant(duration_secs)
        .await
        .map_err(StateError::from)?;
    for _ in 0..MAX_TRIES {
        let id = access_key::temporary_id(&identity.account, rand::random())
            .ok_or_else(ApiError::internal)?;
        let key = key(&id).into_bytes();
        let txn = Txn {
            compares: vec![Compare {
                key: key.clone().into(),
                condition: Condition::Absent,
            }],
            ops: vec![Op::Put {
                key: key.into(),
                value: value.clone().into(),
                lease,
            }],
        };
        let outcome = state.store().txn(txn).await.map_err(StateError::from)?;
        if outcome.committed {
            return Ok(Credentials {
                access_key_id: id,
                secret_access_key: random_text::<SECRET_BYTES>(),
                session_token: random_text::<TOKEN_BYTES>(),
                expiration: expires_at.to_jiff(),
            });
        }
    }
    Err(ApiError::internal())
}

/// Who the access key of a session stands for; `None` for any other key, and after the session's end.
pub async fn find(state: &State, access_key_id: &str) -> Result<Option<Identity>, ApiError> {
    // Anything can stand in a signature; only what we made is looked up.
    if access_key::minted_account(access_key_id).is_none() {
        return Ok(None);
    }
    let found = state.get::<SessionRecord>(&key(access_key_id)).await?;
    let now = state.now();
    Ok(found
        .map(|stored| stored.record)
        .filter(|session| session.expires_at > now)
        .map(|session| session.identity))
}

fn random_text<const BYTES: usize>() -> String {
    STANDARD.encode(rand::random::<[u8; BYTES]>())
}
