//! Rules of listeners. They are part of the listener's record.

pub mod actions;
pub mod fit;
mod forward;
mod redirect;

pub use forward::{forward_of, set_forward};
