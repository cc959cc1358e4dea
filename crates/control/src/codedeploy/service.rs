//! The CodeDeploy API. Each method is a line: what it does is in the module of its resource.

use crate::state::State;

pub struct CodeDeployService {
    pub(super) state: State,
}

impl CodeDeployService {
    pub fn new(state: State) -> Self {
        Self { state }
    }
}
