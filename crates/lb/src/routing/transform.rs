//! Transforms: what a rule makes of the request's host and URL before the target sees them.
//!
//! Source: ALB/rule-transforms. "If there is no pattern match, the original request is sent to the target. If there is
//! a pattern match but the transform fails, we return an HTTP 500 error."

use super::pattern::{Case, regex};
use neargate_lb_api as api;
use regex::bytes::Regex;

/// Longest result; the request line that it becomes part of may have 16K.
const MAX_RESULT_BYTES: usize = 16 * 1024;
/// Longest host name.
const MAX_HOST_BYTES: usize = 253;

/// One regular expression and its replacement.
#[derive(Debug)]
pub struct Rewrite {
    regex: Regex,
    replace: Vec<u8>,
}

/// The expression matched, but what came out is no host or no URL: 500.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the result of the transform is not usable")]
pub struct TransformFailed;

impl Rewrite {
    pub fn compile(rewrite: &api::Rewrite) -> Result<Self, String> {
        Ok(Self {
            regex: regex(&rewrite.regex, Case::Sensitive)?,
            replace: delimited(&rewrite.replace).into_bytes(),
        })
    }

    /// `Ok(None)`: no match, the original goes on.
    pub fn host(&self, host: &str) -> Result<Option<String>, TransformFailed> {
        let Some(host) = self.apply(host)? else {
            return Ok(None);
        };
        let is_host = |byte: u8| byte.is_ascii_alphanumeric() || b"-._:[]".contains(&byte);
        match !host.is_empty() && host.len() <= MAX_HOST_BYTES && host.bytes().all(is_host) {
            true => Ok(Some(host)),
            false => Err(TransformFailed),
        }
    }

    /// Path and query.
    pub fn url(&self, url: &str) -> Result<Option<String>, TransformFailed> {
        let Some(url) = self.apply(url)? else {
            return Ok(None);
        };
        match url.starts_with('/') && url.bytes().all(|byte| byte.is_ascii_graphic()) {
            true => Ok(Some(url)),
            false => Err(TransformFailed),
        }
    }

    fn apply(&self, text: &str) -> Result<Option<String>, TransformFailed> {
        let Some(captures) = self.regex.captures(text.as_bytes()) else {
            return Ok(None);
        };
        let whole = captures.get(0).ok_or(TransformFailed)?;
        let mut result = text.as_bytes()[..whole.start()].to_vec();
        captures.expand(&self.replace, &mut result);
        result.extend_from_slice(&text.as_bytes()[whole.end()..]);
        if result.len() > MAX_RESULT_BYTES {
            return Err(TransformFailed);
        }
        String::from_utf8(result)
            .map(Some)
            .map_err(|_| TransformFailed)
    }
}

/// Writes `$1` as `${1}`: to AWS a group's name ends with its digits, to the library `$1_x` is a group of that name.
fn delimited(replace: &str) -> String {
    let mut delimited = String::with_capacity(replace.len());
    let mut rest = replace;
    while let Some(dollar) = rest.find('$') {
        delimited.push_str(&rest[..=dollar]);
        rest = &rest[dollar + 1..];
        let digits = rest.bytes().take_while(u8::is_ascii_digit).count();
        if digits > 0 {
            delimited.push('{');
            delimited.push_str(&rest[..digits]);
            delimited.push('}');
        }
        rest = &rest[digits..];
    }
    delimited.push_str(rest);
    delimited
}
