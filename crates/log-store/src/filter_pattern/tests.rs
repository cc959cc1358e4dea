use proptest::prelude::*;

use super::*;

const EVENT: &str = r#"{"eventType":"UpdateTrail","sourceIPAddress":"111.111.111.111","arrayKey":["value","another value"],
    "objectList":[{"name":"a","id":1},{"name":"b","id":2}],"SomeObject":null,"cluster.name":"c","ThisFlag":true,
    "user":{"id":1,"email":"John.Stiles@example.com"},"actions":["GET","PUT","DELETE"],
    "users":[{"id":2,"email":"John.Doe@example.com"},{"id":3,"email":"Jane.Doe@example.com"}],
    "coordinates":[[0,1,2],[4,5,6],[7,8,9]],"latency":49.5,"errorCode":400,"number":[0.001],"text":"12"}"#;

const ACCESS: &str =
    r#"127.0.0.1 Prod frank [10/Oct/2000:13:25:15 -0700] "GET /index.html HTTP/1.0" 404 1534"#;

#[track_caller]
fn check(pattern: &str, message: &str, want: bool) {
    let parsed = FilterPattern::parse(pattern).unwrap_or_else(|_| panic!("{pattern} is valid"));
    assert_eq!(parsed.matches(message), want, "{pattern} on {message}");
}

/// AWS, "Matching terms using a regular expression" and "in unstructured log events".
#[test]
fn terms() {
    let bad = "[ERROR 400] BAD REQUEST";
    let unauthorized = "[ERROR 401] UNAUTHORIZED REQUEST";
    let missing = "[ERROR 419] MISSING ARGUMENTS";
    let internal = "[ERROR 500] INTERNAL SERVER ERROR";
    let info = "[INFO 200] SUCCESSFUL REQUEST";
    for (pattern, matching, others) in [
        ("", vec![bad, "", "\u{1F600}"], vec![]),
        ("\" \"", vec![bad, "x"], vec![]),
        (
            "ERROR",
            vec![bad, unauthorized, "TERRORS"],
            vec![info, "error"],
        ),
        ("ERROR ARGUMENTS", vec![missing], vec![bad, info]),
        (
            "?ERROR ?ARGUMENTS",
            vec![bad, missing, "ARGUMENTS"],
            vec![info],
        ),
        ("?ERROR ?ARGUMENTS REQUEST", vec![bad, info], vec![missing]),
        (
            "\"INTERNAL SERVER ERROR\"",
            vec![internal],
            vec!["INTERNAL  SERVER ERROR"],
        ),
        ("ERROR -ARGUMENTS", vec![bad], vec![missing, info]),
        ("ERROR -\"BAD REQUEST\"", vec![missing], vec![bad]),
        ("-ERROR", vec![info], vec![bad]),
        (
            "%AUTHORIZED%",
            vec![unauthorized, "[SUCCESS 200] AUTHORIZED REQUEST"],
            vec![bad],
        ),
        (
            "%^.ERROR [45]0\\d%",
            vec![bad, unauthorized, internal],
            vec![missing],
        ),
        ("%ERROR% -%40[0-9]%", vec![missing], vec![bad, info]),
        (
            "\"say \\\"hi\\\"\"",
            vec!["they say \"hi\" now"],
            vec!["say hi"],
        ),
        ("exit-code:1", vec!["exit-code:1"], vec!["exit-code:2"]),
    ] {
        for message in matching {
            check(pattern, message, true);
        }
        for message in others {
            check(pattern, message, false);
        }
    }
}

