//! What must be undone on the machine, remembered between two processes. Under `/run`: a reboot undoes it too.

use crate::network::forwarding::Opened;
use serde::{Deserialize, Serialize};

#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Saved {
    /// There are or were tasks with a public address.
    pub world: bool,
    pub opened: Opened,
}
