//! Request bodies: in pieces, with a limit on silence; or whole, with a limit on size.

use axum::body::Body;
use bytes::{Bytes, BytesMut};
use http_body_util::BodyExt as _;

use crate::error::RegistryError;
use crate::limits::BODY_IDLE_TIMEOUT;

/// The next piece of the body; `None` at its end.
pub async fn next(body: &mut Body) -> Result<Option<Bytes>, RegistryError> {
    loop {
        let frame = tokio::time::timeout(BODY_IDLE_TIMEOUT, body.frame())
            .await
            .map_err(|_| RegistryError::Body("no data came for too long".into()))?;
        match frame {
            None => return Ok(None),
            Some(Err(error)) => return Err(RegistryError::Body(error.to_string())),
            Some(Ok(frame)) => {
                // Trailers say nothing here.
                if let Ok(data) = frame.into_data() {
                    return Ok(Some(data));
                }
            }
        }
    }
}

/// The whole body, if it is not longer than `limit`.
pub async fn whole(
    mut body: Body,
    what: &'static str,
    limit: usize,
) -> Result<Bytes, RegistryError> {
    let mut gathered = BytesMut::new();
    while let Some(piece) = next(&mut body).await? {
        if gathered.len() + piece.len() > limit {
            return Err(RegistryError::TooLarge {
                what,
                limit: limit as u64,
            });
        }
        gathered.extend_from_slice(&piece);
    }
    Ok(gathered.freeze())
}
