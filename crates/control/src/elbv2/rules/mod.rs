//! Rules of listeners. They are part of the listener's record.

pub mod actions;
mod conditions;
mod create;
mod delete;
mod describe;
pub mod fit;
mod forward;
mod modify;
mod patterns;
mod priorities;
mod redirect;
mod transforms;
mod view;

pub use create::create;
pub use delete::delete;
pub use describe::describe;
pub use forward::{forward_of, replace_listener, set_forward, set_forwards};
pub use modify::modify;
pub use priorities::set as set_priorities;
