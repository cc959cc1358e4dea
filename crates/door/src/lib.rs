//! What stands between a socket and the APIs: who may come in, how many, and how long they may say nothing.
//!
//! - [`pages`] tells requests that a web page caused from those of programs, by the headers that browsers add. In dev
//!   mode any credentials pass, so a page that reached the port could do everything.
//! - [`mod@serve`] accepts connections and bounds them: their number, in all and per client's address; the time that heads,
//!   bodies and silence may take; the bytes of all bodies that are in memory at once.
//! - [`descriptors`] raises the process's own limit, from which the number of connections follows.
//!
//! It knows HTTP and nothing of what is served.

mod body;
mod budget;
mod connections;
pub mod descriptors;
pub mod hosts;
mod limits;
pub mod pages;
mod serve;
mod stream;

pub use body::{Body, BodyError};
pub use limits::Limits;
pub use serve::{Kind, serve};
