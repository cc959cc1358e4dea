//! Access key ids carry the account that they belong to, here as on AWS: so a key that STS minted for a role of another
//! account is at home there without a lookup.
//!
//! The 16 characters after the prefix are base32 of 80 bits: one that is set, 40 with the account's number, 39 more.
//! Ours hold 23 random bits and 16 that check the rest, by which they are told from the keys of real AWS accounts
//! that a developer may have lying about.

/// Characters of an id after its prefix of four.
const BODY_CHARS: usize = 16;
const PREFIX_CHARS: usize = 4;
const BASE32: &[u8; 32] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";

/// Bits below the account's number.
const LOW_BITS: u32 = 39;
const CHECK_BITS: u32 = 16;
const ACCOUNT_MASK: u128 = (1 << 40) - 1;

/// Bits of randomness that an id takes.
pub const RANDOM_BITS: u32 = LOW_BITS - CHECK_BITS;

/// An id of that account, `ASIA...`, distinct for each value of the lowest [`RANDOM_BITS`] of `random`. `None`: the
/// account is no number.
pub fn temporary_id(account: &str, random: u32) -> Option<String> {
    let account: u128 = account
        .parse()
        .ok()
        .filter(|number| *number <= ACCOUNT_MASK)?;
    let random = u128::from(random) & ((1 << RANDOM_BITS) - 1);
    let upper = (1 << 40 | account) << RANDOM_BITS | random;
    let bits = upper << CHECK_BITS | u128::from(check(upper));
    let mut id = "ASIA".to_owned();
    for position in (0..BODY_CHARS).rev() {
        let digit = (bits >> (5 * position)) & 31;
        id.push(char::from(BASE32[digit as usize]));
    }
    Some(id)
}

/// The account that an id made by [`temporary_id`] belongs to. `None` for every other id.
pub fn minted_account(id: &str) -> Option<String> {
    let bits = body(id)?;
    let upper = bits >> CHECK_BITS;
    let checked = u128::from(check(upper)) == bits & ((1 << CHECK_BITS) - 1);
    (id.starts_with("ASIA") && checked).then(|| account_of_bits(bits))
}

/// The account in any id of AWS's form.
pub fn account(id: &str) -> Option<String> {
    body(id).map(account_of_bits)
}

fn account_of_bits(bits: u128) -> String {
    format!("{:012}", (bits >> LOW_BITS) & ACCOUNT_MASK)
}

fn body(id: &str) -> Option<u128> {
    let (prefix, body) = id.split_at_checked(PREFIX_CHARS)?;
    if body.len() != BODY_CHARS || !prefix.bytes().all(|b| b.is_ascii_uppercase()) {
        return None;
    }
    body.bytes().try_fold(0u128, |bits, c| {
        let digit = BASE32.iter().position(|known| *known == c)?;
        Some(bits << 5 | digit as u128)
    })
}

/// FNV-1a, folded: it only has to make accidents unlikely.
fn check(upper: u128) -> u16 {
    let hash = upper
        .to_be_bytes()
        .iter()
        .fold(0x811c_9dc5_u32, |hash, byte| {
            (hash ^ u32::from(*byte)).wrapping_mul(0x0100_0193)
        });
    (hash >> 16) as u16 ^ hash as u16
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn minted_ids_lead_back_to_their_account() {
        for account_number in ["000000000000", "123456789012", "999999999999"] {
            for random in [0, 1, (1 << RANDOM_BITS) - 1, u32::MAX] {
                let id = temporary_id(account_number, random).unwrap();
                assert_eq!(id.len(), 20, "{id}");
                assert!(id.bytes().all(|b| b.is_ascii_alphanumeric()), "{id}");
                assert_eq!(minted_account(&id).as_deref(), Some(account_number), "{id}");
                assert_eq!(account(&id).as_deref(), Some(account_number), "{id}");
            }
        }
        assert_ne!(temporary_id("1", 1), temporary_id("1", 2));
        assert_eq!(temporary_id("test", 1), None);
    }

    #[test]
    fn other_ids_are_not_ours() {
        for (name, id, in_form) in [
            // https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_identifiers.html
            (
                "AWS's example",
                "AKIAIOSFODNN7EXAMPLE",
                Some("581039954779"),
            ),
            (
                "temporary, of AWS",
                "ASIAQNZGKIQY56JQ7WML",
                Some("029608264753"),
            ),
            ("an account", "123456789012", None),
            ("not base32", "AKIA0000000000000000", None),
            ("empty", "", None),
            ("not ASCII", "ÄKIAIOSFODNN7EXAMPLE", None),
        ] {
            assert_eq!(minted_account(id), None, "{name}");
            assert_eq!(account(id).as_deref(), in_form, "{name}");
        }
    }
}
