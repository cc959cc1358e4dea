//! Which patterns of the models in use cannot be enforced here, so that services check those members themselves.

use std::fs;
use std::path::Path;

use neargate_aws_wire::validate::pattern_compiles;
use serde_json::Value as Json;

/// `service.Shape`. Should one be added, its service must check the member by itself.
const SKIPPED: &[&str] = &["acm.DomainNameString"];

#[test]
fn patterns_that_are_skipped_are_known() {
    let models = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../models");
    let mut skipped = Vec::new();
    let mut patterns = 0;
    for entry in fs::read_dir(models).expect("models/ holds the trimmed models") {
        let path = entry.expect("readable").path();
        if path.extension().is_none_or(|extension| extension != "json") {
            continue;
        }
        let model: Json =
            serde_json::from_slice(&fs::read(&path).expect("readable")).expect("JSON");
        let service = path
            .file_stem()
            .unwrap_or_default()
            .to_string_lossy()
            .into_owned();
        for (name, shape) in model["shapes"].as_object().into_iter().flatten() {
            if let Some(pattern) = shape["pattern"].as_str() {
                patterns += 1;
                if !pattern_compiles(pattern) {
                    skipped.push(format!("{service}.{name}: {pattern}"));
                }
            }
        }
    }
    skipped.sort();
    assert!(
        patterns > 50,
        "only {patterns} patterns found: where are the models?"
    );
    let names: Vec<&str> = skipped.iter().filter_map(|s| s.split(':').next()).collect();
    assert_eq!(names, SKIPPED, "{skipped:#?}");
}
