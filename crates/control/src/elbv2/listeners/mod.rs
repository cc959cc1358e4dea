//! Listeners.

mod attributes;
mod certificates;
mod create;
mod delete;
mod describe;
mod modify;
mod settings;
mod view;

pub use attributes::{describe as describe_attributes, modify as modify_attributes};
pub use certificates::{
    add as add_certificates, describe as describe_certificates, remove as remove_certificates,
};
pub use create::create;
pub use delete::delete;
pub use describe::describe;
pub use modify::modify;
