//! The gRPC messages between the control plane and a node, generated from `proto/node.proto`, which documents them.

#![allow(missing_docs, reason = "generated; the .proto has the comments")]

tonic::include_proto!("neargate.node.v1");

impl std::fmt::Debug for ImageSource {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ImageSource")
            .field("reference", &self.reference)
            .field("pull_reference", &self.pull_reference)
            .finish_non_exhaustive()
    }
}
