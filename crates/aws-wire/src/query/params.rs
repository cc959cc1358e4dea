//! `A.member.1.B=x&...` as a tree.

use std::collections::BTreeMap;

use percent_encoding::percent_decode;

/// Parameters of one request. The longest legitimate requests (hundreds of metric data with dimensions) stay far below.
pub(crate) const MAX_PARAMETERS: usize = 20_000;

/// Dots in one parameter name. The deepest EC2 input has about twelve.
pub(crate) const MAX_NAME_SEGMENTS: usize = 48;

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum ParamsError {
    #[error("The request has more than {MAX_PARAMETERS} parameters")]
    TooMany,
    #[error("A parameter name has more than {MAX_NAME_SEGMENTS} parts")]
    TooDeep,
    #[error("A parameter is not valid UTF-8 text after percent-decoding")]
    NotText,
}

/// The parameters below one name.
#[derive(Debug, Default, PartialEq)]
pub(crate) struct Params {
    pub(crate) value: Option<String>,
    children: BTreeMap<String, Params>,
}

impl Params {
    /// Adds `application/x-www-form-urlencoded` text: a body, or the query of a GET request.
    pub(crate) fn add_form(&mut self, form: &[u8]) -> Result<(), ParamsError> {
        for (name, value) in parse_pairs(form)? {
            let mut node = &mut *self;
            for (depth, segment) in name.split('.').enumerate() {
                if depth >= MAX_NAME_SEGMENTS {
                    return Err(ParamsError::TooDeep);
                }
                node = node.children.entry(segment.to_owned()).or_default();
            }
            node.value = Some(value);
        }
        Ok(())
    }

    pub(crate) fn get(&self, name: &str) -> Option<&Params> {
        self.children.get(name)
    }

    /// The text of a top-level parameter.
    pub(crate) fn text(&self, name: &str) -> Option<&str> {
        self.get(name)?.value.as_deref()
    }

    /// `Name=` or a name without a value: how an empty list or structure is sent.
    pub(crate) fn is_blank(&self) -> bool {
        self.children.is_empty() && self.value.as_deref().is_none_or(str::is_empty)
    }

    /// Numbered children in the order of their numbers; gaps do not count.
    pub(crate) fn numbered(&self) -> Vec<&Params> {
        let mut items: Vec<(u32, &Params)> = self
            .children
            .iter()
            .filter_map(|(name, node)| Some((name.parse().ok()?, node)))
            .collect();
        items.sort_by_key(|(number, _)| *number);
        items.into_iter().map(|(_, node)| node).collect()
    }
}

/// Splits and decodes form text, strictly.
pub(crate) fn parse_pairs(form: &[u8]) -> Result<Vec<(String, String)>, ParamsError> {
    let mut pairs = Vec::new();
    for pair in form.split(|b| *b == b'&').filter(|pair| !pair.is_empty()) {
        if pairs.len() == MAX_PARAMETERS {
            return Err(ParamsError::TooMany);
        }
        let at = pair.iter().position(|b| *b == b'=').unwrap_or(pair.len());
        let (name, value) = pair.split_at(at);
        pairs.push((
            decode_text(name)?,
            decode_text(value.get(1..).unwrap_or_default())?,
        ));
    }
    Ok(pairs)
}

fn decode_text(text: &[u8]) -> Result<String, ParamsError> {
    let spaced: Vec<u8> = text
        .iter()
        .map(|b| if *b == b'+' { b' ' } else { *b })
        .collect();
    let decoded: Vec<u8> = percent_decode(&spaced).collect();
    String::from_utf8(decoded).map_err(|_| ParamsError::NotText)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn decodes_forms() {
        for (name, form, want) in [
            ("plain", "a=b", Ok(vec![("a", "b")])),
            (
                "space and percent",
                "a+b=c%2Bd%20e",
                Ok(vec![("a b", "c+d e")]),
            ),
            ("no value", "a&b=", Ok(vec![("a", ""), ("b", "")])),
            ("value with equals", "a=b=c", Ok(vec![("a", "b=c")])),
            ("empty pairs", "&&a=b&", Ok(vec![("a", "b")])),
            ("not utf-8", "a=%ff", Err(ParamsError::NotText)),
            ("half an escape is itself", "a=%4", Ok(vec![("a", "%4")])),
        ] {
            let want = want.map(|pairs| {
                pairs
                    .into_iter()
                    .map(|(n, v)| (n.to_owned(), v.to_owned()))
                    .collect::<Vec<_>>()
            });
            assert_eq!(parse_pairs(form.as_bytes()), want, "{name}");
        }
    }

    #[test]
    fn limits_hold() {
        let mut params = Params::default();
        let deep = "a.".repeat(MAX_NAME_SEGMENTS) + "a=1";
        assert_eq!(params.add_form(deep.as_bytes()), Err(ParamsError::TooDeep));
        let many = "a&".repeat(MAX_PARAMETERS + 1);
        assert_eq!(params.add_form(many.as_bytes()), Err(ParamsError::TooMany));
    }

    #[test]
    fn numbers_sort_as_numbers() {
        let mut params = Params::default();
        params.add_form(b"L.10=c&L.2=b&L.1=a&L.x=no").unwrap();
        let list = params.get("L").unwrap().numbered();
        let texts: Vec<_> = list.iter().filter_map(|p| p.value.as_deref()).collect();
        assert_eq!(texts, ["a", "b", "c"]);
    }
}
