//! Modelled errors on their way to the caller.

use neargate_aws_wire::error::ApiError;
use neargate_aws_wire::schema::{Kind, Shape};
use neargate_aws_wire::value::{Fields, Value};

/// Gives an error structure its constructor and its way into [`ApiError`].
macro_rules! model_error {
    ($type:ident, $shape:expr) => {
        impl $type {
            /// The error with that message and nothing else.
            pub fn new(message: impl ::std::convert::Into<::std::string::String>) -> Self {
                Self {
                    message: $crate::support::Some(message.into()),
                    ..$crate::support::Default::default()
                }
            }
        }
        impl ::std::convert::From<$type> for ::neargate_aws_wire::error::ApiError {
            fn from(mut error: $type) -> Self {
                let message = error.message.take();
                let members = <$type as $crate::support::Field>::into_value(error);
                $crate::support::api_error(&$shape, message, members)
            }
        }
    };
}
pub(crate) use model_error;

/// The error of that shape; `members` without the message.
pub fn api_error(shape: &'static Shape, message: Option<String>, members: Value) -> ApiError {
    let Kind::Structure(structure) = &shape.kind else {
        return ApiError::internal();
    };
    let Some(error) = &structure.error else {
        return ApiError::internal();
    };
    let mut api_error = ApiError::modelled(
        shape,
        error,
        message.unwrap_or_else(|| shape.name.to_owned()),
        Value::Struct(Fields::default()),
    );
    match members {
        Value::Struct(fields) if fields.0.is_empty() => api_error.members = None,
        members => api_error.members = Some(Box::new((shape, members))),
    }
    api_error
}
