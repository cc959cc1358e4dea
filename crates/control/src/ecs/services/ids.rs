//! The identifiers of services' parts, in the forms that AWS gives them.

use rand::Rng;

/// `ecs-svc/` and 19 digits: a deployment, as tasks name it in `startedBy`.
pub fn deployment(rng: &mut impl Rng) -> String {
    format!("ecs-svc/{}", number(rng))
}

/// 19 digits: a service revision.
pub fn number(rng: &mut impl Rng) -> String {
    rng.random_range(1_000_000_000_000_000_000..=9_223_372_036_854_775_807_u64)
        .to_string()
}

/// 21 characters: a service deployment.
pub fn service_deployment(rng: &mut impl Rng) -> String {
    const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    (0..21)
        .map(|_| char::from(ALPHABET[rng.random_range(0..ALPHABET.len())]))
        .collect()
}

#[cfg(test)]
mod tests {
    use rand::SeedableRng;
    use rand::rngs::StdRng;

    use super::*;

    #[test]
    fn ids_have_the_forms_of_aws() {
        let mut rng = StdRng::seed_from_u64(7);
        let id = deployment(&mut rng);
        let digits = id.strip_prefix("ecs-svc/").expect("the prefix");
        assert_eq!(digits.len(), 19);
        assert!(digits.bytes().all(|b| b.is_ascii_digit()), "{id}");
        assert_eq!(service_deployment(&mut rng).len(), 21);
    }
}
