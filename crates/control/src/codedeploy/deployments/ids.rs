//! Ids of deployments and of hook executions.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use neargate_aws_wire::error::ApiError;
use rand::Rng;

use super::errors;

const PREFIX: &str = "d-";
const ALPHABET: &[u8; 36] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789";
const CHARS: usize = 9;
/// Whoever has the id of an execution may answer for it, so it cannot be guessed.
const EXECUTION_BYTES: usize = 32;

/// `d-` and nine letters and digits, as in `d-75I7MBT7C`.
pub fn deployment(rng: &mut impl Rng) -> String {
    let chars = (0..CHARS).map(|_| char::from(ALPHABET[rng.random_range(0..ALPHABET.len())]));
    PREFIX.chars().chain(chars).collect()
}

/// Opaque to the function that gets it.
pub fn execution(rng: &mut impl Rng) -> String {
    URL_SAFE_NO_PAD.encode(rng.random::<[u8; EXECUTION_BYTES]>())
}

/// Refuses what can be no deployment's id.
pub fn check(id: &str) -> Result<(), ApiError> {
    let chars = id.strip_prefix(PREFIX);
    let valid = chars.is_some_and(|chars| {
        chars.len() == CHARS && chars.bytes().all(|byte| ALPHABET.contains(&byte))
    });
    match valid {
        true => Ok(()),
        false if id.is_empty() => Err(errors::deployment_id_required()),
        false => Err(errors::invalid_deployment_id(id)),
    }
}

#[cfg(test)]
mod tests {
    use rand::SeedableRng;
    use rand::rngs::StdRng;

    use super::*;

    #[test]
    fn a_deployments_id_has_aws_form() {
        let mut rng = StdRng::seed_from_u64(1);
        for _ in 0..100 {
            let id = deployment(&mut rng);
            assert!(check(&id).is_ok(), "{id}");
        }
        for (id, code) in [
            ("", "DeploymentIdRequiredException"),
            ("d-75I7MBT7", "InvalidDeploymentIdException"),
            ("d-75i7mbt7c", "InvalidDeploymentIdException"),
            ("x-75I7MBT7C", "InvalidDeploymentIdException"),
            ("d-75I7MBT/C", "InvalidDeploymentIdException"),
        ] {
            assert_eq!(check(id).unwrap_err().code, code, "{id}");
        }
    }

    #[test]
    fn executions_have_ids_of_their_own() {
        let mut rng = StdRng::seed_from_u64(1);
        let (first, second) = (execution(&mut rng), execution(&mut rng));
        assert_ne!(first, second);
        assert!(first.len() >= 43, "{first}");
    }
}
