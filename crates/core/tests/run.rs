//! The run machine over random schedules of crashes, lost and late commits, locks and takeovers:
//! in the end every row was changed once, and the count equals the rows changed.

#![expect(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test that meets one has failed"
)]

use std::collections::BTreeMap;
use std::time::Duration;

use oubliette_core::api::reason::Reason;
use oubliette_core::rows::Rows;
use oubliette_core::run::{
    BATCHES_PER_PART, Directive, Form, Halt, Lane, MOST_CHANGED, Order, Outcome, Pace,
    PaceSettings, Saved, Style, Unit,
};
use oubliette_core::sql::{Pages, Window};
use oubliette_core::value::{Key, Value};
use proptest::prelude::*;

/// Rows of a page.
const ON_A_PAGE: u32 = 10;

/// What the world does to one transaction.
#[derive(Clone, Copy, Debug)]
enum Fate {
    Commits,
    MeetsLock,
    FailsPassingly,
    /// COMMIT is sent, the answer is lost, and it was committed.
    LostButDone,
    /// COMMIT is sent, the answer is lost, and it was not committed.
    LostAndGone,
    /// The process dies before COMMIT; another takes over.
    Crash,
    /// The process is paused with its transaction open, another takes over, and then it goes on.
    StaleFence,
    /// A hold is placed while the batch is under way.
    HoldPlaced,
    TooMany,
    /// The application updates some rows, which move to other pages; then it commits.
    Moves(u64),
}

/// The database: rows, and the checkpoint.
struct World {
    /// Key to how often it was changed.
    rows: BTreeMap<i64, u32>,
    /// The page on which each row lies.
    lies: BTreeMap<i64, u32>,
    saved: Saved,
    /// A transaction whose answer was lost and whose end is not decided yet.
    in_flight: Option<(Order, Vec<i64>, Option<Key>)>,
}

impl World {
    fn over(rows: BTreeMap<i64, u32>, saved: Saved) -> Self {
        let lies = (0_u32..).zip(rows.keys()).map(|(n, k)| (*k, n / ON_A_PAGE));
        Self {
            lies: lies.collect(),
            rows,
            saved,
            in_flight: None,
        }
    }

    fn pages(&self) -> Pages {
        let rows = u32::try_from(self.rows.len()).unwrap();
        Pages(vec![rows / ON_A_PAGE + 1])
    }

    /// Every third row or so moves to any page, before, behind or at the walk.
    fn moves(&mut self, seed: u64) {
        let pages = u64::try_from(self.lies.len()).unwrap() / u64::from(ON_A_PAGE) + 3;
        let mut state = seed | 1;
        for page in self.lies.values_mut() {
            state = state
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1);
            if (state >> 33).is_multiple_of(4) {
                *page = u32::try_from((state >> 35) % pages).unwrap();
            }
        }
    }

    fn paged(&self, order: &Order) -> Option<(Vec<i64>, Option<Key>)> {
        order.window.pages()?;
        let step = self.pages().step(&order.window, order.width);
        let Some(step) = step else {
            return Some((Vec::new(), None));
        };
        let (from, to) = step.window.pages()?;
        let within = |k: &i64| (from.block..to.block).contains(&self.lies[k]);
        let eligible = |k: &i64| within(k) && self.rows[k] == 0 && !order.pass_by;
        let keys = self.rows.keys().copied().filter(eligible).collect();
        Some((keys, step.reached))
    }

    fn window(&self, order: &Order) -> (Vec<i64>, Option<Key>) {
        if let Some(paged) = self.paged(order) {
            return paged;
        }
        let after = bound(order.window.after.as_ref()).unwrap_or(i64::MIN);
        let upto = bound(order.window.upto.as_ref()).unwrap_or(i64::MAX);
        let keys: Vec<i64> = self
            .rows
            .keys()
            .copied()
            .filter(|k| *k > after && *k <= upto)
            .collect();
        let width = usize::try_from(order.width).unwrap();
        let reached = keys.get(width - 1).map(|k| vec![Value::Int(*k)]);
        let taken = keys.into_iter().take(width);
        // Changed rows are gone: a second visit does not find them.
        let eligible = taken
            .filter(|k| self.rows[k] == 0 && !order.pass_by)
            .collect();
        (eligible, reached)
    }

    /// The fence and the commit: all or nothing.
    fn commit(&mut self, order: &Order, eligible: &[i64], reached: Option<Key>) -> bool {
        let changed = i64::try_from(eligible.len()).unwrap();
        let s = &mut self.saved;
        let passes = s.epoch == order.epoch
            && s.seq == order.seq
            && s.hold_gen == order.hold_gen
            && s.part == order.part
            && (s.done + Rows::own(changed)).fit(s.ceiling);
        if passes {
            s.seq += 1;
            s.done += Rows::own(changed);
            s.walked = reached.is_none();
            s.cursor = reached.or(s.cursor.take());
            for key in eligible {
                *self.rows.get_mut(key).unwrap() += 1;
            }
        }
        passes
    }
}

