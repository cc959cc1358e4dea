//! The ec2 API on records.
