//! The seam to the functions that deployment hooks name.
//!
//! AWS invokes Lambda functions. Here a name stands for whatever the user has registered under it; who implements
//! [`Functions`] knows where that is. The control plane only names a function and hands it a payload.

use std::time::Duration;

use async_trait::async_trait;
use neargate_domain::Scope;

/// The longest that a function may take to answer. Source: Lambda's longest timeout.
pub const LONGEST_CALL: Duration = Duration::from_secs(15 * 60);

#[async_trait]
pub trait Functions: Send + Sync + 'static {
    /// Whether the text names a function that can be invoked. It may be a name, `name:qualifier`, or a partial or full
    /// ARN.
    fn knows(&self, name_or_arn: &str) -> bool;

    /// Invokes a function once and waits for its answer. Who drops the future ends the invocation.
    async fn invoke(&self, call: Invocation<'_>) -> Result<String, InvokeError>;

    /// Ends the invocations that run now, as the server ends. None answers any more, not even that it has failed.
    fn end(&self);
}

/// One call of one function.
#[derive(Debug, Clone)]
pub struct Invocation<'a> {
    /// As the hook names it.
    pub function: &'a str,
    /// Whose deployment calls; the function gets this account's credentials.
    pub scope: &'a Scope,
    /// A JSON document.
    pub payload: String,
    /// How long the function may take on the machine's clock. Time scale does not shorten what a program is given.
    pub timeout: Duration,
}

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InvokeError {
    /// Nothing is registered under that name. A retry will not help.
    #[error(
        "no function {0} is registered; add it to the file that `neargate dev --functions` names"
    )]
    Unknown(String),
    /// The function has not seen the call: it could not be reached or started. A retry may help.
    #[error("the function {function} could not be invoked: {reason}")]
    NotStarted { function: String, reason: String },
    /// The function was called, and failed or did not answer in time.
    #[error("the function {function} failed: {reason}")]
    Failed { function: String, reason: String },
}

impl InvokeError {
    /// The function has certainly not run, and may on another try.
    pub fn is_retryable(&self) -> bool {
        matches!(self, Self::NotStarted { .. })
    }
}

/// For a server that has no functions.
#[derive(Debug, Clone, Copy, Default)]
pub struct NoFunctions;

#[async_trait]
impl Functions for NoFunctions {
    fn knows(&self, _: &str) -> bool {
        false
    }

    async fn invoke(&self, call: Invocation<'_>) -> Result<String, InvokeError> {
        Err(InvokeError::Unknown(call.function.to_owned()))
    }

    fn end(&self) {}
}
