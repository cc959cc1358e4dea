//! The rules of the service scheduler as tables.

mod bounds;
mod deployments;
mod failures;
mod fixture;
mod health;
mod places;
mod side_by_side;
mod targets;
