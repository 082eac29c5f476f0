//! The pace against a simulated server: every transaction pays a fixed cost, every row one of its
//! own, and some batches meet noise.

use std::time::Duration;

use oubliette_core::run::{BATCHES_PER_PART, MOST_CHANGED, Pace, PaceSettings, Unit};
use proptest::prelude::*;

const TARGET: f64 = 50.0;
/// Fewest and most rows of a window whose rows are all eligible.
const LEAST: f64 = 60.0;
const MOST: f64 = 5_000.0;
/// Bytes of the log a second.
const LOG: f64 = 25_000_000.0;

fn pace(rate: Option<f64>, limited: bool) -> Pace {
    Pace::new(PaceSettings {
        unit: Unit::Rows,
        target: Duration::from_secs_f64(TARGET / 1_000.0),
        rate,
        limited,
        most_changed: MOST_CHANGED,
        part: BATCHES_PER_PART,
    })
}

/// A server that takes `fixed + cost · rows` milliseconds for a batch.
#[derive(Clone, Copy, Debug)]
struct Server {
    fixed: f64,
    cost: f64,
}

impl Server {
    fn takes(self, rows: f64) -> f64 {
        self.fixed + self.cost * rows
    }

    /// How long a batch may be: the target, or, where the fixed cost takes the most of it up, half as
    /// long again as the longer of the two.
    fn longest(self) -> f64 {
        TARGET.max(self.fixed + TARGET.max(self.fixed) / 2.0)
    }

    /// Rows a second where batches are as long as they may be.
    fn best(self) -> f64 {
        let left = self.longest() - self.fixed;
        let rows = (left / self.cost).clamp(LEAST, MOST);
        1_000.0 * rows / self.takes(rows)
    }
}

/// One batch, `noise` times as long as usual. Rows, milliseconds it took, and the wait after it.
fn batch(pace: &mut Pace, server: Server, noise: f64) -> (f64, f64, Duration) {
    let width = pace.width();
    let rows = f64::from(width);
    let ms = server.takes(rows) * noise;
    let elapsed = Duration::from_secs_f64(ms / 1_000.0);
    let wait = pace.took(width, i64::from(width), elapsed, true);
    (rows, ms, wait)
}

/// Rows a second over these batches.
fn throughput(pace: &mut Pace, server: Server, noise: impl IntoIterator<Item = f64>) -> f64 {
    let (mut rows, mut ms) = (0.0, 0.0);
    for noise in noise {
        let (some, took, _) = batch(pace, server, noise);
        rows += some;
        ms += took;
    }
    1_000.0 * rows / ms
}

fn server() -> impl Strategy<Value = Server> {
    // From a tenth of a millisecond to a second, and from a microsecond to two milliseconds.
    (-1.0..3.0_f64, -3.0..0.3_f64).prop_map(|(fixed, cost)| Server {
        fixed: 10_f64.powf(fixed),
        cost: 10_f64.powf(cost),
    })
}

/// From 0.8 to 1.6 times as long as usual.
fn noise(seed: u64) -> Vec<f64> {
    let mut state = seed | 1;
    let mut next = || {
        // Knuth's MMIX generator; its upper bits are good enough.
        state = state
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        f64::from(u32::try_from(state >> 32).unwrap_or(0)) / f64::from(u32::MAX)
    };
    (0..300).map(|_| 0.8 + 0.8 * next()).collect()
}

