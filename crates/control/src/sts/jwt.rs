//! The claims of a web identity token.
//!
//! The signature is not checked: in development any credentials pass, and the identity provider is often out of reach.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use neargate_domain::Timestamp;
use serde::Deserialize;

#[derive(Debug, PartialEq, Eq)]
pub struct Claims {
    pub issuer: String,
    pub subject: String,
    /// The first, where the token has several.
    pub audience: String,
    pub expires_at: Option<Timestamp>,
}

#[derive(Deserialize)]
struct Payload {
    iss: String,
    sub: String,
    aud: Audience,
    /// Seconds since the epoch, with a fraction for some issuers.
    exp: Option<f64>,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Audience {
    One(String),
    Many(Vec<String>),
}

/// `None`: the text is no token with these claims.
pub fn claims(token: &str) -> Option<Claims> {
    let mut parts = token.split('.');
    let (Some(_), Some(payload), Some(_), None) =
        (parts.next(), parts.next(), parts.next(), parts.next())
    else {
        return None;
    };
    let payload = URL_SAFE_NO_PAD.decode(payload.trim_end_matches('=')).ok()?;
    let payload: Payload = serde_json::from_slice(&payload).ok()?;
    Some(Claims {
        issuer: payload.iss,
        subject: payload.sub,
        audience: match payload.aud {
            Audience::One(audience) => audience,
            Audience::Many(audiences) => audiences.into_iter().next()?,
        },
        expires_at: payload
            .exp
            .map(|seconds| Timestamp((seconds * 1000.0) as i64)),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn token(payload: &str) -> String {
        format!("e30.{}.c2ln", URL_SAFE_NO_PAD.encode(payload))
    }

    #[test]
    fn claims_are_read_and_everything_else_is_refused() {
        let claims_of = |audience: &str| Claims {
            issuer: "https://token.actions.githubusercontent.com".into(),
            subject: "repo:o/r:ref:refs/heads/main".into(),
            audience: audience.into(),
            expires_at: Some(Timestamp(1_700_000_000_000)),
        };
        let with = |aud: &str| {
            token(&format!(
                r#"{{"iss":"https://token.actions.githubusercontent.com","sub":"repo:o/r:ref:refs/heads/main",
                "aud":{aud},"exp":1700000000}}"#
            ))
        };
        for (name, token, want) in [
            (
                "one audience",
                with("\"sts.amazonaws.com\""),
                Some(claims_of("sts.amazonaws.com")),
            ),
            ("several", with(r#"["a","b"]"#), Some(claims_of("a"))),
            ("no audience", with("[]"), None),
            ("no claims", token("{}"), None),
            ("no JSON", token("x"), None),
            ("no token", "opaque".to_owned(), None),
        ] {
            assert_eq!(claims(&token), want, "{name}");
        }
    }
}
