//! The ecr API on records.
