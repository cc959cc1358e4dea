use super::body::{BadRequestBody, Body, request_body, response_body};
use super::*;

const CL: &str = "Content-Length";
const TE: &str = "Transfer-Encoding";

fn headers<'a>(pairs: &[(&'a str, &'a str)]) -> Vec<Header<'a>> {
    let header = |(name, value): &(&'a str, &'a str)| Header {
        name,
        value: value.as_bytes(),
    };
    pairs.iter().map(header).collect()
}

/// The classic smuggling matrix: how a head is classified, and how its body would be read.
#[test]
fn framing_is_classified_and_read() {
    use Reason::*;
    let unreadable = Err(BadRequestBody::Unreadable);
    for (name, method, pairs, reason, body) in [
        ("nothing", "GET", &[][..], None, Ok(Body::None)),
        ("a length", "POST", &[(CL, "5")], None, Ok(Body::Length(5))),
        (
            "chunked",
            "POST",
            &[(TE, "Chunked")],
            None,
            Ok(Body::Chunked),
        ),
        (
            "identity",
            "POST",
            &[(TE, "identity")],
            None,
            Ok(Body::None),
        ),
        (
            "CL.TE",
            "POST",
            &[(CL, "6"), (TE, "chunked")],
            Some(BothTeClPresent),
            Ok(Body::Chunked),
        ),
        (
            "TE.CL",
            "POST",
            &[(TE, "chunked"), (CL, "4")],
            Some(BothTeClPresent),
            Ok(Body::Chunked),
        ),
        (
            "two encodings",
            "POST",
            &[(TE, "chunked"), (TE, "x")],
            Some(BadTransferEncoding),
            unreadable,
        ),
        (
            "chunked twice",
            "POST",
            &[(TE, "chunked, chunked")],
            Some(MultipleTransferEncodingChunked),
            Ok(Body::Chunked),
        ),
        (
            "chunked in two lines",
            "POST",
            &[(TE, "chunked"), (TE, "chunked")],
            Some(MultipleTransferEncodingChunked),
            Ok(Body::Chunked),
        ),
        (
            "a letter before",
            "POST",
            &[(TE, "xchunked")],
            Some(BadTransferEncoding),
            unreadable,
        ),
        (
            "a control character",
            "POST",
            &[(TE, "\x0bchunked")],
            Some(BadTransferEncoding),
            unreadable,
        ),
        (
            "quoted",
            "POST",
            &[(TE, "\"chunked\"")],
            Some(BadTransferEncoding),
            unreadable,
        ),
        (
            "empty encoding",
            "POST",
            &[(TE, "")],
            Some(BadTransferEncoding),
            unreadable,
        ),
        (
            "a parameter",
            "POST",
            &[(TE, "chunked;q=1")],
            Some(BadTransferEncoding),
            unreadable,
        ),
        (
            "another encoding",
            "POST",
            &[(TE, "gzip, chunked")],
            None,
            Err(BadRequestBody::UnknownEncoding),
        ),
        (
            "one after chunked",
            "POST",
            &[(TE, "chunked, gzip")],
            None,
            Err(BadRequestBody::UnknownEncoding),
        ),
        (
            "same lengths",
            "POST",
            &[(CL, "5"), (CL, "5")],
            Some(DuplicateContentLength),
            Ok(Body::Length(5)),
        ),
        (
            "same lengths, one line",
            "POST",
            &[(CL, "5, 5")],
            Some(DuplicateContentLength),
            Ok(Body::Length(5)),
        ),
        (
            "other lengths",
            "POST",
            &[(CL, "5"), (CL, "6")],
            Some(MultipleContentLength),
            unreadable,
        ),
        (
            "a sign",
            "POST",
            &[(CL, "+5")],
            Some(BadContentLength),
            unreadable,
        ),
        (
            "negative",
            "POST",
            &[(CL, "-5")],
            Some(BadContentLength),
            unreadable,
        ),
        (
            "hexadecimal",
            "POST",
            &[(CL, "0x5")],
            Some(BadContentLength),
            unreadable,
        ),
        (
            "a space inside",
            "POST",
            &[(CL, "5 6")],
            Some(BadContentLength),
            unreadable,
        ),
        (
            "empty length",
            "POST",
            &[(CL, "")],
            Some(BadContentLength),
            unreadable,
        ),
        (
            "too large",
            "POST",
            &[(CL, "99999999999999999999")],
            Some(BadContentLength),
            unreadable,
        ),
        (
            "an underscore",
            "POST",
            &[("Transfer_Encoding", "chunked")],
            Some(SuspiciousHeader),
            Ok(Body::None),
        ),
        (
            "no dash",
            "POST",
            &[("contentlength", "5")],
            Some(SuspiciousHeader),
            Ok(Body::None),
        ),
        (
            "an underscore beside the true one",
            "POST",
            &[("Content_Length", "5"), (TE, "chunked")],
            Some(SuspiciousTeClPresent),
            Ok(Body::Chunked),
        ),
        (
            "a similar name",
            "POST",
            &[("X-Content-Length", "5")],
            None,
            Ok(Body::None),
        ),
        (
            "GET with nothing",
            "GET",
            &[(CL, "0")],
            Some(GetHeadZeroContentLength),
            Ok(Body::None),
        ),
        (
            "GET with a body",
            "GET",
            &[(CL, "5")],
            Some(UndefinedContentLengthSemantics),
            Ok(Body::Length(5)),
        ),
        (
            "HEAD with chunks",
            "HEAD",
            &[(TE, "chunked")],
            Some(UndefinedTransferEncodingSemantics),
            Ok(Body::Chunked),
        ),
        (
            "DELETE with a body",
            "DELETE",
            &[(CL, "5")],
            None,
            Ok(Body::Length(5)),
        ),
        (
            "not ASCII",
            "GET",
            &[("X-Name", "ü")],
            Some(NonCompliantHeader),
            Ok(Body::None),
        ),
        (
            "the worst counts",
            "GET",
            &[("X-Name", "ü"), (CL, "5"), (CL, "6")],
            Some(MultipleContentLength),
            unreadable,
        ),
    ] {
        let headers = headers(pairs);
        let head = RequestHead {
            method,
            target: "/",
            minor_version: 1,
            headers: &headers,
        };
        assert_eq!(classify(&head).reason, reason, "{name}");
        assert_eq!(request_body(&headers), body, "{name}");
    }
}

