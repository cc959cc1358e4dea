//! Random bits for trace ids: unlikely to meet, and no secret.

use std::cell::Cell;
use std::hash::{BuildHasher, Hasher, RandomState};

thread_local! {
    /// SplitMix64, from a start that differs by thread and process.
    static STATE: Cell<u64> = Cell::new(RandomState::new().build_hasher().finish());
}

fn next() -> u64 {
    let state = STATE.get().wrapping_add(0x9e37_79b9_7f4a_7c15);
    STATE.set(state);
    let mixed = (state ^ (state >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    mixed ^ (mixed >> 31)
}

pub fn bits() -> u128 {
    u128::from(next()) << 64 | u128::from(next())
}
