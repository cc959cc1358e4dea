//! IAM, as far as it is there: server certificates, the older way to give a listener a certificate.

mod errors;
pub mod keys;
mod records;
mod server_certificates;
mod service;
mod tags;

pub use records::ServerCertificateRecord;
pub use service::IamService;
