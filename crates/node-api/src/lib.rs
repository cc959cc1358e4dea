//! The gRPC messages between the control plane and a node, generated from `proto/node.proto`, which documents them.

#![allow(missing_docs, reason = "generated; the .proto has the comments")]
#![allow(
    clippy::large_enum_variant,
    reason = "generated; messages are made one at a time, not kept"
)]

/// The largest message that either side takes. What is a list is sent in several ([`MAX_TASKS`]); what is one value (a
/// network policy) and larger than this is not sent at all.
pub const MAX_MESSAGE_BYTES: usize = 64 << 20;
/// Tasks in one message. A task definition has 64 KiB, and a report ten containers with reasons of 1,024 characters.
pub const MAX_TASKS: usize = 128;

tonic::include_proto!("neargate.node.v1");

impl std::fmt::Debug for ImageSource {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ImageSource")
            .field("reference", &self.reference)
            .field("pull_reference", &self.pull_reference)
            .finish_non_exhaustive()
    }
}