#[test]
fn version_and_target_count_too() {
    let chunked = headers(&[(TE, "chunked")]);
    let old = RequestHead {
        method: "POST",
        target: "/",
        minor_version: 0,
        headers: &chunked,
    };
    assert_eq!(
        classify(&old).reason,
        Some(Reason::UndefinedTransferEncodingSemantics)
    );
    let control = RequestHead {
        target: "/\u{1}",
        headers: &[],
        ..old
    };
    assert_eq!(classify(&control).reason, Some(Reason::AmbiguousUri));
}

#[test]
fn modes_treat_classes_as_aws_documents() {
    use DesyncMode::{Defensive, Monitor, Strictest};
    use Treatment::{Forward, ForwardAndClose, Refuse};
    for (reason, want) in [
        (None, [Forward, Forward, Forward]),
        (
            Some(Reason::GetHeadZeroContentLength),
            [Forward, Forward, Refuse],
        ),
        (
            Some(Reason::BothTeClPresent),
            [Forward, ForwardAndClose, Refuse],
        ),
        (
            Some(Reason::MultipleTransferEncodingChunked),
            [Forward, Refuse, Refuse],
        ),
    ] {
        let got = [Monitor, Defensive, Strictest].map(|mode| Verdict { reason }.treatment(mode));
        assert_eq!(got, want, "{reason:?}");
    }
}

#[test]
fn responses_end_where_they_say() {
    for (name, method, status, pairs, want) in [
        (
            "a length",
            "GET",
            200,
            &[(CL, "5")][..],
            Ok(Body::Length(5)),
        ),
        ("chunked", "GET", 200, &[(TE, "chunked")], Ok(Body::Chunked)),
        ("neither", "GET", 200, &[], Ok(Body::UntilClose)),
        ("HEAD", "HEAD", 200, &[(CL, "5")], Ok(Body::Length(5))),
        (
            "HEAD, chunked",
            "HEAD",
            200,
            &[(TE, "chunked")],
            Ok(Body::None),
        ),
        ("no content", "GET", 204, &[(CL, "5")], Ok(Body::None)),
        ("not modified", "GET", 304, &[], Ok(Body::None)),
        ("upgraded", "GET", 101, &[], Ok(Body::Upgraded)),
        (
            "both",
            "GET",
            200,
            &[(CL, "5"), (TE, "chunked")],
            Err(body::BadResponseBody),
        ),
        (
            "other lengths",
            "GET",
            200,
            &[(CL, "5"), (CL, "6")],
            Err(body::BadResponseBody),
        ),
        (
            "same lengths",
            "GET",
            200,
            &[(CL, "5"), (CL, "5")],
            Ok(Body::Length(5)),
        ),
        (
            "another encoding",
            "GET",
            200,
            &[(TE, "gzip")],
            Err(body::BadResponseBody),
        ),
        (
            "a length that is none",
            "GET",
            200,
            &[(CL, "five")],
            Err(body::BadResponseBody),
        ),
    ] {
        assert_eq!(
            response_body(method, status, &headers(pairs)),
            want,
            "{name}"
        );
    }
}
