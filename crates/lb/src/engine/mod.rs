//! Worker threads, their sockets and what they serve.
//!
//! One thread per core, each with a runtime of its own: a connection is accepted, read, routed, forwarded and answered
//! by one thread, and no lock or wake-up of another thread lies on a request's way. What threads share is the table
//! (immutable), counters inside it (atomics) and the listening sockets.
//!
//! - [`worker::Worker`] is a thread's context, given to every front as `Rc<Worker>`.
//! - [`front`] says what an accepted connection becomes.
//! - [`listeners`] opens and closes sockets as the table wants, from the control thread.
//! - [`deferral`] spares them wake-ups.
//! - [`vigil`] ends connections by time, by the process's end, or because their target is gone.
//! - [`netns`] makes sockets inside the load balancers' network namespaces.

pub mod buffer;
pub mod chance;
pub mod clock;
mod deferral;
pub mod front;
pub mod listeners;
pub mod netns;
pub mod published;
pub mod vigil;
pub mod worker;

pub use front::{Client, Entry};
pub use published::Published;
pub use worker::{Shared, Worker};
