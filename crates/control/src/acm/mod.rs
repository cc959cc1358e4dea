//! AWS Certificate Manager: certificates issued by Neargate's own authority, and imported ones.
//!
//! AWS: ACM API reference; what a certificate is used for is in `control::lb`.

pub mod authority;
mod describe;
mod domain_name;
mod errors;
mod export;
mod import;
mod issue;
pub mod keys;
mod list;
mod records;
pub mod renewal;
mod request;
mod service;
mod tags;
#[cfg(test)]
mod tests;

pub use authority::Authority;
pub use records::{CertificateRecord, Issued, Origin};
pub use request::sweep_tokens;
pub use service::AcmService;
