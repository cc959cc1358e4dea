//! The EC2 API on a real store. Requests and answers are written as JSON with the model's names.

mod groups;
mod interfaces;
mod networks;
mod tags;

use std::sync::Arc;

use neargate_aws_wire::json::to_json;
use neargate_aws_wire::service::RequestContext;
use neargate_aws_wire::value::Shaped;
use neargate_domain::Scope;
use neargate_store::EmbeddedStore;
use serde_json::Value;

use super::{AddressPool, Ec2Service};
use crate::clock::SystemClock;
use crate::state::State;

pub struct Fixture {
    pub ec2: Ec2Service,
    pub state: State,
    pub pool: AddressPool,
    pub context: RequestContext,
    pub scope: Scope,
    _directory: tempfile::TempDir,
}

impl Fixture {
    pub fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let store = EmbeddedStore::open(&directory.path().join("state.redb")).unwrap();
        let state = State::new(Arc::new(store), Arc::new(SystemClock::new(1.0)));
        let pool = AddressPool::default();
        Self {
            ec2: Ec2Service::new(state.clone(), pool.clone()),
            state,
            pool,
            context: RequestContext {
                request_id: "r".into(),
                account: "123456789012".into(),
                region: "eu-west-1".into(),
                access_key_id: None,
                host: "localhost".into(),
            },
            scope: Scope::new("123456789012", "eu-west-1"),
            _directory: directory,
        }
    }
}

/// The answer as JSON.
pub fn shown<T: Shaped>(answer: T) -> Value {
    serde_json::from_slice(&to_json(answer).unwrap()).unwrap()
}

/// Text at a path of an answer: `text(&vpc, "/Vpc/VpcId")`.
pub fn text(value: &Value, path: &str) -> String {
    let found = value.pointer(path).and_then(Value::as_str);
    found
        .unwrap_or_else(|| panic!("no text at {path} of {value}"))
        .to_owned()
}

/// Number of elements of the list at a path.
pub fn count(value: &Value, path: &str) -> usize {
    let found = value.pointer(path).and_then(Value::as_array);
    found
        .unwrap_or_else(|| panic!("no list at {path} of {value}"))
        .len()
}

/// Calls an operation: `try_call!(fixture, create_vpc, {"CidrBlock": "10.0.0.0/16"})`.
macro_rules! try_call {
    ($fixture:expr, $method:ident, $request:tt) => {{
        let request = ::serde_json::to_vec(&::serde_json::json!($request)).unwrap();
        let request = ::neargate_aws_wire::json::from_json(&request).unwrap();
        ::neargate_aws_api::ec2::Ec2::$method(&$fixture.ec2, &$fixture.context, request).await
    }};
}
pub(crate) use try_call;

/// The same for a call that must work, with its answer as JSON.
macro_rules! call {
    ($fixture:expr, $method:ident, $request:tt) => {
        $crate::ec2::tests::shown(
            $crate::ec2::tests::try_call!($fixture, $method, $request)
                .unwrap_or_else(|error| panic!("{}: {error:?}", stringify!($method))),
        )
    };
}
pub(crate) use call;

/// The code of a call that must fail.
macro_rules! code {
    ($fixture:expr, $method:ident, $request:tt) => {
        match $crate::ec2::tests::try_call!($fixture, $method, $request) {
            Ok(_) => "no error".to_owned(),
            Err(error) => error.code.to_string(),
        }
    };
}
pub(crate) use code;
