//! Any text as an AppSpec: never a panic, and nothing in it that a deployment could not take.
#![no_main]

use libfuzzer_sys::fuzz_target;
use neargate_control::codedeploy::app_spec::{MAX_BYTES, parse};

fuzz_target!(|text: &str| {
    let Ok(spec) = parse(text) else { return };
    assert!(text.len() <= MAX_BYTES);
    assert!(spec.hooks.keys().all(|event| event.takes_hook()), "{text}");
    assert!(spec.service.container_port > 0, "{text}");
    let texts = [&spec.service.task_definition, &spec.service.container_name];
    assert!(
        texts
            .into_iter()
            .chain(spec.hooks.values())
            .all(|text| !text.is_empty()),
        "{text}"
    );
});
