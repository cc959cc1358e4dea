//! What a head says about its connection, and which fields belong to one connection only.

use crate::routing::Header;

/// The `Connection` fields of a head.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ConnectionOptions {
    pub close: bool,
    pub keep_alive: bool,
    pub upgrade: bool,
    /// Names other fields, which then are not forwarded.
    pub names_fields: bool,
}

/// Reads all `Connection` fields.
pub fn connection_options(headers: &[Header<'_>]) -> ConnectionOptions {
    let mut options = ConnectionOptions::default();
    for option in tokens(headers, "connection") {
        match option {
            b"" => {}
            _ if option.eq_ignore_ascii_case(b"close") => options.close = true,
            _ if option.eq_ignore_ascii_case(b"keep-alive") => options.keep_alive = true,
            _ if option.eq_ignore_ascii_case(b"upgrade") => options.upgrade = true,
            _ => options.names_fields = true,
        }
    }
    options
}

/// Whether the client waits for a 100 before it sends its body.
pub fn expects_continue(headers: &[Header<'_>]) -> bool {
    tokens(headers, "expect").any(|value| value.eq_ignore_ascii_case(b"100-continue"))
}

/// The protocol that the client (or, in a 101, the target) changes to.
pub fn upgrade<'a>(headers: &'a [Header<'a>]) -> Option<&'a [u8]> {
    let wanted = connection_options(headers).upgrade;
    let field = headers
        .iter()
        .find(|header| header.name.eq_ignore_ascii_case("upgrade"))?;
    wanted.then_some(field.value)
}

/// Whether a field's name stands in a `Connection` field.
pub(super) fn is_named(headers: &[Header<'_>], name: &str) -> bool {
    tokens(headers, "connection").any(|option| option.eq_ignore_ascii_case(name.as_bytes()))
}

/// The members of a comma-separated field, over all its lines.
pub(crate) fn tokens<'a>(
    headers: &'a [Header<'a>],
    name: &'static str,
) -> impl Iterator<Item = &'a [u8]> {
    headers
        .iter()
        .filter(move |header| header.name.eq_ignore_ascii_case(name))
        .flat_map(|header| header.value.split(|byte| *byte == b','))
        .map(<[u8]>::trim_ascii)
}
