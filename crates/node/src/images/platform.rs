//! Operating system and processor architecture of an image.

use std::fmt;

use serde::{Deserialize, Serialize};

/// An OCI platform, `linux/arm64` for example (Go's names).
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Platform {
    pub os: String,
    pub architecture: String,
}

impl Platform {
    /// Linux on an architecture, in Go's words: `amd64`, `arm64`.
    pub fn linux(architecture: &str) -> Self {
        Self {
            os: "linux".to_owned(),
            architecture: architecture.to_owned(),
        }
    }

    /// The one this program was built for.
    pub fn host() -> Self {
        Self::linux(match std::env::consts::ARCH {
            "x86_64" => "amd64",
            "aarch64" => "arm64",
            other => other,
        })
    }

    /// From a task definition's `runtimePlatform.cpuArchitecture`, `X86_64` or `ARM64`.
    pub fn from_cpu_architecture(name: &str) -> Option<Self> {
        match name {
            "X86_64" => Some(Self::linux("amd64")),
            "ARM64" => Some(Self::linux("arm64")),
            _ => None,
        }
    }
}

impl fmt::Display for Platform {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.os, self.architecture)
    }
}
