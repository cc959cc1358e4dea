//! The ecs API on records.
