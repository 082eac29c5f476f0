//! What an application does with a work table while rows of it go: statements in the order of their
//! number, the same for everybody who is measured beside it.

use super::Work;
use super::layouts::layout;
use super::work::Layout;
use crate::catalog::Engine;
use crate::sql::Bound;
use crate::value::Value;

/// Of a hundred updates, so many are of rows that are due.
const OF_DUE_ROWS: u64 = 3;
/// One operation of so many inserts a row.
const INSERTS: u64 = 10;

/// An application.
#[derive(Clone, Copy, Debug)]
pub struct Application {
    layout: &'static Layout,
    texts: Texts,
    engine: Engine,
    rows: i64,
}

const WIDE: Texts = Texts {
    update: "UPDATE {s}{t} SET seen = seen + 1 WHERE id = {1}",
    read: "SELECT count(*) FROM {s}{t} WHERE learner_id = {1}",
    looked_for: 500_009,
    insert: "INSERT INTO {s}{t} (id, learner_id, course_id, status, created_at, ended_at, note, seen) \
             VALUES ({1}, 7, 3, 1, current_timestamp, current_timestamp, {of_70}, 0)",
    remove: "DELETE FROM {s}{t} WHERE id > {1}",
    is_due: scattered,
};

/// What it does in one go.
#[derive(Clone, Debug)]
pub struct Operation {
    /// A change of a row by its key.
    pub update: Bound,
    /// A look by a column with an index.
    pub read: Bound,
    /// A new row, now and then.
    pub insert: Option<Bound>,
}

/// What an application sends, as the work tables spell it. `{1}` is what is looked for.
#[derive(Clone, Copy, Debug)]
pub struct Texts {
    /// Changes a row by its key, in a column of which nothing is checked afterwards.
    pub update: &'static str,
    /// Looks for rows.
    pub read: &'static str,
    /// How many there are of what is looked for.
    pub looked_for: u32,
    /// Makes a row with this key, which is not due.
    pub insert: &'static str,
    /// Removes every row with a greater key.
    pub remove: &'static str,
    /// Whether the row with a key is due.
    pub is_due: fn(i64) -> bool,
}

impl Application {
    /// One on a table of so many rows. `None`: at this work there is none.
    pub fn at(work: Work, engine: Engine, rows: i64) -> Option<Self> {
        let layout = layout(work)?;
        (rows > 0).then_some(Self {
            layout,
            texts: texts(work)?,
            engine,
            rows,
        })
    }

    /// Its so manieth operation.
    pub fn operation(&self, index: u64) -> Operation {
        let texts = &self.texts;
        let dice = mixed(index);
        let key = self.key(dice, texts.is_due);
        let looked_for = i64::try_from(mixed(dice) % u64::from(texts.looked_for.max(1)));
        let insert = (dice / 100).is_multiple_of(INSERTS).then(|| {
            let own = i64::try_from(index).unwrap_or(i64::MAX);
            self.bound(
                texts.insert,
                self.rows.saturating_add(1).saturating_add(own),
            )
        });
        Operation {
            update: self.bound(texts.update, key),
            read: self.bound(texts.read, looked_for.unwrap_or(0)),
            insert,
        }
    }

    /// Removes the rows that it made: what is checked afterwards is what was there before.
    pub fn undo(&self) -> Bound {
        self.bound(self.texts.remove, self.rows)
    }

    /// A row that is due or not, as the dice say.
    fn key(&self, dice: u64, is_due: fn(i64) -> bool) -> i64 {
        let due = dice % 100 < OF_DUE_ROWS;
        let mut next = dice;
        let mut key = 1;
        // Where there is none of the kind, any row will do.
        for _ in 0..100 {
            next = mixed(next);
            key = 1 + i64::try_from(next % self.rows.unsigned_abs()).unwrap_or(0);
            if is_due(key) == due {
                break;
            }
        }
        key
    }

    fn bound(&self, text: &'static str, value: i64) -> Bound {
        let mut tables = self.layout.tables(self.engine);
        let table = tables.next().expect("every layout has a table");
        table.say(text, &[Value::Int(value)])
    }
}

/// What it sends at a piece of work.
fn texts(work: Work) -> Option<Texts> {
    match work {
        Work::DeleteWide => Some(WIDE),
        _ => None,
    }
}

/// Whether a row is due where the clock is scattered, as the tables' own texts have it.
fn scattered(key: i64) -> bool {
    key.wrapping_mul(2_654_435_761).rem_euclid(1 << 32) / 4_294_968 < 400
}

/// A number without any order for each number (SplitMix64).
fn mixed(n: u64) -> u64 {
    let n = n.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let n = (n ^ (n >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let n = (n ^ (n >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    n ^ (n >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn application() -> Application {
        Application::at(Work::DeleteWide, Engine::Postgres, 10_000).unwrap()
    }

    #[test]
    fn three_of_a_hundred_updates_are_of_rows_that_are_due_and_one_of_ten_inserts() {
        let application = application();
        let is_due = application.texts.is_due;
        let all: Vec<Operation> = (0..10_000).map(|n| application.operation(n)).collect();
        let key = |bound: &Bound| bound.values[0].as_int().unwrap();
        let due = all.iter().filter(|it| is_due(key(&it.update))).count();
        assert!((200..400).contains(&due), "{due}");
        let inserted: Vec<i64> = all
            .iter()
            .filter_map(|it| it.insert.as_ref().map(key))
            .collect();
        assert!((900..1_100).contains(&inserted.len()), "{}", inserted.len());
        assert!(inserted.iter().all(|key| *key > 10_000));
        assert!(
            inserted.windows(2).all(|pair| pair[0] < pair[1]),
            "each has its own key"
        );
        assert!(all.iter().all(|it| (1..=10_000).contains(&key(&it.update))));
    }

    #[test]
    fn everybody_is_measured_beside_the_same_operations() {
        let (one, other) = (application().operation(7), application().operation(7));
        assert_eq!(
            (one.update, one.read, one.insert),
            (other.update, other.read, other.insert)
        );
    }

    #[test]
    fn there_is_none_without_a_table() {
        assert!(Application::at(Work::Operator, Engine::Postgres, 10).is_none());
        assert!(Application::at(Work::DeleteWide, Engine::Postgres, 0).is_none());
    }
}
