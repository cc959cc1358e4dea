//! CodeDeploy for ECS services, on records in the store: applications, deployment configurations, deployment groups and
//! the revisions that are deployed.
//!
//! The compute platforms Server and Lambda exist as far as tools list them: applications and configurations can be made
//! and read, deployment groups and deployments of them are refused. SNS triggers are kept and not sent.

pub mod app_spec;
mod applications;
mod configs;
mod deployments;
mod errors;
mod groups;
pub mod keys;
mod names;
mod pages;
pub mod records;
mod renames;
mod revisions;
mod service;
mod tags;
#[cfg(test)]
mod tests;

pub use deployments::Deployer;
pub use service::CodeDeployService;
