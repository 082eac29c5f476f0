//! The arithmetic against a model that has every row.

use proptest::prelude::*;

use super::*;

#[derive(Clone, Copy, Debug, PartialEq)]
enum Sort {
    Done,
    Due,
    Going,
}

fn rows() -> impl Strategy<Value = Vec<(u8, Sort)>> {
    let sort = prop_oneof![Just(Sort::Done), Just(Sort::Due), Just(Sort::Going)];
    proptest::collection::vec((0_u8..6, sort), 0..60)
}

fn group(n: u8) -> Group {
    Group::read(&crate::value::Value::Text(format!("{n:032x}"))).unwrap()
}

fn counted(rows: &[(u8, Sort)]) -> Groups {
    let mut groups = Groups::default();
    for (n, sort) in rows {
        let one = |of| i64::from(*sort == of);
        groups.add(
            group(*n),
            Size {
                done: one(Sort::Done),
                due: one(Sort::Due),
                going: one(Sort::Going),
            },
        );
    }
    groups
}

/// Sizes of the groups of these rows.
fn sizes<'a>(rows: impl Iterator<Item = &'a (u8, Sort)>) -> Vec<i64> {
    let mut sizes = [0_i64; 6];
    for (n, _) in rows {
        sizes[usize::from(*n)] += 1;
    }
    sizes.into_iter().filter(|n| *n > 0).collect()
}

proptest! {
    #[test]
    fn leaving_small_groups_makes_none_and_only_old_ones_stay_small(
        rows in rows(),
        k in 2_i64..6,
    ) {
        let groups = counted(&rows);
        let weighed = groups.weigh(k, Below::Leave);
        let changed = |row: &&(u8, Sort)| row.1 == Sort::Due && groups.covers(group(row.0), k);
        let after = sizes(rows.iter().filter(|row| row.1 == Sort::Done || changed(row)));
        prop_assert_eq!(weighed.smallest, after.iter().min().copied());
        prop_assert_eq!(weighed.groups, i64::try_from(after.len()).unwrap());
        let below: i64 = after.iter().filter(|n| **n < k).sum();
        prop_assert_eq!(weighed.below, below);
        // Whatever is changed has company.
        for row in rows.iter().filter(changed) {
            let stays = |other: &&(u8, Sort)| {
                other.0 == row.0 && (other.1 == Sort::Done || changed(other))
            };
            let company = rows.iter().filter(stays).count();
            prop_assert!(i64::try_from(company).unwrap() >= k);
        }
        let left = rows
            .iter()
            .filter(|row| row.1 != Sort::Done && !groups.covers(group(row.0), k))
            .count();
        prop_assert_eq!(weighed.left, i64::try_from(left).unwrap());
    }

    #[test]
    fn a_refusal_is_due_exactly_where_a_row_would_join_a_small_group(
        rows in rows(),
        k in 2_i64..6,
    ) {
        let weighed = counted(&rows).weigh(k, Below::Refuse);
        let size = |n: u8| {
            let stays = |row: &&(u8, Sort)| row.0 == n && row.1 != Sort::Going;
            i64::try_from(rows.iter().filter(stays).count()).unwrap()
        };
        let joining = rows.iter().filter(|row| row.1 == Sort::Due && size(row.0) < k);
        prop_assert_eq!(weighed.joining, i64::try_from(joining.count()).unwrap());
        prop_assert_eq!(weighed.left, 0);
        let all = sizes(rows.iter().filter(|row| row.1 != Sort::Going));
        prop_assert_eq!(weighed.smallest, all.iter().min().copied());
    }

    #[test]
    fn the_order_of_the_windows_does_not_matter(mut rows in rows(), k in 2_i64..6) {
        let before = counted(&rows);
        rows.reverse();
        prop_assert_eq!(&before, &counted(&rows));
        let all = before.found(k, |_| true);
        let none = before.found(k, |_| false);
        prop_assert_eq!((all.0, all.1, none.1), (none.0, all.0.below, 0));
    }
}

#[test]
fn a_group_that_was_not_counted_covers_nobody() {
    let groups = counted(&[(1, Sort::Due), (1, Sort::Done)]);
    assert!(groups.covers(group(1), 2));
    assert!(!groups.covers(group(2), 2));
    assert!(!groups.covers(group(1), 3));
}

#[test]
fn no_digest_is_printed() {
    let groups = counted(&[(255, Sort::Due)]);
    let told = format!("{groups:?} {:?}", group(255));
    assert_eq!(told, "Groups(1) Group");
}
