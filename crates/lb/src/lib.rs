//! The data plane of all load balancers of a machine.

pub mod access_log;
pub mod answers;
pub mod desync;
pub mod engine;
pub mod headers;
pub mod http1;
pub mod health;
pub mod nlb;
pub mod routing;
pub mod select;
pub mod table;
pub mod tls;
pub mod upstream;
