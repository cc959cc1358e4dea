//! The data plane of all load balancers of a machine.

pub mod access_log;
pub mod answers;
pub mod desync;
pub mod engine;
pub mod headers;
pub mod health;
pub mod http1;
pub mod http2;
pub mod nlb;
pub mod process;
pub mod routing;
mod saved;
pub mod select;
mod session;
mod static_table;
mod status;
pub mod table;
pub mod tls;
pub mod upstream;
