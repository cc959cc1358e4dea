//! HTTP/2 in front, for clients that agreed on it by ALPN; and HTTP/2 to targets of HTTP2 and GRPC groups.
//!
//! [`connection`] takes a client's streams; each becomes a task of its own ([`stream`]), which routes the request
//! ([`plan`]) and carries it to its target over HTTP/1.1 ([`over_http1`]) or HTTP/2 ([`over_http2`], on connections of
//! [`targets`] that many streams share). Bodies are streamed both ways under flow control: one side's window opens only
//! as the other side takes the bytes. A client that resets a stream ends the request at the target, and the other way
//! round.
//!
//! Source: "Application Load Balancers", HTTP/2; "Target groups for your Application Load Balancers", protocol version.

mod answer;
mod body;
mod connection;
mod counted;
mod exchange;
mod log;
mod over_http1;
mod over_http2;
mod plan;
mod request;
mod stream;
mod targets;

pub use connection::serve;
