//! Any text as an image reference: never a panic, and what is taken means the same when it is written out again.
#![no_main]

use libfuzzer_sys::fuzz_target;
use neargate_node::images::ImageReference;

fuzz_target!(|text: &str| {
    let Ok(reference) = text.parse::<ImageReference>() else {
        return;
    };
    assert_eq!(
        reference.to_string().parse(),
        Ok(reference.clone()),
        "{text}"
    );
    // Both become part of a URL.
    let url_parts = [reference.host(), reference.repository()];
    for part in url_parts {
        assert!(
            !part.is_empty() && !part.contains(['?', '#', '@', '%', '\\', ' ']),
            "{text}"
        );
        assert!(
            part.split('/').all(|name| !matches!(name, "" | "." | "..")),
            "{text}"
        );
    }
});
