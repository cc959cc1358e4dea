//! The file's text:
//!
//! ```json
//! {
//!   "functions": {
//!     "check-green": { "command": ["./check-green", "--quick"], "timeoutSeconds": 60 },
//!     "approve": { "url": "http://127.0.0.1:9000/approve" }
//!   }
//! }
//! ```

use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use reqwest::Url;
use serde::de::{Error as _, MapAccess, Visitor};
use serde::{Deserialize, Deserializer};

use crate::name::is_name;

/// Nobody writes more by hand.
pub const MAX_FILE_BYTES: u64 = 1 << 20;

/// Lambda's longest function runs a quarter of an hour; a hook of CodeDeploy may wait an hour for its answer.
const MAX_TIMEOUT_SECONDS: u64 = 3600;

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    #[serde(deserialize_with = "functions")]
    pub functions: BTreeMap<String, Function>,
}

/// What stands behind a name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Function {
    pub target: Target,
    /// Less than the caller allows, if given.
    pub timeout: Option<Duration>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Target {
    /// The payload is posted there.
    Url(Url),
    /// Run with the payload on standard input. A program with a `/` in its name is looked for from the file's
    /// directory, one without in `PATH`.
    Command {
        program: String,
        arguments: Vec<String>,
    },
}

#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    #[error("the functions file {path} cannot be read: {error}")]
    Read {
        path: PathBuf,
        error: std::io::Error,
    },
    #[error("the functions file {0} has more than {MAX_FILE_BYTES} bytes")]
    TooLarge(PathBuf),
    /// The error ends with line and column.
    #[error("the functions file {path}: {error}")]
    Text {
        path: PathBuf,
        error: serde_json::Error,
    },
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct FunctionText {
    url: Option<String>,
    command: Option<Vec<String>>,
    timeout_seconds: Option<u64>,
}

impl TryFrom<FunctionText> for Function {
    type Error = String;

    fn try_from(text: FunctionText) -> Result<Self, String> {
        let target = match (text.url, text.command) {
            (Some(url), None) => Target::Url(web_url(&url)?),
            (None, Some(words)) => command(words)?,
            _ => return Err("a function has either `url` or `command`".to_owned()),
        };
        let timeout = match text.timeout_seconds {
            Some(seconds) if !(1..=MAX_TIMEOUT_SECONDS).contains(&seconds) => {
                return Err(format!(
                    "`timeoutSeconds` is {seconds}; give 1 to {MAX_TIMEOUT_SECONDS}"
                ));
            }
            seconds => seconds.map(Duration::from_secs),
        };
        Ok(Self { target, timeout })
    }
}

fn web_url(text: &str) -> Result<Url, String> {
    let url = Url::parse(text).map_err(|error| format!("`url` is no URL: {error}"))?;
    match url.scheme() {
        "http" | "https" => Ok(url),
        scheme => Err(format!(
            "`url` begins with {scheme}:; only http: and https: can be invoked"
        )),
    }
}

fn command(words: Vec<String>) -> Result<Target, String> {
    if words.iter().any(|word| word.contains('\0')) {
        return Err("`command` has a NUL character in it".to_owned());
    }
    let mut words = words.into_iter();
    match words.next() {
        Some(program) if !program.is_empty() => Ok(Target::Command {
            program,
            arguments: words.collect(),
        }),
        _ => Err(
            "`command` is a list that begins with a program, such as [\"./check\", \"--quick\"]"
                .to_owned(),
        ),
    }
}

