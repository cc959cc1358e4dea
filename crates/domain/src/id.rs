//! Identifiers in the forms that AWS gives them. Randomness comes from the caller's generator, so that planners and
//! tests can be deterministic.

use rand::Rng;

/// 32 hex digits: task ids, container instance ids.
pub fn hex32(rng: &mut impl Rng) -> String {
    format!("{:032x}", rng.random::<u128>())
}

/// `<prefix>-` and 17 hex digits: EC2's resource ids (`eni-`, `sg-`, `vpc-`).
pub fn ec2_id(prefix: &str, rng: &mut impl Rng) -> String {
    format!("{prefix}-{:017x}", rng.random::<u128>() & ((1 << 68) - 1))
}

/// A random (version 4) UUID: containers, attachments, requests.
pub fn uuid(rng: &mut impl Rng) -> String {
    uuid::Builder::from_random_bytes(rng.random())
        .into_uuid()
        .to_string()
}

/// Fargate's runtime id of a container: the task id, a dash and ten digits.
pub fn runtime_id(task_id: &str, rng: &mut impl Rng) -> String {
    format!("{task_id}-{:010}", rng.random_range(0..10_000_000_000u64))
}

/// Whether `text` has the form of a task id.
pub fn is_task_id(text: &str) -> bool {
    text.len() == 32
        && text
            .bytes()
            .all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b))
}

#[cfg(test)]
mod tests {
    use rand::SeedableRng;
    use rand::rngs::StdRng;

    use super::*;

    #[test]
    fn ids_have_the_forms_of_aws() {
        let mut rng = StdRng::seed_from_u64(7);
        let task = hex32(&mut rng);
        assert!(is_task_id(&task), "{task}");
        let eni = ec2_id("eni", &mut rng);
        assert_eq!(eni.len(), "eni-".len() + 17);
        assert!(runtime_id(&task, &mut rng).starts_with(&format!("{task}-")));
        assert_eq!(uuid(&mut rng).as_bytes()[14], b'4', "version 4");
        for (name, text, want) in [
            ("upper case", "0123456789ABCDEF0123456789ABCDEF", false),
            ("too short", "0123", false),
            ("an ARN", "arn:aws:ecs:us-east-1:1:task/c/0", false),
        ] {
            assert_eq!(is_task_id(text), want, "{name}");
        }
    }
}
