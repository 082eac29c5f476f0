//! Waiting on a condition with a deadline: the only way in which the suite lets time pass.

use std::time::{Duration, Instant};

use anyhow::{Result, bail};

/// How long anything may take that has no reason to be slow on a busy machine.
pub(crate) const PATIENCE: Duration = Duration::from_mins(1);

/// Asks again and again until `look` has an answer. `look` says `Err` for what can never become
/// right, and `Ok(Err(text))` for what it saw instead, which the message at the deadline repeats.
pub(crate) fn wait_for<T>(
    what: &str,
    deadline: Duration,
    mut look: impl FnMut() -> Result<std::result::Result<T, String>>,
) -> Result<T> {
    let end = Instant::now() + deadline;
    let mut pause = Duration::from_millis(50);
    loop {
        let seen = match look()? {
            Ok(answer) => return Ok(answer),
            Err(seen) => seen,
        };
        if Instant::now() >= end {
            bail!(
                "waited {} s in vain until {what}; last seen: {seen}",
                deadline.as_secs()
            );
        }
        std::thread::sleep(pause);
        pause = (pause * 3 / 2).min(Duration::from_millis(500));
    }
}
