//! Numbers without a pattern, the same in every process and on every machine.

/// What a counter is moved on by, to pass every number once (2^64 over the golden ratio).
pub(super) const GOLDEN: u64 = 0x9e37_79b9_7f4a_7c15;

/// A number in which each bit of `number` changes half the bits (the last steps of `SplitMix64`).
/// Choices of `source` depend on it: another function moves all clients.
pub(super) fn mix(number: u64) -> u64 {
    let number = (number ^ (number >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let number = (number ^ (number >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    number ^ (number >> 31)
}