fn bound(key: Option<&Key>) -> Option<i64> {
    key.and_then(|k| k.first()).and_then(Value::as_int)
}

fn fresh(ceiling: i64) -> Saved {
    Saved {
        epoch: 1,
        seq: 0,
        hold_gen: 0,
        part: 0,
        done: Rows::ZERO,
        ceiling: Rows::own(ceiling),
        cursor: None,
        walked: false,
    }
}

const SETTINGS: PaceSettings = PaceSettings {
    unit: Unit::Rows,
    target: Duration::from_millis(50),
    rate: None,
    limited: false,
    most_changed: MOST_CHANGED,
    part: BATCHES_PER_PART,
};

fn pace() -> Pace {
    Pace::new(SETTINGS)
}

fn lane(saved: &Saved) -> Lane {
    Lane::new(Window::default(), saved.clone(), Style::WindowFirst, pace())
}

#[test]
fn a_checkpoint_that_went_back_stops_the_lane() {
    let was = Saved {
        part: 2,
        seq: 7,
        hold_gen: 3,
        ..fresh(10)
    };
    for is in [
        Saved {
            seq: 6,
            ..was.clone()
        },
        Saved {
            part: 1,
            ..was.clone()
        },
        Saved {
            hold_gen: 2,
            ..was.clone()
        },
    ] {
        let mut lane = lane(&was);
        lane.take(Outcome::Lost);
        lane.take(Outcome::Settled(Some(is)));
        let rewound = Halt::Fault(Reason::LedgerRewound);
        assert_eq!(lane.next(), Directive::Halt(rewound));
    }
}

/// Runs a walk of the key through the fates; behind their end everything commits.
fn drive(rows: i64, fates: &[Fate]) -> (World, Lane) {
    let mut world = World::over((0..rows).map(|k| (k * 3, 0)).collect(), fresh(rows));
    let mut lane = lane(&world.saved);
    let mut fates = fates.iter().copied();
    lane = walk(&mut world, lane, lane_again, &mut fates);
    (world, lane)
}

fn lane_again(saved: &Saved) -> Lane {
    lane(saved)
}

/// The same by pages; then sweeps by key, until one changes nothing.
fn drive_pages(rows: i64, fates: &[Fate]) -> World {
    let mut world = World::over((0..rows).map(|k| (k * 3, 0)).collect(), fresh(rows));
    let range = world.pages().split(1).remove(0);
    let by_pages = |saved: &Saved| {
        let pace = Pace::new(PaceSettings {
            unit: Unit::Pages,
            ..SETTINGS
        });
        Lane::new(range.clone(), saved.clone(), Style::WindowFirst, pace)
    };
    let mut fates = fates.iter().copied();
    let first = by_pages(&world.saved);
    walk(&mut world, first, by_pages, &mut fates);
    loop {
        let before = world.saved.done.own;
        let sweep = |saved: &Saved| Lane::sweep(Window::default(), saved, false, pace());
        let first = sweep(&world.saved);
        walk(&mut world, first, sweep, &mut fates);
        if world.saved.done.own == before {
            return world;
        }
    }
}

