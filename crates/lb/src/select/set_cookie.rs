//! The cookies that a response sets for stickiness.

use super::cookie::{self, APP_COOKIES, Binds, CookieKey, REMOVED};
use super::{Bond, Chosen};
use crate::headers::date::http_date;
use crate::routing::{Header, Scheme};
use crate::table::TargetGroup;
use neargate_lb_api as api;

/// How long browsers keep the cookies. What they bind ends with the duration inside. AWS: always 7 days.
const EXPIRES_SECS: u64 = 7 * 24 * 60 * 60;

/// Values of the `Set-Cookie` headers to add to a response; mostly none, which costs nothing.
///
/// `stickiness_secs` is the forward action's, `response` what the target answered.
pub fn set_cookies(
    group: &TargetGroup,
    chosen: &Chosen,
    stickiness_secs: Option<u32>,
    response: &[Header<'_>],
    scheme: Scheme,
    key: &CookieKey,
    now_millis: u64,
) -> Vec<String> {
    let mut cookies = Vec::new();
    if stickiness_secs.is_none() && group.stickiness.is_none() {
        return cookies;
    }
    let expires = http_date(now_millis / 1000 + EXPIRES_SECS);
    let mut pair = |names: [&str; 2], value: String| {
        let secure = if scheme == Scheme::Https {
            "; Secure"
        } else {
            ""
        };
        cookies.push(format!("{}={value}; Expires={expires}; Path=/", names[0]));
        cookies.push(format!(
            "{}={value}; Expires={expires}; Path=/; SameSite=None{secure}",
            names[1]
        ));
    };
    if let Some(secs) = stickiness_secs {
        let value = cookie::encode(Binds::Group, &group.key, secs, now_millis, key);
        pair([cookie::GROUP_COOKIE, cookie::GROUP_CORS_COOKIE], value);
    }
    let Some(stickiness) = &group.stickiness else {
        return cookies;
    };
    let secs = stickiness.duration_secs;
    match stickiness.r#type() {
        api::StickinessType::LbCookie => {
            let value = cookie::encode(Binds::Target, &chosen.target.key, secs, now_millis, key);
            pair([cookie::TARGET_COOKIE, cookie::TARGET_CORS_COOKIE], value);
        }
        api::StickinessType::AppCookie => {
            let binds = chosen.bond == Bond::Kept || sets_cookie(response, &stickiness.cookie_name);
            let value = match binds {
                true => cookie::encode(Binds::App, &chosen.target.key, secs, now_millis, key),
                false => REMOVED.to_owned(),
            };
            for (index, name) in APP_COOKIES.iter().enumerate() {
                let value = if index == 0 { &value } else { REMOVED };
                cookies.push(format!("{name}={value}; Expires={expires}; Path=/"));
            }
        }
        api::StickinessType::SourceIp => {}
    }
    cookies
}

/// Whether the application set its cookie.
fn sets_cookie(response: &[Header<'_>], name: &str) -> bool {
    response
        .iter()
        .filter(|header| header.name.eq_ignore_ascii_case("set-cookie"))
        .any(|header| {
            let value = header.value.trim_ascii_start();
            value
                .strip_prefix(name.as_bytes())
                .is_some_and(|rest| rest.trim_ascii_start().starts_with(b"="))
        })
}
