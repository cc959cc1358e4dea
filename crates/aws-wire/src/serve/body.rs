//! Reads a request body under a limit.

use std::fmt::Display;

use bytes::{Buf as _, Bytes, BytesMut};
use http::HeaderMap;
use http::header::CONTENT_LENGTH;
use http_body::Body;
use http_body_util::BodyExt as _;

use crate::error::ApiError;

/// Buffer reserved on the word of a Content-Length, before any byte is there.
const MAX_RESERVED_BYTES: usize = 64 << 10;

pub(super) async fn read<B>(body: B, headers: &HeaderMap, limit: usize) -> Result<Bytes, ApiError>
where
    B: Body,
    B::Error: Display,
{
    let announced = headers
        .get(CONTENT_LENGTH)
        .and_then(|length| length.to_str().ok()?.parse::<u64>().ok());
    // Refused before it is read, so that `Expect: 100-continue` saves the sender the work.
    if announced.is_some_and(|length| length > limit as u64) {
        return Err(too_large(limit));
    }
    let reserve = announced.map_or(0, |length| (length as usize).min(MAX_RESERVED_BYTES));
    let mut buffer = BytesMut::with_capacity(reserve);
    let mut body = std::pin::pin!(body);
    while let Some(frame) = body.frame().await {
        let frame = frame.map_err(|error| {
            ApiError::client(
                "RequestAbortedException",
                format!("The request body ended early: {error}"),
            )
        })?;
        if let Ok(mut data) = frame.into_data() {
            if data.remaining() > limit - buffer.len() {
                return Err(too_large(limit));
            }
            while data.has_remaining() {
                let chunk = data.chunk();
                buffer.extend_from_slice(chunk);
                let read = chunk.len();
                data.advance(read);
            }
        }
    }
    Ok(buffer.freeze())
}

pub(super) fn too_large(limit: usize) -> ApiError {
    ApiError::client(
        "RequestEntityTooLargeException",
        format!("The request body is larger than the {limit} bytes allowed"),
    )
    .with_status(413)
}
