use super::*;
use crate::routing::pattern::{Case, Escapes, Wildcard};
use crate::routing::uri::{host_without_port, normalized_path, port_of, split_absolute};

#[test]
fn wildcards() {
    for (name, pattern, text, want) in [
        ("literal", "/a", "/a", true),
        ("literal, more text", "/a", "/ab", false),
        ("literal, less text", "/ab", "/a", false),
        ("star at the end", "/img/*", "/img/x/y", true),
        ("star takes nothing", "/img/*", "/img/", true),
        ("star needs its prefix", "/img/*", "/im", false),
        ("star in the middle", "/*/b", "/a/c/b", true),
        ("two stars", "*a*b", "xaxxb", true),
        ("backs up more than once", "*ab", "aabab", true),
        ("question mark", "/?", "/a", true),
        ("question mark takes one", "/?", "/", false),
        ("question mark takes only one", "/?", "/ab", false),
        ("star and question mark", "*?", "", false),
        ("only a star", "*", "", true),
        ("empty", "", "", true),
        ("empty pattern, some text", "", "a", false),
        ("case", "/A", "/a", false),
    ] {
        assert_eq!(
            Wildcard::new(pattern, Case::Sensitive, Escapes::None).matches(text.as_bytes()),
            want,
            "{name}"
        );
    }
    let any_case = Wildcard::new("*.Example.COM", Case::Insensitive, Escapes::None);
    assert!(any_case.matches(b"WWW.example.com") && !any_case.matches(b"example.com"));
    let escaped = Wildcard::new(r"a\*\?\\*", Case::Sensitive, Escapes::Backslash);
    assert!(escaped.matches(br"a*?\anything") && !escaped.matches(b"axx"));
}

/// The definition of a wildcard, too slow for use.
fn by_definition(pattern: &[u8], text: &[u8]) -> bool {
    match (pattern.split_first(), text.split_first()) {
        (None, _) => text.is_empty(),
        (Some((b'*', rest)), _) => {
            (0..=text.len()).any(|taken| by_definition(rest, &text[taken..]))
        }
        (Some((b'?', rest)), Some((_, text))) => by_definition(rest, text),
        (Some((literal, rest)), Some((byte, text))) => literal == byte && by_definition(rest, text),
        (Some(_), None) => false,
    }
}

proptest! {
    #[test]
    fn wildcards_match_what_their_definition_matches(pattern in "[ab*?]{0,10}", text in "[ab]{0,12}") {
        let wildcard = Wildcard::new(&pattern, Case::Sensitive, Escapes::None);
        prop_assert_eq!(wildcard.matches(text.as_bytes()), by_definition(pattern.as_bytes(), text.as_bytes()));
    }

    #[test]
    fn a_normalized_path_stays_as_it_is(path in "/[a./%2eEF~0]{0,20}") {
        let once = normalized_path(&path).into_owned();
        // What decoding makes a percent sign of is not decoded again: `%2541` is the text `%41`.
        prop_assume!(!once.contains('%'));
        prop_assert_eq!(normalized_path(&once).into_owned(), once);
    }
}

#[test]
fn paths_are_normalized() {
    for (name, path, want) in [
        ("plain", "/a/b", "/a/b"),
        ("unreserved", "/%61%2D%7e", "/a-~"),
        ("reserved stays, in upper case", "/a%2fb", "/a%2Fb"),
        ("no hex", "/%zz%1", "/%zz%1"),
        ("dot", "/a/./b", "/a/b"),
        ("two dots", "/a/../b", "/b"),
        ("escaped dots", "/a/%2e%2e/b", "/b"),
        ("above the root", "/../../a", "/a"),
        ("dots at the end", "/a/b/..", "/a/"),
        ("a dot at the end", "/a/.", "/a/"),
        (
            "a file that begins with a dot",
            "/.well-known/x",
            "/.well-known/x",
        ),
        ("double slashes stay", "//a", "//a"),
        ("not ASCII", "/ü/../é", "/é"),
    ] {
        assert_eq!(normalized_path(path), want, "{name}");
    }
}

#[test]
fn hosts_and_targets_are_taken_apart() {
    for (host, name, port) in [
        ("a.b", "a.b", None),
        ("a.b:80", "a.b", Some("80")),
        ("[::1]", "[::1]", None),
        ("[::1]:8080", "[::1]", Some("8080")),
        ("", "", None),
    ] {
        assert_eq!(
            (host_without_port(host), port_of(host)),
            (name, port),
            "{host}"
        );
    }
    for (target, want) in [
        ("http://a.b/c?d", Some(("a.b", "/c?d"))),
        ("HTTPS://a.b:1", Some(("a.b:1", ""))),
        ("http://a.b?q", Some(("a.b", "?q"))),
        ("http:///x", None),
        ("http://user@a.b/", None),
        ("ftp://a.b/", None),
        ("a.b:443", None),
    ] {
        assert_eq!(split_absolute(target), want, "{target}");
    }
}