proptest! {
    #[test]
    fn throughput_ends_near_the_best_that_the_target_allows(server in server()) {
        let mut pace = pace(None, false);
        throughput(&mut pace, server, [1.0; 60]);
        let reached = throughput(&mut pace, server, [1.0; 100]);
        prop_assert!(reached >= 0.85 * server.best(), "{reached} of {}", server.best());
    }

    #[test]
    fn a_batch_is_no_longer_than_the_target_and_what_cannot_be_narrowed(server in server()) {
        let mut pace = pace(None, false);
        throughput(&mut pace, server, [1.0; 60]);
        let longest = server.longest().max(server.takes(1.15 * LEAST));
        for _ in 0..100 {
            let (_, ms, _) = batch(&mut pace, server, 1.0);
            prop_assert!(ms <= 1.25 * longest, "{ms} of {longest}");
        }
    }

    #[test]
    fn noise_does_not_collapse_it(
        server in server(),
        seed in any::<u64>(),
    ) {
        let mut pace = pace(None, false);
        let noise = noise(seed);
        let mean = noise.iter().sum::<f64>() / 300.0;
        throughput(&mut pace, server, noise[..100].iter().copied());
        let reached = throughput(&mut pace, server, noise[100..].iter().copied()) * mean;
        prop_assert!(reached >= 0.5 * server.best(), "{reached} of {}", server.best());
    }

    #[test]
    fn a_single_stall_is_forgotten(server in server(), stall in 2.0..200.0_f64) {
        let mut pace = pace(None, false);
        throughput(&mut pace, server, [1.0; 60]);
        batch(&mut pace, server, stall);
        throughput(&mut pace, server, [1.0; 25]);
        let reached = throughput(&mut pace, server, [1.0; 50]);
        prop_assert!(reached >= 0.8 * server.best(), "{reached} of {}", server.best());
    }

    #[test]
    fn it_follows_a_server_that_changes(before in server(), after in server()) {
        let mut pace = pace(None, false);
        throughput(&mut pace, before, [1.0; 80]);
        throughput(&mut pace, after, [1.0; 80]);
        let reached = throughput(&mut pace, after, [1.0; 100]);
        prop_assert!(reached >= 0.75 * after.best(), "{reached} of {}", after.best());
    }

    #[test]
    fn the_default_rate_is_a_share_of_what_the_server_does(server in server()) {
        let mut pace = pace(None, true);
        let (mut rows, mut seconds) = (0.0, 0.0);
        for n in 0..400 {
            let (some, ms, wait) = batch(&mut pace, server, 1.0);
            if n >= 60 {
                rows += some;
                seconds += ms / 1_000.0 + wait.as_secs_f64();
            }
        }
        let rate = rows / seconds;
        // Never below 100 rows a second.
        prop_assert!(rate <= (0.42 * server.best()).max(101.0), "{rate} of {}", server.best());
        prop_assert!(rate >= 0.17 * server.best(), "{rate} of {}", server.best());
    }
}

#[test]
fn narrow_windows_where_only_the_fixed_cost_is_long_are_left_again() {
    // 83 ms for 50 rows: 600 rows a second for ever.
    let server = Server {
        fixed: 83.0,
        cost: 0.002,
    };
    let mut pace = pace(None, false);
    throughput(&mut pace, server, [1.0; 40]);
    assert!(pace.width() >= 4_000, "{}", pace.width());
}

#[test]
fn a_batch_changes_at_most_five_thousand_rows_and_a_sparse_window_grows_wide() {
    let mut dense = pace(None, false);
    let mut sparse = pace(None, false);
    for _ in 0..60 {
        let width = dense.width();
        dense.took(width, i64::from(width), Duration::from_millis(1), true);
        let width = sparse.width();
        sparse.took(width, 0, Duration::from_millis(1), true);
    }
    assert!(
        (4_900..=5_000).contains(&dense.width()),
        "{}",
        dense.width()
    );
    assert_eq!(sparse.width(), 50_000);
    // The first dense window after sparse ones is the last wide one.
    sparse.took(50_000, 50_000, Duration::from_millis(40), true);
    assert_eq!(sparse.width(), 5_000);
}

#[test]
fn a_stated_rate_spreads_batches_evenly() {
    let mut even = pace(Some(1_000.0), true);
    let wait = even.took(200, 200, Duration::from_millis(20), true);
    assert_eq!(wait, Duration::from_millis(180));
    for _ in 0..40 {
        let width = even.width();
        assert!(width <= 1_000, "{width}");
        even.took(width, i64::from(width), Duration::from_millis(1), true);
    }
    // A low one narrows windows below what is usual, and is kept.
    let mut slow = pace(Some(0.5), true);
    assert_eq!(slow.width(), 1);
    let wait = slow.took(1, 1, Duration::from_millis(10), true);
    assert_eq!(wait, Duration::from_millis(1_990));
}

