//! The image store of a node.
