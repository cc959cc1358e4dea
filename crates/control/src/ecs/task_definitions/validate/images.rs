//! Names of images. Whether there is such an image shows when a task pulls it.

use super::Verdict;

const MAX_CHARS: usize = 255;

/// Source: ContainerDefinition reference, image: "letters, numbers, hyphens, underscores, colons, periods, forward
/// slashes, and number signs"; `@` stands before a digest. A placeholder that nobody filled in has others.
pub fn check(image: &str) -> Verdict {
    if image.is_empty() {
        return Err("Container.image should not be null or empty.".to_owned());
    }
    if image.chars().count() > MAX_CHARS {
        return Err(format!(
            "Container.image should be {MAX_CHARS} characters or less."
        ));
    }
    let allowed = |b: u8| b.is_ascii_alphanumeric() || b"-_:./#@".contains(&b);
    if !image.bytes().all(allowed) {
        return Err("Container.image contains invalid characters.".to_owned());
    }
    Ok(())
}

/// `ACCOUNT.dkr.ecr.REGION.amazonaws.com/…`
pub fn is_of_ecr(image: &str) -> bool {
    let host = image.split('/').next().unwrap_or_default();
    host.contains(".dkr.ecr.") && host.ends_with(".amazonaws.com")
}
