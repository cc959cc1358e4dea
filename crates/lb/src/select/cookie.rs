//! The load balancer's own cookies: values that name a target or a group, signed so that no client can make one up.
//!
//! A value is the base64 of a kind, a key, the end of its life and an HMAC. It tells no address, and holds over
//! restarts as long as the process gets the same secret.

use crate::routing::Header;
use crate::table::TargetKey;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ring::hmac;

pub const TARGET_COOKIE: &str = "AWSALB";
pub const TARGET_CORS_COOKIE: &str = "AWSALBCORS";
pub const GROUP_COOKIE: &str = "AWSALBTG";
pub const GROUP_CORS_COOKIE: &str = "AWSALBTGCORS";
/// Its values are spread over four cookies; ours always fit into the first.
pub const APP_COOKIES: [&str; 4] = ["AWSALBAPP-0", "AWSALBAPP-1", "AWSALBAPP-2", "AWSALBAPP-3"];
/// What AWS sets where there is nothing to remember.
pub const REMOVED: &str = "_remove_";

const KEY_BYTES: usize = size_of::<TargetKey>();
const EXPIRY_BYTES: usize = 8;
const SIGNED_BYTES: usize = 1 + KEY_BYTES + EXPIRY_BYTES;
/// Of an HMAC-SHA-256.
const TAG_BYTES: usize = 32;
const VALUE_BYTES: usize = SIGNED_BYTES + TAG_BYTES;
/// Length of a value as text.
const TEXT_BYTES: usize = VALUE_BYTES.div_ceil(3) * 4 - (3 - VALUE_BYTES % 3) % 3;

/// The secret that cookies are signed with.
pub struct CookieKey(hmac::Key);

impl CookieKey {
    pub fn new(secret: &[u8]) -> Self {
        Self(hmac::Key::new(hmac::HMAC_SHA256, secret))
    }
}

impl std::fmt::Debug for CookieKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("CookieKey")
    }
}

/// What a cookie binds its client to. Part of what is signed, so that one cannot be used as the other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Binds {
    Target = b'T',
    Group = b'G',
    App = b'A',
}

/// A cookie's value that is good for `secs` from `now_millis` on.
pub fn encode(binds: Binds, to: &TargetKey, secs: u32, now_millis: u64, key: &CookieKey) -> String {
    let expires = now_millis + u64::from(secs) * 1000;
    let mut value = [0; VALUE_BYTES];
    value[0] = binds as u8;
    value[1..=KEY_BYTES].copy_from_slice(to);
    value[1 + KEY_BYTES..SIGNED_BYTES].copy_from_slice(&expires.to_be_bytes());
    let tag = hmac::sign(&key.0, &value[..SIGNED_BYTES]);
    value[SIGNED_BYTES..].copy_from_slice(tag.as_ref());
    URL_SAFE_NO_PAD.encode(value)
}

/// What a value binds to, if we made it and it has not expired.
pub fn decode(binds: Binds, text: &[u8], now_millis: u64, key: &CookieKey) -> Option<TargetKey> {
    if text.len() != TEXT_BYTES {
        return None;
    }
    let mut value = [0; VALUE_BYTES];
    if URL_SAFE_NO_PAD.decode_slice(text, &mut value).ok()? != VALUE_BYTES
        || value[0] != binds as u8
    {
        return None;
    }
    hmac::verify(&key.0, &value[..SIGNED_BYTES], &value[SIGNED_BYTES..]).ok()?;
    let expires = u64::from_be_bytes(value[1 + KEY_BYTES..SIGNED_BYTES].try_into().ok()?);
    (now_millis < expires).then(|| value[1..=KEY_BYTES].try_into().ok())?
}

/// All cookies of a request.
pub fn cookies<'a>(headers: &'a [Header<'a>]) -> impl Iterator<Item = (&'a [u8], &'a [u8])> {
    headers
        .iter()
        .filter(|header| header.name.eq_ignore_ascii_case("cookie"))
        .flat_map(|header| header.value.split(|byte| *byte == b';'))
        .filter_map(|pair| {
            let pair = pair.trim_ascii();
            let equals = pair.iter().position(|byte| *byte == b'=')?;
            Some((&pair[..equals], &pair[equals + 1..]))
        })
}

/// The last value of the first of `names` that is there.
fn find<'a>(headers: &'a [Header<'a>], names: [&str; 2]) -> Option<&'a [u8]> {
    let (mut first, mut second) = (None, None);
    for (name, value) in cookies(headers) {
        if name == names[0].as_bytes() {
            first = Some(value);
        } else if name == names[1].as_bytes() {
            second = Some(value);
        }
    }
    first.or(second)
}

/// Whether the client has a cookie about a target, good or not, and what it binds to. AWSALBCORS wins over AWSALB.
pub fn find_target(
    headers: &[Header<'_>],
    key: &CookieKey,
    now_millis: u64,
) -> Option<Option<TargetKey>> {
    let value = find(headers, [TARGET_CORS_COOKIE, TARGET_COOKIE])?;
    Some(decode(Binds::Target, value, now_millis, key))
}

/// The group that the client shall stay in.
pub fn find_group(headers: &[Header<'_>], key: &CookieKey, now_millis: u64) -> Option<TargetKey> {
    let value = find(headers, [GROUP_CORS_COOKIE, GROUP_COOKIE])?;
    decode(Binds::Group, value, now_millis, key)
}

/// As `find_target`, for a group that is bound by the application's cookie: without that, ours means nothing.
pub fn find_app_target(
    headers: &[Header<'_>],
    app_cookie: &str,
    key: &CookieKey,
    now_millis: u64,
) -> Option<Option<TargetKey>> {
    let value = find(headers, [APP_COOKIES[0], APP_COOKIES[0]])
        .filter(|value| *value != REMOVED.as_bytes())?;
    let has_app_cookie = cookies(headers).any(|(name, _)| name == app_cookie.as_bytes());
    Some(if has_app_cookie {
        decode(Binds::App, value, now_millis, key)
    } else {
        None
    })
}