/// Runs a lane to its end; `again`: another process takes over.
fn walk(
    world: &mut World,
    mut lane: Lane,
    again: impl Fn(&Saved) -> Lane,
    fates: &mut impl Iterator<Item = Fate>,
) -> Lane {
    for _ in 0..10_000 {
        let directive = lane.next();
        assert_eq!(directive, lane.next(), "asking twice gives the same answer");
        match directive {
            Directive::Done => return lane,
            Directive::Halt(Halt::Fault(_)) => lane = again(&taken_over(world)),
            Directive::Halt(halt) => panic!("{halt:?}"),
            Directive::Settle(_) => {
                // The locking read waits for the transaction in flight.
                if let Some((order, eligible, reached)) = world.in_flight.take() {
                    world.commit(&order, &eligible, reached);
                }
                lane.take(Outcome::Settled(Some(world.saved.clone())));
            }
            Directive::RollOver { part } => {
                assert_eq!(part, world.saved.part);
                world.saved.part += 1;
                lane.take(Outcome::RolledOver(world.saved.part));
            }
            Directive::Batch(_, order) => {
                let fate = fates.next().unwrap_or(Fate::Commits);
                if let Some(saved) = batch(world, &mut lane, &order, fate) {
                    lane = again(&saved);
                }
            }
        }
    }
    panic!("the lane never came to its end");
}

fn taken_over(world: &mut World) -> Saved {
    world.saved.epoch += 1;
    world.saved.clone()
}

/// One transaction; the checkpoint as another process finds it that takes over.
fn batch(world: &mut World, lane: &mut Lane, order: &Order, fate: Fate) -> Option<Saved> {
    if let Fate::Moves(seed) = fate {
        world.moves(seed);
    }
    let (eligible, reached) = world.window(order);
    let changed = Rows::own(i64::try_from(eligible.len()).unwrap());
    match fate {
        Fate::Commits | Fate::Moves(_) => {
            let outcome = if world.commit(order, &eligible, reached.clone()) {
                Outcome::Committed {
                    changed,
                    reached,
                    elapsed: Duration::from_millis(20),
                    log: None,
                }
            } else {
                Outcome::Missed { changed }
            };
            lane.take(outcome);
        }
        Fate::MeetsLock if order.form == Form::Window || order.width > 1 => {
            lane.take(Outcome::Locked);
        }
        Fate::TooMany if order.width > 1 => lane.take(Outcome::TooMany),
        Fate::FailsPassingly | Fate::MeetsLock | Fate::TooMany => {
            lane.take(Outcome::Again(Reason::Unreachable));
        }
        Fate::LostButDone => {
            world.in_flight = Some((order.clone(), eligible, reached));
            lane.take(Outcome::Lost);
        }
        Fate::LostAndGone => lane.take(Outcome::Lost),
        Fate::Crash => return Some(taken_over(world)),
        Fate::StaleFence => {
            let saved = taken_over(world);
            assert!(
                !world.commit(order, &eligible, reached),
                "a stale fence must miss"
            );
            lane.take(Outcome::Missed { changed });
            lane.take(Outcome::Settled(Some(saved.clone())));
            assert_eq!(lane.next(), Directive::Halt(Halt::TakenOver));
            return Some(saved);
        }
        Fate::HoldPlaced => {
            world.saved.hold_gen += 1;
            assert!(
                !world.commit(order, &eligible, reached),
                "the hold binds this commit"
            );
            lane.take(Outcome::Missed { changed });
        }
    }
    None
}

fn fate() -> impl Strategy<Value = Fate> {
    prop_oneof![
        4 => Just(Fate::Commits),
        1 => Just(Fate::MeetsLock),
        1 => Just(Fate::FailsPassingly),
        1 => Just(Fate::LostButDone),
        1 => Just(Fate::LostAndGone),
        1 => Just(Fate::Crash),
        1 => Just(Fate::StaleFence),
        1 => Just(Fate::HoldPlaced),
        1 => Just(Fate::TooMany),
        2 => any::<u64>().prop_map(Fate::Moves),
    ]
}

