//! The gRPC messages between the control plane and a load balancer process, generated from `proto/lb.proto`, which
//! documents them.

#![allow(missing_docs, reason = "generated; the .proto has the comments")]

/// The largest table that a load balancer process takes. It is applied at once, so it is one message.
pub const MAX_TABLE_BYTES: usize = 256 << 20;
/// The largest report that the server takes.
pub const MAX_REPORT_BYTES: usize = 32 << 20;
/// Targets, or load balancers, in one report: each has an ARN, an id and a sentence, some 3 KiB at most.
pub const MAX_REPORTED: usize = 4096;

tonic::include_proto!("neargate.lb.v1");

impl std::fmt::Debug for Certificate {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Certificate")
            .field("arn", &self.arn)
            .finish_non_exhaustive()
    }
}
