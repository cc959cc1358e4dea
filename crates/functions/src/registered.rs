//! All registered functions, as the control plane sees them.

use std::path::Path;
use std::time::Duration;

use async_trait::async_trait;
use neargate_control::functions::{Functions, Invocation, InvokeError};
use tokio::sync::Semaphore;

use crate::command::Commands;
use crate::config::{ConfigError, Function, Target};
use crate::file::FunctionsFile;
use crate::name::bare_name;
use crate::outcome::Failure;
use crate::url::Web;

/// Commands are processes, and all of them wait most of the time. Who finds no place may try again, as with Lambda.
const MAX_CONCURRENT: usize = 64;

pub struct RegisteredFunctions {
    file: FunctionsFile,
    /// Where a command reaches this Neargate.
    endpoint: String,
    places: Semaphore,
    web: Web,
    commands: Commands,
}

impl RegisteredFunctions {
    /// # Errors
    /// The file is not there or not in order.
    pub fn open(file: &Path, endpoint: String) -> Result<Self, ConfigError> {
        Ok(Self {
            file: FunctionsFile::open(file)?,
            endpoint,
            places: Semaphore::new(MAX_CONCURRENT),
            web: Web::default(),
            commands: Commands::default(),
        })
    }

    fn function(&self, name_or_arn: &str) -> Option<Function> {
        let name = bare_name(name_or_arn)?;
        self.file.functions().get(name).cloned()
    }

    async fn run(&self, function: &Function, call: &Invocation<'_>) -> Result<String, Failure> {
        match &function.target {
            Target::Url(url) => self.web.invoke(url, call).await,
            Target::Command { program, arguments } => {
                let environment = self.environment(call);
                self.commands
                    .invoke(program, arguments, self.file.directory(), environment, call)
                    .await
            }
        }
    }

    /// What makes an AWS SDK or the aws CLI in a command talk to this Neargate, for the account that calls.
    fn environment(&self, call: &Invocation<'_>) -> [(&'static str, String); 6] {
        let name = bare_name(call.function).unwrap_or(call.function);
        [
            ("AWS_ENDPOINT_URL", self.endpoint.clone()),
            ("AWS_REGION", call.scope.region.clone()),
            ("AWS_DEFAULT_REGION", call.scope.region.clone()),
            // In dev mode an access key that is an account's number stands for that account.
            ("AWS_ACCESS_KEY_ID", call.scope.account.clone()),
            ("AWS_SECRET_ACCESS_KEY", "neargate".to_owned()),
            ("AWS_LAMBDA_FUNCTION_NAME", name.to_owned()),
        ]
    }
}

#[async_trait]
impl Functions for RegisteredFunctions {
    fn knows(&self, name_or_arn: &str) -> bool {
        self.function(name_or_arn).is_some()
    }

    async fn invoke(&self, call: Invocation<'_>) -> Result<String, InvokeError> {
        let named = || call.function.to_owned();
        let function = self
            .function(call.function)
            .ok_or_else(|| InvokeError::Unknown(named()))?;
        let timeout = function.timeout.unwrap_or(Duration::MAX).min(call.timeout);
        let Ok(_place) = self.places.try_acquire() else {
            return Err(InvokeError::NotStarted {
                function: named(),
                reason: format!("{MAX_CONCURRENT} functions run already"),
            });
        };
        let outcome = tokio::time::timeout(timeout, self.run(&function, &call)).await;
        if self.commands.have_ended() {
            // That it was killed is not what the function said: the next start calls it again.
            std::future::pending::<()>().await;
        }
        match outcome {
            Ok(Ok(answer)) => Ok(answer),
            Ok(Err(Failure::NotStarted(reason))) => Err(InvokeError::NotStarted {
                function: named(),
                reason,
            }),
            Ok(Err(Failure::Failed(reason))) => Err(InvokeError::Failed {
                function: named(),
                reason,
            }),
            Err(_) => Err(InvokeError::Failed {
                function: named(),
                reason: format!("it did not answer in {} seconds", timeout.as_secs_f64()),
            }),
        }
    }

    fn end(&self) {
        self.commands.end();
    }
}
