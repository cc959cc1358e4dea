//! The sts API on records.
