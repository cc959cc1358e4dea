//! STS: who am I, and temporary credentials.
//!
//! In development any credentials pass and any role can be assumed, so what matters here is that tools get what they
//! ask for and that the credentials work: the access key leads to its account by itself
//! ([`neargate_aws_wire::access_key`]), and to who it stands for by a record that ends with the session.

mod assume;
mod identity;
mod jwt;
mod service;
mod sessions;

pub use identity::Identity;
pub use service::StsService;

#[cfg(test)]
mod tests;
