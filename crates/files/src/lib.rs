//! How Neargate keeps files on its machine's disk, once for all processes: small files that a crash leaves whole
//! ([`replace()`]), directories that nobody else looks into ([`private`]), trees that a tenant filled ([`tree`]), and the
//! space that nobody may fill but Neargate itself ([`reserve`]).
//!
//! It knows no names: what is where is its callers' business.

pub mod private;
pub mod replace;
pub mod reserve;
pub mod tree;

pub use replace::{replace, replace_unsynced, sync};
