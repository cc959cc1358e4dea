use super::*;
use crate::table::fixture::{
    compile, fixed_rule, forward, group, header, patterns as patterns_of, rule, table, view,
};
use neargate_lb_api as api;
use proptest::prelude::*;
use std::collections::HashMap;

mod actions;
mod conditions;
mod patterns;

fn key() -> CookieKey {
    CookieKey::new(b"secret of a test")
}

/// The body of the fixed response that a request gets.
fn body_of(listener: &Listener, request: &RequestView<'_>) -> String {
    match route(listener, request, &key(), 0).outcome {
        Outcome::Fixed(fixed) => fixed.body.clone(),
        other => format!("{other:?}"),
    }
}
