//! How long to wait before something that failed is tried again. No clock and no randomness in it: the
//! caller passes both.

use std::time::Duration;

/// The pause after the `count`-th failure: `first`, doubled with each further one up to `most`. `jitter`,
/// between 0 and 1, takes up to a quarter away, so that a thousand who met one restarted server do not
/// come back in one instant.
pub fn pause(count: u32, first: Duration, most: Duration, jitter: f64) -> Duration {
    let doublings = count.saturating_sub(1).min(16);
    let full = first.saturating_mul(1 << doublings).min(most);
    full.mul_f64(1.0 - 0.25 * jitter.clamp(0.0, 1.0))
}
