//! Smithy's published protocol tests, run on this crate's Router.

pub mod cases;
pub mod compare;
pub mod exclusions;
pub mod fetch;
pub mod literal;
pub mod loader;
pub mod malformed;
pub mod runner;
pub mod shapes;
