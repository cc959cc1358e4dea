//! The rules of the service scheduler as tables.

mod bounds;
mod deployments;
mod failures;
mod fixture;
mod health;
mod places;
mod targets;