/// A map whose keys are names, each once: JSON would let the last of two win unseen.
fn functions<'de, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<BTreeMap<String, Function>, D::Error> {
    struct Names;

    impl<'de> Visitor<'de> for Names {
        type Value = BTreeMap<String, Function>;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("an object with a function per name")
        }

        fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
            let mut functions = BTreeMap::new();
            while let Some(name) = map.next_key::<String>()? {
                if !is_name(&name) {
                    return Err(A::Error::custom(format!(
                        "{name:?} is no function's name: write 1 to 64 letters, digits, - and _, and no ARN"
                    )));
                }
                let text: FunctionText = map.next_value()?;
                let function = Function::try_from(text)
                    .map_err(|error| A::Error::custom(format!("{name}: {error}")))?;
                if functions.insert(name.clone(), function).is_some() {
                    return Err(A::Error::custom(format!("{name} is there twice")));
                }
            }
            Ok(functions)
        }
    }

    deserializer.deserialize_map(Names)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_says_what_stands_behind_each_name() {
        let config: Config = serde_json::from_str(
            r#"{"functions": {
                "check": {"command": ["./check", "--quick"], "timeoutSeconds": 60},
                "approve": {"url": "http://127.0.0.1:9000/approve"}
            }}"#,
        )
        .unwrap();
        let check = Function {
            target: Target::Command {
                program: "./check".to_owned(),
                arguments: vec!["--quick".to_owned()],
            },
            timeout: Some(Duration::from_secs(60)),
        };
        let approve = Function {
            target: Target::Url(Url::parse("http://127.0.0.1:9000/approve").unwrap()),
            timeout: None,
        };
        assert_eq!(
            config.functions,
            BTreeMap::from([("check".to_owned(), check), ("approve".to_owned(), approve)])
        );
    }

    #[test]
    fn a_wrong_file_is_refused_with_line_and_remedy() {
        for (text, want) in [
            ("{", "EOF while parsing an object at line 1 column 1"),
            ("{}", "missing field `functions` at line 1 column 2"),
            (
                "{\"functions\": {\n\"a\": {}\n}}",
                "a: a function has either `url` or `command` at line 3 column 1",
            ),
            (
                "{\"functions\": {\n\"a\": {\"url\": \"http://x/\", \"command\": [\"x\"]}}}",
                "a: a function has either `url` or `command` at line 2 column 44",
            ),
            (
                "{\"functions\": {\"a\": {\"url\": \"ftp://x/\"}}}",
                "a: `url` begins with ftp:; only http: and https: can be invoked at line 1 column 40",
            ),
            (
                "{\"functions\": {\"a\": {\"url\": \"here\"}}}",
                "a: `url` is no URL: relative URL without a base at line 1 column 36",
            ),
            (
                "{\"functions\": {\"a\": {\"command\": []}}}",
                "a: `command` is a list that begins with a program, such as [\"./check\", \"--quick\"] at line 1 column 36",
            ),
            (
                "{\"functions\": {\"a\": {\"command\": [\"x\\u0000\"]}}}",
                "a: `command` has a NUL character in it at line 1 column 45",
            ),
            (
                "{\"functions\": {\"a\": {\"command\": \"x\"}}}",
                "invalid type: string \"x\", expected a sequence at line 1 column 35",
            ),
            (
                "{\"functions\": {\"a\": {\"command\": [\"x\"], \"timeoutSeconds\": 0}}}",
                "a: `timeoutSeconds` is 0; give 1 to 3600 at line 1 column 60",
            ),
            (
                "{\"functions\": {\"a\": {\"run\": [\"x\"]}}}",
                "unknown field `run`, expected one of `url`, `command`, `timeoutSeconds` at line 1 column 26",
            ),
            (
                "{\"functions\": {\n\"a b\": {\"command\": [\"x\"]}}}",
                "\"a b\" is no function's name: write 1 to 64 letters, digits, - and _, and no ARN at line 2 column 5",
            ),
            (
                "{\"functions\": {\"a\": {\"command\": [\"x\"]},\n\"a\": {\"command\": [\"y\"]}}}",
                "a is there twice at line 2 column 24",
            ),
        ] {
            let error = serde_json::from_str::<Config>(text).unwrap_err();
            assert_eq!(error.to_string(), want, "{text}");
        }
    }
}
