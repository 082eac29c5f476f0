//! How a step is divided among its workers: which range each one walks, and how many rows it may change.

use crate::plan::RuleFacts;
use crate::rows::Rows;
use crate::sql::Window;

/// Ranges that cover the whole table, for up to `lanes` workers, each with its part of the ceiling.
///
/// By key, a worker may change what is planned in its range, and a part of what the ceiling allows
/// beyond that. By pages nobody knows where the eligible rows are: all may change the same, and who has
/// used it up goes on with what the others leave. In the order of the clock there is one worker.
pub fn shares(facts: &RuleFacts, ceiling: Rows, lanes: u32) -> Vec<(Window, Rows)> {
    if let Some(pages) = facts.paying_pages() {
        let ranges = pages.split(lanes);
        let workers = i64::try_from(ranges.len().max(1)).unwrap_or(1);
        let parts = ranges.into_iter().enumerate();
        return parts
            .map(|(worker, range)| (range, ceiling.part(workers, worker == 0)))
            .collect();
    }
    if let Some(cutoff) = &facts.clock {
        return vec![(Window::of_clock(cutoff), ceiling)];
    }
    let bounds = facts.split(lanes);
    let workers = i64::try_from(bounds.len()).unwrap_or(0) + 1;
    let planned = facts.planned();
    let slack = (ceiling - planned).max(Rows::ZERO);
    let ceiling = ceiling.min(planned);
    let ends = bounds
        .into_iter()
        .map(|(key, rows)| (Some(key), rows.min(ceiling)))
        .chain(std::iter::once((None, ceiling)));
    let (mut after, mut before) = (None, Rows::ZERO);
    let mut shares = Vec::new();
    for (upto, end) in ends {
        let share = end - before + slack.part(workers, shares.is_empty());
        let range = Window {
            after: after.clone(),
            upto: upto.clone(),
        };
        shares.push((range, share));
        (after, before) = (upto, end);
    }
    shares
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::sql::{Counted, Pages};
    use crate::value::Value;

    /// Facts of a table that was counted in windows of so many own and related rows.
    fn facts(windows: &[(i64, i64)]) -> RuleFacts {
        let mut facts = RuleFacts {
            related: vec![0],
            ..RuleFacts::default()
        };
        for (n, (own, related)) in (1..).zip(windows) {
            facts.related[0] += related;
            let counted = Counted {
                total: *own,
                eligible: *own,
                ..Counted::default()
            };
            facts.add(&counted, Some(vec![Value::Int(n)]));
        }
        facts.add(&Counted::default(), None);
        facts
    }

    proptest! {
        #[test]
        fn workers_cover_the_key_once_and_share_the_whole_ceiling(
            windows in prop::collection::vec((0_i64..500, 0_i64..2_000), 0..40),
            lanes in 1_u32..17,
            slack in (-300_i64..2_000, -300_i64..2_000),
        ) {
            let facts = facts(&windows);
            let slack = Rows { own: slack.0, all: slack.1 };
            let ceiling = (facts.planned() + slack).max(Rows::ZERO);
            let shares = shares(&facts, ceiling, lanes);
            let sum = shares.iter().fold(Rows::ZERO, |sum, (_, rows)| sum + *rows);
            prop_assert_eq!(sum, ceiling);
            prop_assert!(shares.iter().all(|(_, rows)| Rows::ZERO.fit(*rows)), "{:?}", shares);
            prop_assert!(shares.len() <= usize::try_from(lanes).unwrap());
            prop_assert_eq!(&shares[0].0.after, &None);
            prop_assert_eq!(&shares[shares.len() - 1].0.upto, &None);
            for pair in shares.windows(2) {
                prop_assert!(pair[0].0.upto.is_some());
                prop_assert_eq!(&pair[0].0.upto, &pair[1].0.after);
            }
        }
    }

    #[test]
    fn workers_by_pages_share_the_whole_ceiling() {
        let mut facts = facts(&[(1_000, 0)]);
        facts.pages = Some(Pages(vec![1_000]));
        let ceiling = Rows {
            own: 1_001,
            all: 1_003,
        };
        let shares = shares(&facts, ceiling, 4);
        let sum = shares.iter().fold(Rows::ZERO, |sum, (_, rows)| sum + *rows);
        assert_eq!((shares.len(), sum), (4, ceiling));
    }
}
