//! The logs API on records.
