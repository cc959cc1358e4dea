//! TLS on both sides of the load balancers: which certificate a client gets, what it may negotiate, and connections to
//! targets.
//!
//! A [`Listeners`] is compiled from each table beside it. What did not change between two tables is the same value in
//! both, and a listener keeps its ticket keys for as long as it exists, so that clients resume their sessions across
//! every change of the configuration. Established connections are never touched: a new certificate is for new
//! handshakes.
//!
//! TLS 1.2 and 1.3 are served, by rustls. Policies that also allow 1.0 and 1.1 are served without those two, and of the
//! suites of TLS 1.2 only the ones with forward secrecy and authenticated encryption exist here ([`policy`]).

pub mod accept;
pub mod certificate;
pub mod client;
pub mod listener;
pub mod policy;
pub mod session;

pub use accept::{AcceptError, Greeting, accept, accept_noting};
pub use client::{TargetAlpn, client_config};
pub use listener::{ListenerTls, Listeners};
pub use session::{Alpn, TlsSession};