proptest! {
    #[test]
    fn every_row_is_changed_once_and_counted_once(
        rows in 0_i64..3_000,
        fates in prop::collection::vec(fate(), 0..60),
    ) {
        let (world, lane) = drive(rows, &fates);
        let changed: i64 = world.rows.values().map(|n| i64::from(*n)).sum();
        prop_assert!(world.rows.values().all(|n| *n <= 1), "a row was changed twice");
        prop_assert_eq!(changed, world.saved.done.own);
        prop_assert_eq!(lane.changed(), world.saved.done.own);
        // Only a row that stayed locked at width 1 may be passed by; here no lock lasts that long.
        prop_assert_eq!(changed, rows);
    }
}

proptest! {
    #[test]
    fn a_walk_of_pages_and_its_sweeps_change_every_row_once_wherever_it_moves(
        rows in 0_i64..3_000,
        fates in prop::collection::vec(fate(), 0..60),
    ) {
        let world = drive_pages(rows, &fates);
        prop_assert!(world.rows.values().all(|n| *n == 1), "a row was missed or changed twice");
        prop_assert_eq!(world.saved.done.own, rows);
    }
}

#[test]
fn more_rows_than_the_ceiling_stop_the_lane_before_they_change() {
    let mut world = World::over((0..500).map(|k| (k, 0)).collect(), fresh(300));
    let mut lane = lane(&world.saved);
    loop {
        match lane.next() {
            Directive::Batch(_, order) => {
                batch(&mut world, &mut lane, &order, Fate::Commits);
            }
            Directive::Settle(_) => lane.take(Outcome::Settled(Some(world.saved.clone()))),
            Directive::Halt(halt) => {
                assert_eq!(halt, Halt::Ceiling);
                break;
            }
            other => panic!("{other:?}"),
        }
    }
    assert!(world.saved.done.own <= 300);
}

#[test]
fn a_row_that_stays_locked_is_passed_by_alone() {
    let mut world = World::over((0..1_000).map(|k| (k, 0)).collect(), fresh(1_000));
    let mut lane = lane(&world.saved);
    while lane.next() != Directive::Done {
        let Directive::Batch(_, order) = lane.next() else {
            panic!("{:?}", lane.next())
        };
        let (eligible, _) = world.window(&order);
        if eligible.contains(&400) {
            lane.take(Outcome::Locked);
        } else {
            batch(&mut world, &mut lane, &order, Fate::Commits);
        }
    }
    let left: Vec<_> = world
        .rows
        .iter()
        .filter(|(_, n)| **n == 0)
        .map(|(k, _)| *k)
        .collect();
    assert_eq!(left, [400]);
    assert_eq!(lane.waits(), None, "it moved on");
    assert_eq!(lane.passed_by(), 1);
}

#[test]
fn a_lane_that_meets_a_lock_says_why_it_waits_until_it_commits() {
    let mut lane = lane(&fresh(10));
    assert_eq!(lane.waits(), None);
    lane.take(Outcome::Locked);
    assert_eq!(lane.waits(), Some(Reason::RowsLocked));
    lane.take(Outcome::Again(Reason::Unreachable));
    assert_eq!(lane.waits(), Some(Reason::Unreachable));
    lane.take(Outcome::Committed {
        changed: Rows::own(1),
        reached: None,
        elapsed: Duration::from_millis(1),
        log: None,
    });
    assert_eq!(lane.waits(), None);
}

#[test]
fn a_checkpoint_row_is_replaced_before_it_grows_old() {
    let mut saved = fresh(i64::MAX);
    saved.cursor = Some(vec![Value::Int(0)]);
    let mut lane = lane(&saved);
    for n in 1_i64..=500 {
        lane.take(Outcome::Committed {
            changed: Rows::own(1),
            reached: Some(vec![Value::Int(n)]),
            elapsed: Duration::from_millis(1),
            log: None,
        });
    }
    assert_eq!(lane.next(), Directive::RollOver { part: 0 });
    lane.take(Outcome::RolledOver(1));
    assert!(matches!(lane.next(), Directive::Batch(_, order) if order.part == 1));
}
