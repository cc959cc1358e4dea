//! The AWS wire protocols, written once over schemas and values.
//!
//! A request becomes a [`Value`](value::Value) by the [`Schema`](schema) of its operation, is checked against the
//! model's constraints, handed to a service, and the answer travels back the same way. Nothing outside this crate
//! names JSON, XML, CBOR or an HTTP status. This crate refuses to know any single service: what it knows of ECS or
//! EC2 it reads from their schemas.

pub mod access_key;
pub mod auth;
mod cbor;
pub mod error;
pub mod json;
mod protocol;
mod query;
mod rest;
mod scalar;
pub mod schema;
pub mod serve;
pub mod service;
mod structure;
mod timestamp;
pub mod validate;
pub mod value;
mod xml;
