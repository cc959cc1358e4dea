//! Heads of requests and responses as they leave the load balancer.

pub mod date;
