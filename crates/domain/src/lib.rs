//! The nouns: ids, ARNs, states and their legal transitions, Fargate's sizes. No IO, no clock, no wire formats.

pub mod arn;
pub mod fargate;
pub mod id;
pub mod task;
pub mod time;
pub mod wildcard;

pub use arn::{Arn, Scope};
pub use time::Timestamp;
