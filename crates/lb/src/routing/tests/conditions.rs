use super::*;
use api::condition::Condition as Proto;

fn values(values: &[&str]) -> api::Values {
    api::Values {
        values: values.iter().map(|value| (*value).to_owned()).collect(),
    }
}

fn regexes(values: &[&str]) -> api::Patterns {
    api::Patterns {
        values: Vec::new(),
        regex_values: self::values(values).values,
    }
}

fn query(key: Option<&str>, value: &str) -> Proto {
    Proto::QueryString(api::QueryStringCondition {
        pairs: vec![api::QueryStringPair {
            key: key.map(str::to_owned),
            value: value.to_owned(),
        }],
    })
}

fn http_header(name: &str, values: &[&str]) -> Proto {
    Proto::HttpHeader(api::HttpHeaderCondition {
        name: name.to_owned(),
        patterns: Some(patterns_of(values)),
    })
}

#[test]
fn conditions_match_as_aws_documents() {
    let host = |values: &[&str]| Proto::HostHeader(patterns_of(values));
    let path = |values: &[&str]| Proto::PathPattern(patterns_of(values));
    let method = |values: &[&str]| Proto::HttpRequestMethod(self::values(values));
    let source = |values: &[&str]| Proto::SourceIp(self::values(values));
    for (name, condition, request, want) in [
        (
            "host, any case, port ignored",
            host(&["A.example.com"]),
            "GET /",
            true,
        ),
        ("another host", host(&["b.example.com"]), "GET /", false),
        (
            "any value of a condition",
            host(&["b.c", "*.example.com"]),
            "GET /",
            true,
        ),
        (
            "host by expression",
            Proto::HostHeader(regexes(&["^A\\.exa"])),
            "GET /",
            true,
        ),
        ("path, case counts", path(&["/Img/*"]), "GET /img/a", false),
        ("path without query", path(&["/a"]), "GET /a?b=c", true),
        (
            "path after normalisation",
            path(&["/a/*"]),
            "GET /x/../%61/b",
            true,
        ),
        (
            "path by expression",
            Proto::PathPattern(regexes(&["^/v[0-9]+/"])),
            "GET /v12/x",
            true,
        ),
        (
            "path by expression, case counts",
            Proto::PathPattern(regexes(&["^/V"])),
            "GET /v12/x",
            false,
        ),
        (
            "header, any case",
            http_header("x-KIND", &["RED*"]),
            "GET /",
            true,
        ),
        (
            "header, second line of the name",
            http_header("x-kind", &["blue"]),
            "GET /",
            true,
        ),
        (
            "header that is not there",
            http_header("x-other", &["*"]),
            "GET /",
            false,
        ),
        ("method", method(&["POST", "GET"]), "GET /", true),
        ("GET does not match HEAD", method(&["GET"]), "HEAD /", false),
        ("method, case counts", method(&["get"]), "GET /", false),
        (
            "query by key",
            query(Some("Version"), "V1"),
            "GET /?a=b&version=v1",
            true,
        ),
        (
            "query of another key",
            query(Some("x"), "v1"),
            "GET /?version=v1",
            false,
        ),
        (
            "query of any key",
            query(None, "*example*"),
            "GET /?a=anexample",
            true,
        ),
        (
            "query, literal star",
            query(Some("a"), "\\*"),
            "GET /?a=*",
            true,
        ),
        (
            "query, literal star, other text",
            query(Some("a"), "\\*"),
            "GET /?a=b",
            false,
        ),
        ("no query", query(None, "*"), "GET /", false),
        ("source", source(&["203.0.113.0/24"]), "GET /", true),
        (
            "source is the peer, not a header",
            source(&["198.51.100.0/24"]),
            "GET /",
            false,
        ),
        (
            "a block of the other family",
            source(&["2001:db8::/32"]),
            "GET /",
            false,
        ),
    ] {
        let compiled = compile(&table(
            vec![fixed_rule(1, vec![condition]), fixed_rule(0, Vec::new())],
            Vec::new(),
        ));
        let listener = &compiled.endpoints().next().expect("a listener").listener;
        let headers = [
            header("Host", "a.EXAMPLE.com:8080"),
            header("X-Kind", "redder"),
            header("X-Forwarded-For", "198.51.100.1"),
            header("X-Kind", "Blue"),
        ];
        let (method, target) = request.split_once(' ').expect("method and target");
        let got = body_of(listener, &view(method, target, &headers));
        assert_eq!(got == "1", want, "{name}");
    }
}

