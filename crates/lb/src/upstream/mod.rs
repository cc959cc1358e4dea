//! Connections to targets, for every front.
//!
//! A front that has chosen a target calls, by way of [`Way::reach`], [`h1::Connection::checkout`] (HTTP/1.1: from the thread's pool, or fresh) or
//! [`connect::connect`] (a bare stream, for HTTP/2). An HTTP/1.1 connection then carries one exchange at a time:
//!
//! ```text
//! let route = Towards::new(&endpoint, &group, &chosen.target, tls13);
//! let mut connection = h1::Connection::checkout(&worker, &route).await?;      // ConnectError::status() is 502 or 504
//! connection.send(&head).await?;                                              // then body bytes, framed by the caller
//! let head = connection.response_head(request_is_head).await?;                // skips 1xx other than 101
//! while let Some(bytes) = connection.response_body().await? { … }             // unframed
//! connection.finish(&worker);                                                 // back to the pool, if it may
//! ```
//!
//! `send`, `response_head` and `response_body` have `poll_` twins, so that a front sends a body and reads the response
//! at the same time from one `poll_fn`. Nothing here knows a deadline but connecting: fronts have one per connection
//! ([`crate::engine::vigil`]). [`h1::Fault::Closed`] on a connection whose `reused()` is true, before any response
//! byte, is the race with the target's own idle timeout: a request that may be repeated is sent once more on
//! [`h1::Connection::fresh`].

pub mod body;
pub mod chunked;
pub mod connect;
pub mod h1;
pub mod pool;
pub mod response;
pub mod stream;
pub mod way;

pub use connect::{ConnectError, Towards};
pub use pool::Pool;
pub use stream::UpstreamStream;
pub use way::Way;
