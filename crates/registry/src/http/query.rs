//! Query parameters of the protocol, decoded; a name may come more than once.

use percent_encoding::percent_decode_str;

use super::errors::OciError;

/// Parameters that are looked at in one request.
const MAX_PARAMETERS: usize = 1024;

#[derive(Debug, Default, PartialEq, Eq)]
pub struct Query(Vec<(String, String)>);

impl Query {
    pub fn parse(text: Option<&str>) -> Self {
        let decode = |text: &str| {
            let text = text.replace('+', " ");
            percent_decode_str(&text).decode_utf8_lossy().into_owned()
        };
        let pairs = text
            .unwrap_or_default()
            .split('&')
            .filter(|pair| !pair.is_empty())
            .take(MAX_PARAMETERS)
            .map(|pair| {
                let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
                (decode(name), decode(value))
            });
        Self(pairs.collect())
    }

    pub fn get<'a>(&'a self, name: &'a str) -> Option<&'a str> {
        self.all(name).next()
    }

    pub fn all<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a str> {
        self.0
            .iter()
            .filter(move |(n, _)| n == name)
            .map(|(_, value)| value.as_str())
    }

    /// A page's size: `n`, at most `max`, which is also what a request without it gets.
    pub fn page_size(&self, max: usize) -> Result<usize, OciError> {
        match self.get("n") {
            None => Ok(max),
            Some(text) => match text.parse::<u64>() {
                Ok(n) => Ok(usize::try_from(n).unwrap_or(max).min(max)),
                Err(_) => Err(OciError::invalid_parameter("n must be a number")),
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parameters_are_decoded() {
        let query = Query::parse(Some(
            "n=5&last=a%2Fb&tag=x&tag=y&mount=sha256%3Aab&flag&&c=a+b",
        ));
        assert_eq!(query.page_size(10).ok(), Some(5));
        assert_eq!(query.get("last"), Some("a/b"));
        assert_eq!(query.all("tag").collect::<Vec<_>>(), ["x", "y"]);
        assert_eq!(query.get("mount"), Some("sha256:ab"));
        assert_eq!(query.get("flag"), Some(""));
        assert_eq!(query.get("c"), Some("a b"));
        assert_eq!(query.get("absent"), None);
        for (text, want) in [
            ("n=5000", Some(10)),
            ("n=99999999999999999999", None),
            ("n=-1", None),
            ("n=x", None),
            ("", Some(10)),
            ("n=0", Some(0)),
        ] {
            assert_eq!(Query::parse(Some(text)).page_size(10).ok(), want, "{text}");
        }
    }
}
