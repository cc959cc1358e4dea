//! The gRPC messages between the control plane and a load balancer process, generated from `proto/lb.proto`, which
//! documents them.

#![allow(missing_docs, reason = "generated; the .proto has the comments")]

tonic::include_proto!("neargate.lb.v1");

impl std::fmt::Debug for Certificate {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Certificate")
            .field("arn", &self.arn)
            .finish_non_exhaustive()
    }
}
