//! From an operation's index to the trait's method and back.

use std::future::Future;
use std::pin::Pin;

use neargate_aws_wire::error::ApiError;
use neargate_aws_wire::schema::ServiceSchema;
use neargate_aws_wire::service::CallFuture;
use neargate_aws_wire::value::Value;

use super::field::Field;

/// What a trait method returns, as `async_trait` spells it.
pub type Answer<'a, T> = Pin<Box<dyn Future<Output = Result<T, ApiError>> + Send + 'a>>;

/// The body of every method that is not overridden.
pub fn not_implemented<'a, T: Send + 'a>(
    schema: &'static ServiceSchema,
    operation: &'static str,
) -> Answer<'a, T> {
    Box::pin(std::future::ready(Err(ApiError::not_implemented(
        schema.service_id,
        operation,
    ))))
}

/// Calls a method with its input.
pub fn call<'a, I: Field, T: Field + 'a>(
    input: Value,
    method: impl FnOnce(I) -> Answer<'a, T>,
) -> CallFuture<'a> {
    match I::from_value(input) {
        Ok(input) => answer(method(input)),
        // The protocols check all that the model says; what is left are values that they cannot see, such as a
        // number too large for 32 bits.
        Err(mismatch) => Box::pin(std::future::ready(Err(ApiError::client(
            "SerializationException",
            mismatch.to_string(),
        )))),
    }
}

/// The method's output as a value.
pub fn answer<'a, T: Field + 'a>(answer: Answer<'a, T>) -> CallFuture<'a> {
    Box::pin(async move { answer.await.map(T::into_value) })
}

/// The `Service` of a generated trait. The trait object keeps the dispatch out of the crates that implement the
/// trait: they are compiled far more often than this one.
macro_rules! service {
    ($trait:ident) => {
        struct Adapter(::std::sync::Arc<dyn $trait>);

        impl ::neargate_aws_wire::service::Service for Adapter {
            fn schema(&self) -> &'static ::neargate_aws_wire::schema::ServiceSchema {
                &SCHEMA
            }

            fn call<'a>(
                &'a self,
                context: $crate::support::RequestContext,
                operation: &'static ::neargate_aws_wire::schema::OperationSchema,
                input: $crate::support::Value,
            ) -> $crate::support::CallFuture<'a> {
                ::std::boxed::Box::pin(async move {
                    match HANDLERS.get(operation.index) {
                        Some(Some(handler)) => handler(&*self.0, &context, input).await,
                        _ => $crate::support::not_implemented(&SCHEMA, operation.name).await,
                    }
                })
            }
        }

        /// Makes the implementation callable by the protocols.
        pub fn service(
            implementation: ::std::sync::Arc<impl $trait>,
        ) -> ::std::sync::Arc<dyn ::neargate_aws_wire::service::Service> {
            ::std::sync::Arc::new(Adapter(implementation))
        }
    };
}
pub(crate) use service;
