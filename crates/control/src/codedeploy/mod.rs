//! CodeDeploy for ECS services, on records in the store: applications, deployment configurations, deployment groups and
//! the revisions that are deployed.
//!
//! The compute platforms Server and Lambda exist as far as tools list them: applications and configurations can be made
//! and read, deployment groups and deployments of them are refused. SNS triggers are kept and not sent.

pub mod app_spec;
mod errors;
pub mod keys;
mod names;
pub mod records;
mod service;

pub use service::CodeDeployService;
