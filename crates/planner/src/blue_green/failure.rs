//! Why a deployment is rolled back, in AWS's words.

use serde::{Deserialize, Serialize};

use super::stage::Stage;

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Failure {
    /// StopServiceDeployment.
    Stopped,
    Alarm,
    CircuitBreaker,
    /// A hook said FAILED, could not be called, or was answered with ROLLBACK.
    Hook {
        stage: Stage,
        detail: String,
    },
    HookTimeout {
        stage: Stage,
    },
    /// The listener rules do not send all traffic where the deployment needs it.
    Network(String),
    /// Green had traffic and no task that could serve it.
    GreenLost,
    /// A stage did not do its work in time.
    StageTimeout(Stage),
    /// The whole deployment took too long.
    DeploymentTimeout,
}

impl Failure {
    /// What `statusReason` says after `because`; some end with details of their own.
    fn because(&self) -> String {
        match self {
            Self::Stopped => "it was stopped by the user.".to_owned(),
            Self::Alarm => "an alarm was triggered.".to_owned(),
            Self::CircuitBreaker => "the circuit breaker threshold was exceeded.".to_owned(),
            Self::Hook { stage, detail } => {
                format!("{stage} lifecycle hook(s) failed. {detail}")
            }
            Self::HookTimeout { stage } => {
                format!("{stage} lifecycle hook(s) failed. The hook timed out.")
            }
            Self::Network(detail) => format!("of invalid networking configuration. {detail}"),
            Self::GreenLost => {
                "the target service revision has no healthy tasks while it receives traffic."
                    .to_owned()
            }
            Self::StageTimeout(stage) => {
                format!("the {stage} lifecycle stage did not complete within 24 hours.")
            }
            Self::DeploymentTimeout => {
                "the service deployment did not complete within 30 days.".to_owned()
            }
        }
    }

    /// `statusReason` of the service deployment.
    pub fn status_reason(&self) -> String {
        format!("Service deployment rolled back because {}", self.because())
            .trim_end()
            .to_owned()
    }
}
