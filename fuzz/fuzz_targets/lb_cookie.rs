//! Any text as a client's cookies: never a panic, and nobody is bound by a value that was not signed here.
#![no_main]

use libfuzzer_sys::fuzz_target;
use neargate_lb::routing::Header;
use neargate_lb::select::cookie::{
    Binds, CookieKey, decode, encode, find_app_target, find_group, find_target,
};

const NOW_MILLIS: u64 = 1_700_000_000_000;
const DURATION_SECS: u32 = 60;

fuzz_target!(|input: (&[u8], [u8; 16], u8)| {
    let (cookies, bound, change) = input;
    let key = CookieKey::new(b"a secret that the input cannot know");
    let headers = [Header {
        name: "Cookie",
        value: cookies,
    }];
    assert!(find_target(&headers, &key, NOW_MILLIS).flatten().is_none());
    assert!(find_group(&headers, &key, NOW_MILLIS).is_none());
    assert!(
        find_app_target(&headers, "SID", &key, NOW_MILLIS)
            .flatten()
            .is_none()
    );

    let mut value = encode(Binds::Target, &bound, DURATION_SECS, NOW_MILLIS, &key).into_bytes();
    assert_eq!(decode(Binds::Target, &value, NOW_MILLIS, &key), Some(bound));
    if change != 0 {
        let at = usize::from(change) % value.len();
        value[at] ^= change;
        assert_eq!(decode(Binds::Target, &value, NOW_MILLIS, &key), None);
    }
});
