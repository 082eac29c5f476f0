//! How long a run takes, as far as anybody can know before its first batch.

use crate::target::Pacing;

/// Seconds for so many rows at the least: what the stated rate allows. `None`: the rate is measured
/// by the run itself.
pub fn seconds(rows: i64, pacing: &Pacing) -> Option<i64> {
    if rows == 0 {
        return Some(0);
    }
    let rate = i64::try_from(pacing.max_rows_per_second?).ok()?;
    rows.checked_div(rate)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::target::PacingMode;

    #[test]
    fn only_a_stated_rate_gives_a_time() {
        let mut pacing = Pacing {
            mode: PacingMode::Steady,
            batch_duration: Duration::from_millis(50),
            workers: 1,
            max_rows_per_second: None,
            lock_timeout: Duration::from_millis(100),
        };
        assert_eq!(seconds(1_000, &pacing), None);
        assert_eq!(seconds(0, &pacing), Some(0));
        pacing.max_rows_per_second = Some(300);
        assert_eq!(seconds(1_000, &pacing), Some(3));
        pacing.max_rows_per_second = Some(0);
        assert_eq!(seconds(1_000, &pacing), None);
    }
}
