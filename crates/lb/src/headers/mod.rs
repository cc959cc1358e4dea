//! Heads of requests and responses as they leave the load balancer: what is added, replaced and left out.
//!
//! Each field is copied once, from the buffer it was parsed in to the buffer it is sent from (or HTTP/2's map).

pub mod connection;
pub mod date;
pub mod request;
pub mod response;
pub mod sink;
#[cfg(test)]
mod tests;
pub mod trace;

pub use connection::{ConnectionOptions, connection_options, expects_continue};
pub use request::{
    Forwarding, Noted, TooManyAddresses, authority, request_fields, write_request_head,
};
pub use response::{Answering, response_fields, write_response_head};
pub use sink::FieldSink;
pub use trace::{TraceSeed, TraceValue};

/// How a body's end is told on the next connection. Bodies are framed anew: what came chunked leaves in our chunks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Framing {
    /// No body, and no field about it.
    None,
    /// Of that length; also what an answer to HEAD tells about the body it does not have.
    Length(u64),
    Chunked,
    /// Until the connection ends: towards HTTP/1.0 clients.
    UntilClose,
}

fn write_framing<S: FieldSink>(sink: &mut S, framing: Framing) {
    match framing {
        Framing::Length(length) => {
            let mut digits = [0; 20];
            sink.field("Content-Length", &[decimal(&mut digits, length)]);
        }
        Framing::Chunked if S::HTTP1 => sink.field("Transfer-Encoding", &[b"chunked"]),
        Framing::None | Framing::Chunked | Framing::UntilClose => {}
    }
}

/// The digits of a number without an allocation.
fn decimal(digits: &mut [u8; 20], mut number: u64) -> &[u8] {
    let mut at = digits.len();
    loop {
        at -= 1;
        digits[at] = b'0' + (number % 10) as u8;
        number /= 10;
        if number == 0 {
            return &digits[at..];
        }
    }
}
