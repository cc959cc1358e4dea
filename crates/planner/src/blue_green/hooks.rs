//! Lifecycle hooks while they run.

use neargate_domain::Timestamp;
use serde::{Deserialize, Serialize};

use super::settings::{Hook, HookKind};
use super::stage::Stage;

/// Which execution it is: each hook runs once per stage, and in the stages of traffic steps once per step. Going back
/// counts anew.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct ExecutionKey {
    pub stage: Stage,
    pub step: u32,
    /// The deployment is rolled back: the hook hears of reversed weights.
    pub back: bool,
    /// Position in [`super::Settings::hooks`].
    pub hook: usize,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Execution {
    pub key: ExecutionKey,
    pub state: HookState,
    pub started_at: Timestamp,
    pub expires_at: Timestamp,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum HookState {
    /// The function is being called.
    Calling,
    /// It said IN_PROGRESS.
    CallAgain {
        at: Timestamp,
    },
    /// Waits for ContinueServiceDeployment.
    AwaitingAction,
    Succeeded,
    Failed {
        detail: String,
    },
    TimedOut,
}

impl HookState {
    pub fn is_open(&self) -> bool {
        matches!(
            self,
            Self::Calling | Self::CallAgain { .. } | Self::AwaitingAction
        )
    }
}

/// What came of a call.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Answer {
    Succeeded,
    /// FAILED, or nothing that can be understood; in words.
    Failed(String),
    /// IN_PROGRESS.
    CallAgain {
        after_millis: i64,
    },
}

/// `action` of ContinueServiceDeployment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    Continue,
    RollBack,
}

impl Execution {
    pub(super) fn begin(key: ExecutionKey, hook: &Hook, now: Timestamp) -> Self {
        Self {
            key,
            state: match hook.kind {
                HookKind::Lambda => HookState::Calling,
                HookKind::Pause => HookState::AwaitingAction,
            },
            started_at: now,
            expires_at: now.plus_millis(hook.timeout_millis),
        }
    }

    /// Takes account of an answer and of the time.
    pub(super) fn advance(&mut self, answer: Option<&Answer>, now: Timestamp) {
        if self.state == HookState::Calling
            && let Some(answer) = answer
        {
            self.state = match answer {
                Answer::Succeeded => HookState::Succeeded,
                Answer::Failed(detail) => HookState::Failed {
                    detail: detail.clone(),
                },
                Answer::CallAgain { after_millis } => HookState::CallAgain {
                    at: now.plus_millis(*after_millis),
                },
            };
        }
        if self.state.is_open() && now >= self.expires_at {
            self.state = HookState::TimedOut;
        }
        if let HookState::CallAgain { at } = self.state
            && now >= at
        {
            self.state = HookState::Calling;
        }
    }

    /// When time alone will change it.
    pub(super) fn due_at(&self) -> Option<Timestamp> {
        match self.state {
            HookState::CallAgain { at } => Some(at.min(self.expires_at)),
            HookState::Calling | HookState::AwaitingAction => Some(self.expires_at),
            _ => None,
        }
    }

    /// The deployment goes on without it.
    pub(super) fn abandon(&mut self) {
        if self.state.is_open() {
            self.state = HookState::Failed {
                detail: "The service deployment went on without it.".to_owned(),
            };
        }
    }
}