#[test]
fn all_conditions_of_a_rule_must_match_and_the_first_rule_wins() {
    let rules = vec![
        fixed_rule(
            1,
            vec![
                Proto::PathPattern(patterns_of(&["/a/*"])),
                query(Some("x"), "1"),
            ],
        ),
        fixed_rule(2, vec![Proto::PathPattern(patterns_of(&["/a/*", "/b"]))]),
        fixed_rule(3, vec![Proto::PathPattern(patterns_of(&["/a/b"]))]),
        fixed_rule(0, Vec::new()),
    ];
    let compiled = compile(&table(rules, Vec::new()));
    let listener = &compiled.endpoints().next().expect("a listener").listener;
    for (target, want) in [
        ("/a/b?x=1", "1"),
        ("/a/b?x=2", "2"),
        ("/a/b", "2"),
        ("/b", "2"),
        ("/b/c", "0"),
        ("/", "0"),
        ("http://other.example.com/a/b", "2"),
    ] {
        assert_eq!(
            body_of(listener, &view("GET", target, &[])),
            want,
            "{target}"
        );
    }
}

#[test]
fn the_absolute_form_names_the_host() {
    let rules = vec![
        fixed_rule(1, vec![Proto::HostHeader(patterns_of(&["a.example.com"]))]),
        fixed_rule(0, Vec::new()),
    ];
    let compiled = compile(&table(rules, Vec::new()));
    let listener = &compiled.endpoints().next().expect("a listener").listener;
    let headers = [header("Host", "b.example.com")];
    assert_eq!(
        body_of(listener, &view("GET", "http://a.example.com:80", &headers)),
        "1"
    );
    assert_eq!(body_of(listener, &view("GET", "/", &headers)), "0");
    for target in ["", "b", "b.example.com:443", "*"] {
        let refused = RequestView::new(
            "GET",
            target,
            &[],
            crate::table::fixture::peer(),
            Scheme::Http,
            80,
        );
        assert!(refused.is_none(), "{target:?}");
    }
}

fn any_condition() -> impl Strategy<Value = Proto> {
    let host = proptest::collection::vec("([ab]\\.[ab]|\\*\\.[ab])", 1..3);
    let path = proptest::collection::vec("(/[ab]){1,2}(/\\*|\\*|/\\?)?", 1..3);
    let owned = |values: Vec<String>| api::Patterns {
        values,
        regex_values: Vec::new(),
    };
    prop_oneof![
        host.prop_map(move |values| Proto::HostHeader(owned(values))),
        path.prop_map(move |values| Proto::PathPattern(owned(values))),
    ]
}

proptest! {
    /// The index only saves work: the rule is the one that asking each in turn finds.
    #[test]
    fn the_index_finds_the_rule_that_a_walk_finds(
        rules in proptest::collection::vec(proptest::collection::vec(any_condition(), 0..3), 0..80),
        host in "[abAB]\\.[ab]",
        target in "(/[ab]){0,3}/?",
    ) {
        let target = if target.is_empty() { "/" } else { target.as_str() };
        let mut proto: Vec<api::Rule> = (1..).zip(rules).map(|(number, rule)| fixed_rule(number, rule)).collect();
        proto.push(fixed_rule(0, Vec::new()));
        let compiled = compile(&table(proto, Vec::new()));
        let listener = &compiled.endpoints().next().expect("a listener").listener;
        let headers = [header("host", &host)];
        let request = view("GET", target, &headers);
        let matching = |rule: &&Rule| rule.conditions.iter().all(|condition| condition.matches(&request, request.path));
        let walked = listener.rules.iter().find(matching).expect("the default rule");
        let found = route(listener, &request, &key(), 0).rule.expect("the default rule");
        prop_assert_eq!(found.priority, walked.priority);
    }
}
