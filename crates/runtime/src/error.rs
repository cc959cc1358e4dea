//! What the command line says when it fails: one JSON object on the last line of stderr.

use std::fmt::Write as _;

use serde::{Deserialize, Serialize};

/// What a caller may want to act on. Text form: snake_case, in the `kind` member of the error line.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ErrorKind {
    /// The command line itself is wrong.
    Usage,
    /// No container of that id below `--root`.
    NotFound,
    /// A container of that id exists already.
    AlreadyExists,
    /// The container is not in a state that allows this (start twice, kill after the end).
    WrongState,
    /// `config.json` or the process file cannot be read or asks for the impossible.
    InvalidSpec,
    /// The first word of the command names no file in the container.
    ExecutableNotFound,
    /// The first word of the command names something that may not be executed.
    ExecutableNotPermitted,
    /// Everything else: mounts, cgroups, namespaces.
    Internal,
}

impl ErrorKind {
    /// The status of the failed command: Docker's 127 and 126 where a shell user would expect them, otherwise 1.
    pub fn exit_code(self) -> u8 {
        match self {
            ErrorKind::ExecutableNotFound => 127,
            ErrorKind::ExecutableNotPermitted => 126,
            _ => 1,
        }
    }
}

/// A failed command: `{"kind":"executable_not_found","message":"failed to create shim task: …"}`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[error("{message}")]
pub struct RuntimeError {
    pub kind: ErrorKind,
    /// For `run`, `create` and `start` in the words that users of ECS know from `CannotStartContainerError`.
    pub message: String,
}

impl RuntimeError {
    pub(crate) fn new(kind: ErrorKind, message: impl Into<String>) -> Self {
        RuntimeError {
            kind,
            message: message.into(),
        }
    }

    pub(crate) fn internal(what: &str, source: impl std::error::Error) -> Self {
        RuntimeError::new(ErrorKind::Internal, format!("{what}: {}", chain(&source)))
    }
}

/// An error and its sources on one line; libcontainer's outermost text alone is often just "io error".
pub(crate) fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(inner) = source {
        let inner_text = inner.to_string();
        if !text.ends_with(&inner_text) {
            let _ = write!(text, ": {inner_text}");
        }
        source = inner.source();
    }
    text
}
