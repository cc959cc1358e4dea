//! Transforms: rewriting the host and the URL before the action.

use neargate_aws_api::elbv2::types as api;
use neargate_aws_api::elbv2::types::TransformTypeEnum;
use neargate_aws_wire::error::ApiError;

use crate::elbv2::errors;
use crate::elbv2::listener_records::{Rewrite, Transforms};

/// Longest regular expression and replacement.
const MAX_CHARS: usize = 1024;

pub fn parse(transforms: Vec<api::RuleTransform>) -> Result<Transforms, ApiError> {
    let mut parsed = Transforms::default();
    for transform in transforms {
        let kind = transform.r#type;
        let host = transform.host_header_rewrite_config.map(|c| c.rewrites);
        let url = transform.url_rewrite_config.map(|c| c.rewrites);
        let (rewrites, place) = match (kind, host, url) {
            (TransformTypeEnum::HostHeaderRewrite, Some(rewrites), None) => {
                (rewrites, &mut parsed.host_header)
            }
            (TransformTypeEnum::UrlRewrite, None, Some(rewrites)) => (rewrites, &mut parsed.url),
            _ => {
                return Err(errors::validation(format!(
                    "A transform of type '{kind}' must have the configuration of that type only"
                )));
            }
        };
        let [rewrite] = &rewrites.unwrap_or_default()[..] else {
            return Err(errors::validation(format!(
                "A transform of type '{kind}' must have exactly one rewrite"
            )));
        };
        check(rewrite)?;
        let rewrite = Rewrite {
            regex: rewrite.regex.clone(),
            replace: rewrite.replace.clone(),
        };
        if place.replace(rewrite).is_some() {
            return Err(errors::validation(format!(
                "A rule can have at most one transform of type '{kind}'"
            )));
        }
    }
    Ok(parsed)
}

fn check(rewrite: &api::RewriteConfig) -> Result<(), ApiError> {
    let too_long = |text: &str| text.chars().count() > MAX_CHARS;
    if too_long(&rewrite.regex) || too_long(&rewrite.replace) {
        return Err(errors::validation(format!(
            "The regular expression or replacement of a transform is too long; the limit is '{MAX_CHARS}'"
        )));
    }
    match regex_lite::Regex::new(&rewrite.regex) {
        Ok(_) if !rewrite.regex.is_empty() => Ok(()),
        _ => Err(errors::validation(format!(
            "The transform's regular expression '{}' is not valid",
            rewrite.regex
        ))),
    }
}

pub fn view(transforms: &Transforms) -> Vec<api::RuleTransform> {
    let shown = |rewrite: &Rewrite| {
        Some(vec![api::RewriteConfig {
            regex: rewrite.regex.clone(),
            replace: rewrite.replace.clone(),
        }])
    };
    let host = transforms
        .host_header
        .iter()
        .map(|rewrite| api::RuleTransform {
            r#type: TransformTypeEnum::HostHeaderRewrite,
            host_header_rewrite_config: Some(api::HostHeaderRewriteConfig {
                rewrites: shown(rewrite),
            }),
            url_rewrite_config: None,
        });
    let url = transforms.url.iter().map(|rewrite| api::RuleTransform {
        r#type: TransformTypeEnum::UrlRewrite,
        host_header_rewrite_config: None,
        url_rewrite_config: Some(api::UrlRewriteConfig {
            rewrites: shown(rewrite),
        }),
    });
    host.chain(url).collect()
}
