//! What the looks after the last sweep say of the rows that are left (P6).

use crate::report::Residual;

/// What was seen of the rows that are still eligible.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Left {
    /// Rows that a locking look passed over.
    pub locked: i64,
    /// Rows that nobody held.
    pub free: i64,
    /// Those of them that were free after each of the sweeps, which should have taken them.
    pub stuck: i64,
    /// Rows that the last sweeps passed by because something that hangs on them stayed locked.
    pub passed_by: i64,
    /// Rows that they passed by because what hangs on them does not go in one transaction.
    pub too_large: i64,
    /// Rows that a plain count of the table sees and the windows of the walk do not.
    pub overlooked: i64,
}

impl Left {
    /// Each row in its class.
    pub fn classed(self) -> Residual {
        let Self {
            locked,
            free,
            stuck,
            passed_by,
            too_large,
            overlooked,
        } = self;
        let too_large = stuck.min(too_large);
        let held_up = (stuck - too_large).min(passed_by);
        let unexplained = overlooked.max(stuck - too_large - held_up);
        Residual {
            held: 0,
            kept: 0,
            locked: locked + held_up,
            too_large,
            small_groups: 0,
            newly_eligible: (free - too_large - held_up - unexplained).max(0),
            unexplained,
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn every_row_is_in_one_class(
            locked in 0_i64..50,
            (free, stuck) in (0_i64..50).prop_flat_map(|free| (Just(free), 0..=free)),
            passed_by in 0_i64..50,
            too_large in 0_i64..50,
        ) {
            let left = Left { locked, free, stuck, passed_by, too_large, overlooked: 0 };
            let classed = left.classed();
            prop_assert_eq!(classed.rows(), locked + free);
            prop_assert!(classed.classes().iter().all(|(rows, _)| *rows >= 0));
            let explained = passed_by + too_large >= stuck;
            prop_assert_eq!(classed.unexplained == 0, explained);
        }
    }

    #[test]
    fn what_only_a_plain_count_sees_is_unexplained() {
        let left = Left {
            free: 3,
            overlooked: 5,
            ..Left::default()
        };
        let classed = left.classed();
        assert_eq!((classed.unexplained, classed.newly_eligible), (5, 0));
    }
}