#[test]
fn the_default_rate_is_measured_unpaced_raised_slowly_and_cut_by_locks() {
    let server = Server {
        fixed: 1.0,
        cost: 0.01,
    };
    let mut pace = pace(None, true);
    let mut rows = 0.0;
    let first = loop {
        let (some, ms, wait) = batch(&mut pace, server, 1.0);
        if rows >= 5_000.0 {
            break wait.as_secs_f64() * 1_000.0 / ms;
        }
        assert_eq!(wait, Duration::ZERO);
        rows += some;
    };
    // A fifth of the time is worked: the wait is four times the work.
    assert!((3.5..4.3).contains(&first), "{first}");
    for _ in 0..400 {
        batch(&mut pace, server, 1.0);
    }
    let share = |pace: &mut Pace| {
        let (_, ms, wait) = batch(pace, server, 1.0);
        ms / (ms + wait.as_secs_f64() * 1_000.0)
    };
    let most = share(&mut pace);
    assert!((0.38..0.42).contains(&most), "{most}");
    pace.locked();
    let cut = share(&mut pace);
    assert!((0.18..0.22).contains(&cut), "{cut}");
    for _ in 0..20 {
        pace.locked();
    }
    let least = share(&mut pace);
    assert!((0.045..0.055).contains(&least), "{least}");
}

#[test]
fn windows_with_hardly_an_eligible_row_are_not_taken_for_slowness() {
    let mut pace = pace(None, true);
    // Two seconds of looking through rows of which one in a thousand is eligible, then all are.
    for _ in 0..40 {
        let width = pace.width();
        pace.took(
            width,
            i64::from(width) / 1_000,
            Duration::from_millis(50),
            true,
        );
    }
    let server = Server {
        fixed: 1.0,
        cost: 0.01,
    };
    let (mut rows, mut seconds) = (0.0, 0.0);
    for _ in 0..20 {
        let (some, ms, wait) = batch(&mut pace, server, 1.0);
        rows += some;
        seconds += ms / 1_000.0 + wait.as_secs_f64();
    }
    let share = rows / seconds / server.best();
    assert!(share >= 0.15, "{share}");
}

#[test]
fn backlog_never_waits() {
    let mut pace = pace(Some(1.0), false);
    let wait = pace.took(200, 200, Duration::from_millis(20), true);
    assert_eq!(wait, Duration::ZERO);
}

proptest! {
    /// Every commit of the application waits for what is in the log before it. What others write is counted in, and
    /// makes a batch wait for a second at the most.
    #[test]
    fn steady_rests_for_what_is_written_to_the_log(server in server(), wrote in 0_u32..200_000_000) {
        let mut pace = pace(None, true);
        for _ in 0..200 {
            pace.wrote(u64::from(wrote));
            let (rows, ms, wait) = batch(&mut pace, server, 1.0);
            let for_log = (f64::from(wrote) / LOG).min(1.0);
            let took = ms / 1_000.0 + wait.as_secs_f64();
            prop_assert!(took >= for_log - 0.000_001, "{wrote} bytes in {took} s");
            let most = for_log.max(rows / 100.0);
            prop_assert!(wait.as_secs_f64() <= most, "{wait:?} after {rows} rows");
        }
    }
}

/// Where the log is what holds it back, all of it is used.
#[test]
fn what_the_log_may_be_given_is_used() {
    for fixed in [1.0, 20.0] {
        let server = Server { fixed, cost: 0.001 };
        let mut pace = pace(None, true);
        let (mut log, mut seconds) = (0.0, 0.0);
        for n in 0..100 {
            pace.wrote(800 * u64::from(pace.width()));
            let (rows, ms, wait) = batch(&mut pace, server, 1.0);
            if n >= 30 {
                log += 800.0 * rows;
                seconds += ms / 1_000.0 + wait.as_secs_f64();
            }
        }
        let share = log / seconds / LOG;
        assert!((0.95..1.001).contains(&share), "{fixed}: {share}");
    }
}

/// Beside an application a window is at the most half as wide again as the one before; where nobody waits a
/// table is not gone before they are wide.
#[test]
fn windows_widen_fourfold_where_nobody_waits() {
    let quick = Server {
        fixed: 1.0,
        cost: 0.001,
    };
    for (limited, factor) in [(true, 1.5), (false, 4.0)] {
        let mut pace = pace(None, limited);
        for _ in 0..2 {
            let (before, ..) = batch(&mut pace, quick, 1.0);
            let wider = f64::from(pace.width()) / before;
            assert!((wider - factor).abs() < 0.01, "{limited}: {wider}");
        }
    }
}
