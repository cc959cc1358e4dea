//! Pure decisions: (what is wanted, what is seen, now) -> what to do. No IO, no async, no clock.

pub mod blue_green;
pub mod codedeploy;
pub mod ecr_lifecycle;
pub mod log_events;
pub mod placement;
pub mod services;
pub mod supervision;
