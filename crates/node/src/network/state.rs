//! What a node must remember about its network between two processes, beside what the kernel itself remembers.
//!
//! Kept under `/run`, for it has to go exactly when the kernel forgets: at a reboot.

use super::{
    error::{Doing, NetworkError, Result},
    model::{EniId, VpcId},
    policy::Policy,
    vpc::VpcRecord,
};
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use std::{collections::BTreeMap, fs, io, path::Path};

#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Saved {
    pub vpcs: BTreeMap<VpcId, VpcRecord>,
    /// Numbers of the interfaces that relay.
    #[serde(default)]
    pub relays: BTreeMap<EniId, u32>,
    pub policy: Policy,
}

/// The state left by an earlier process; `None` when there was none.
pub fn load<T: DeserializeOwned>(path: &Path) -> Result<Option<T>> {
    let text = match fs::read(path) {
        Ok(text) => text,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error).doing(|| format!("read {}", path.display())),
    };
    serde_json::from_slice(&text)
        .map(Some)
        .map_err(|error| NetworkError::State {
            path: path.to_owned(),
            reason: error.to_string(),
        })
}

/// Replaces the file in one step. Not synced: it goes with the kernel's own memory.
pub fn store(state: &impl Serialize, path: &Path) -> Result<()> {
    let text = serde_json::to_vec(state).map_err(|error| NetworkError::State {
        path: path.to_owned(),
        reason: error.to_string(),
    })?;
    neargate_files::replace_unsynced(path, &text).doing(|| format!("write {}", path.display()))
}