/// AWS, "Using filter patterns to match terms in JSON log events".
#[test]
fn json() {
    for (pattern, want) in [
        (r#"{ $.eventType = "UpdateTrail" }"#, true),
        (r#"{ $.eventType = UpdateTrail }"#, true),
        (r#"{$.eventType="Update*"}"#, true),
        (r#"{ $.eventType = "*Trail" }"#, true),
        (r#"{ $.eventType = "Trail" }"#, false),
        (r#"{ $.eventType != "UpdateTrail" }"#, false),
        (r#"{ $.eventType = %Trail% }"#, true),
        (r#"{ $.eventType = %^Trail% }"#, false),
        ("{ $.sourceIPAddress != 123.123.* }", true),
        ("{ $.sourceIPAddress = 111.111.* }", true),
        (r"{ $.sourceIPAddress = %111\.1[0-9]{2}\.% }", true),
        (r#"{ $.arrayKey[0] = "value" }"#, true),
        (r#"{ $.arrayKey[1] = "value" }"#, false),
        (r#"{ $.arrayKey = "value" }"#, false),
        (r#"{ $.user != "value" }"#, false),
        ("{ $.objectList[1].id = 2 }", true),
        ("{ $.objectList[*].id = 2 }", true),
        ("{ $.objectList[*].id = 3 }", false),
        (r#"{ $.* = "UpdateTrail" }"#, true),
        (r#"{ $.['cluster.name'] = "c" }"#, true),
        (r#"{ $.cluster.name = "c" }"#, false),
        ("{ $.SomeObject IS NULL }", true),
        ("{ $.eventType IS NULL }", false),
        ("{ $.Missing IS NULL }", false),
        ("{ $.SomeOtherObject NOT EXISTS }", true),
        ("{ $.SomeObject NOT EXISTS }", false),
        ("{ $.ThisFlag IS TRUE }", true),
        ("{ $.ThisFlag IS FALSE }", false),
        ("{ $.latency < 50 }", true),
        ("{ $.latency <= 49.5 }", true),
        ("{ $.latency > 49.5 }", false),
        ("{ $.latency >= 4.95e+1 }", true),
        ("{ $.errorCode = 400}", true),
        ("{ $.errorCode = 400.0 }", true),
        ("{ $.errorCode = 4* }", true),
        ("{ $.errorCode != 500 }", true),
        ("{ $.number[0] = 1e-3 }", true),
        ("{ $.number[0] != 1e+3 }", true),
        ("{ $.text > 5 }", false),
        ("{ $.text = 12 }", true),
        ("{ $.Missing != 1 }", false),
        (r#"{ $.SomeObject = "*" }"#, false),
        (r#"{ $.errorCode = "*" }"#, true),
        (
            r#"{ ($.user.id = 1) && ($.users[0].email = "John.Doe@example.com") }"#,
            true,
        ),
        (
            r#"{ $.user.email = "John.Stiles@example.com" || $.coordinates[0][1] = "nonmatch" && $.actions[2] = "nonmatch" }"#,
            true,
        ),
        (
            r#"{ ($.user.email = "John.Stiles@example.com" || $.coordinates[0][1] = "nonmatch") && $.actions[2] = "nonmatch" }"#,
            false,
        ),
        (
            r#"{ ($.user.id = 2 && $.users[0].email = "nonmatch") || $.actions[2] = "GET" }"#,
            false,
        ),
        ("{ $.coordinates[0][1] = 1 }", true),
        ("{$.user.id=1&&$.errorCode=400||$.user.id=9}", true),
    ] {
        check(pattern, EVENT, want);
    }
    for message in ["not JSON", "[{\"a\":1}]", "{broken", "", "\"a\""] {
        check("{ $.a NOT EXISTS }", message, false);
    }
}

/// AWS, "Using filter patterns to match terms in space-delimited log events".
#[test]
fn fields() {
    for (pattern, message, want) in [
        (
            "[ip, user, username, timestamp, request, status_code, bytes]",
            ACCESS,
            true,
        ),
        (
            "[ip, user, username, timestamp, request =*.html*, status_code = 4*, bytes]",
            ACCESS,
            true,
        ),
        (
            "[ip, user, username, timestamp, request =*.html*, status_code = 5*, bytes]",
            ACCESS,
            false,
        ),
        (
            "[..., request =*.html*, status_code = 4*, bytes]",
            ACCESS,
            true,
        ),
        ("[ip, ..., bytes > 1000]", ACCESS, true),
        ("[ip, ..., bytes > 2000]", ACCESS, false),
        ("[ip, ..., bytes = 1534.0]", ACCESS, true),
        (
            "[ip, user, username, timestamp, request =*.html*, status_code = 404 || status_code = 410, bytes]",
            ACCESS,
            true,
        ),
        (
            "[ip, user, username, timestamp, request, status_code >= 400 && status_code < 404, bytes]",
            ACCESS,
            false,
        ),
        (r"[ip=%127\.0\.0\.[1-9]%, ...]", ACCESS, true),
        ("[ip, user, username = \"frank\", ...]", ACCESS, true),
        ("[,,username = frank, ...]", ACCESS, true),
        (
            "[(status = 404 || status = 410) && status != 405, bytes]",
            "410 7",
            true,
        ),
        ("[ip, user]", "one", false),
        ("[a, b = 2]", "1 2 3", false),
        ("[w1=ERROR, w2]", "ERROR request failed", true),
        ("[w1=ERROR, w2]", "WARNING request failed", false),
        ("[w1=ERROR, w2]", "ERROR", false),
        ("[w1=ERROR || W1=WARNING, w2]", "WARNING request", true),
        ("[w1!=ERROR && w1!=WARNING, w2]", "INFO x y", true),
        ("[w1!=ERROR && w1!=WARNING, w2]", "WARNING x y", false),
        ("[...]", "", true),
        ("[a, ..., b]", "1 2", true),
        ("[a=\"x y\"]", "\"x y\"", true),
        ("[a, b]", "say \"unterminated words", true),
    ] {
        check(pattern, message, want);
    }
}

#[test]
fn values_are_extracted() {
    for (pattern, message, want) in [
        ("ERROR", "ERROR", vec![]),
        (
            "[..., status, bytes]",
            ACCESS,
            vec![
                ("$1", "127.0.0.1"),
                ("$2", "Prod"),
                ("$3", "frank"),
                ("$4", "10/Oct/2000:13:25:15 -0700"),
                ("$5", "GET /index.html HTTP/1.0"),
                ("$bytes", "1534"),
                ("$status", "404"),
            ],
        ),
        ("[a, b]", "1 2 3", vec![("$a", "1"), ("$b", "2 3")]),
        ("[a = 5]", "1", vec![]),
        (
            "{ $.user.id = 1 && $.['cluster.name'] = \"c\" && $.none NOT EXISTS }",
            EVENT,
            vec![("$.['cluster.name']", "c"), ("$.user.id", "1")],
        ),
    ] {
        let parsed = FilterPattern::parse(pattern).expect("valid");
        let got = parsed.extract(message);
        let got: Vec<_> = got.iter().map(|(k, v)| (k.as_str(), v.as_str())).collect();
        assert_eq!(got, want, "{pattern}");
    }
}

#[test]
fn what_is_not_a_pattern_is_refused() {
    let deep = format!("{{ {}$.a = 1{} }}", "(".repeat(40), ")".repeat(40));
    let long = "x".repeat(MAX_PATTERN_CHARS + 1);
    for (name, pattern) in [
        ("too long", long.as_str()),
        ("too deep", &deep),
        ("unclosed quote", "\"ERROR"),
        ("quote inside of a word", "a\"b\""),
        ("lone sign", "ERROR -"),
        ("unclosed regex", "%ERROR"),
        ("empty regex", "%%"),
        ("group in a regex", "%(ERROR|WARN)%"),
        ("symbol in a regex", "%something!%"),
        ("multi-byte regex", "%café%"),
        ("broken regex", "%[abc%"),
        ("huge regex", "%a{1000}{1000}%"),
        ("three regexes", "{ $.v = %a% || $.v = %b% || $.v = %c% }"),
        ("unclosed JSON", "{ $.a = 1"),
        ("empty JSON", "{ }"),
        ("EXISTS", "{ $.v EXISTS }"),
        ("IS NOT", "{ $.v IS NOT NULL }"),
        ("==", "{ $.v == 1 }"),
        ("negation", "{ !($.v = 1) }"),
        ("AND", "{ $.v > 0 AND $.v < 2 }"),
        ("order of texts", "{ $.v > \"Alpha\" }"),
        ("no selector", "{ \"v\": [1] }"),
        ("no value", "{ $.v = }"),
        ("two wildcards in a selector", "{ $.items[*].* = 1 }"),
        (
            "four wildcard selectors",
            "{ $.a[*] = 1 || $.b[*] = 1 || $.c[*] = 1 || $.* = 1 }",
        ),
        ("recursive descent", "{ $..value = \"hit\" }"),
        ("negative index", "{ $.arr[-1] = 1 }"),
        ("slice", "{ $.arr[0:2] = 1 }"),
        ("text after JSON", "{ $.a = 1 } x"),
        ("unclosed fields", "[a, b"),
        ("no fields", "[]"),
        ("two ellipses", "[..., a, ...]"),
        ("unclosed parenthesis", "[(a = 1, b]"),
        ("name in an expression", "[a && a = 1]"),
    ] {
        let parsed = FilterPattern::parse(pattern);
        assert!(parsed.is_err(), "{name}: {parsed:?}");
    }
}

proptest! {
    #[test]
    fn any_text_is_parsed_and_asked_without_panic(
        pattern in "[\\[{]?[a$.*\\[\\](){}&|=<>!%\"\\\\?, 01éISNOT-]{0,40}[\\]}]?",
        message in "[a\"\\[\\]{}:, 01é\\\\]{0,40}",
    ) {
        if let Ok(parsed) = FilterPattern::parse(&pattern) {
            let matches = parsed.matches(&message);
            let extracted = parsed.extract(&message);
            // Space-delimited patterns extract from what they match only.
            let is_json = pattern.trim().starts_with('{');
            prop_assert!(matches || extracted.is_empty() || is_json);
        }
    }

    #[test]
    fn a_quoted_text_finds_itself(before in ".{0,9}", text in "[^\"\\\\]{1,20}", after in ".{0,9}") {
        let parsed = FilterPattern::parse(&format!("\"{text}\"")).expect("valid");
        let message = format!("{before}{text}{after}");
        prop_assert!(parsed.matches(&message));
    }
}
