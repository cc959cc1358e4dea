//! Content codings of request bodies: gzip (SDKs compress large requests) and aws-chunked framing.

use std::io::Read as _;

use bytes::Bytes;
use flate2::bufread::MultiGzDecoder;
use http::HeaderMap;
use http::header::CONTENT_ENCODING;

use super::body::too_large;
use crate::error::ApiError;

/// Codings that one body may carry. Clients use one, seldom two.
const MAX_CODINGS: usize = 4;

/// Undoes the codings from right to left, since they were applied from left to right.
pub(super) fn decode(headers: &HeaderMap, body: Bytes, limit: usize) -> Result<Bytes, ApiError> {
    let mut codings = Vec::new();
    for header in headers.get_all(CONTENT_ENCODING) {
        let text = header.to_str().map_err(|_| unsupported("?"))?;
        codings.extend(text.split(',').map(|c| c.trim().to_ascii_lowercase()));
    }
    codings.retain(|coding| !coding.is_empty() && coding != "identity");
    if codings.len() > MAX_CODINGS {
        return Err(unsupported("more than four codings"));
    }
    codings
        .iter()
        .rev()
        .try_fold(body, |body, coding| match coding.as_str() {
            "gzip" | "x-gzip" => gunzip(&body, limit),
            "aws-chunked" => unchunk(&body),
            other => Err(unsupported(other)),
        })
}

fn gunzip(body: &[u8], limit: usize) -> Result<Bytes, ApiError> {
    let mut inflated = Vec::new();
    // One byte more than the limit tells "too large" from "just fits".
    MultiGzDecoder::new(body)
        .take(limit as u64 + 1)
        .read_to_end(&mut inflated)
        .map_err(|_| malformed("The request body is not valid gzip data"))?;
    if inflated.len() > limit {
        return Err(too_large(limit));
    }
    Ok(inflated.into())
}

/// `<hex length>[;chunk-signature=...]\r\n<bytes>\r\n`, up to a chunk of length 0 and optional trailers.
fn unchunk(body: &[u8]) -> Result<Bytes, ApiError> {
    let bad = || malformed("The request body is not valid aws-chunked data");
    let mut joined = Vec::with_capacity(body.len());
    let mut rest = body;
    loop {
        let end = rest
            .windows(2)
            .position(|pair| pair == b"\r\n")
            .ok_or_else(bad)?;
        let line = std::str::from_utf8(&rest[..end]).map_err(|_| bad())?;
        let digits = line.split(';').next().unwrap_or_default();
        let length = usize::from_str_radix(digits, 16).map_err(|_| bad())?;
        rest = &rest[end + 2..];
        if length == 0 {
            return Ok(joined.into());
        }
        let (chunk, after) = rest.split_at_checked(length).ok_or_else(bad)?;
        joined.extend_from_slice(chunk);
        rest = after.strip_prefix(b"\r\n").ok_or_else(bad)?;
    }
}

fn malformed(detail: &str) -> ApiError {
    ApiError::client("MalformedHttpRequestException", detail)
}

fn unsupported(coding: &str) -> ApiError {
    ApiError::client(
        "UnsupportedMediaTypeException",
        format!("Content-Encoding {coding:?} is not supported; use gzip or none"),
    )
    .with_status(415)
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use http::HeaderValue;

    use super::*;

    const LIMIT: usize = 1000;

    fn gzip(data: &[u8]) -> Vec<u8> {
        let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        encoder.write_all(data).unwrap();
        encoder.finish().unwrap()
    }

    #[test]
    fn undoes_codings() {
        let big = vec![0; LIMIT + 1];
        let chunked_gzip = gzip(b"3;chunk-signature=ab\r\n{}\n\r\n0\r\nx:y\r\n\r\n");
        for (name, coding, body, want) in [
            ("none", "", b"{}".to_vec(), Ok(&b"{}"[..])),
            ("identity", "identity", b"{}".to_vec(), Ok(b"{}")),
            ("gzip", "gzip", gzip(b"{}"), Ok(b"{}")),
            ("twice", "gzip, GZIP", gzip(&gzip(b"{}")), Ok(b"{}")),
            ("chain", "aws-chunked,gzip", chunked_gzip, Ok(b"{}\n")),
            ("just fits", "gzip", gzip(&big[1..]), Ok(&big[1..])),
            ("bomb", "gzip", gzip(&big), Err(413)),
            ("cut off", "gzip", gzip(b"hello")[..12].to_vec(), Err(400)),
            ("not gzip", "gzip", b"{}".to_vec(), Err(400)),
            ("bad chunk", "aws-chunked", b"zz\r\n".to_vec(), Err(400)),
            (
                "long chunk",
                "aws-chunked",
                b"ffffffffffffffff\r\nab".to_vec(),
                Err(400),
            ),
            ("unknown", "br", b"{}".to_vec(), Err(415)),
            ("many", "gzip,gzip,gzip,gzip,gzip", b"{}".to_vec(), Err(415)),
        ] {
            let mut headers = HeaderMap::new();
            headers.insert(CONTENT_ENCODING, HeaderValue::from_static(coding));
            let got = decode(&headers, body.into(), LIMIT);
            assert_eq!(
                got.as_ref().map(|b| b.as_ref()).map_err(|e| e.status),
                want,
                "{name}"
            );
        }
    }
}
