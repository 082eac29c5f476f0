//! The walk in the order of the rule's clock: PostgreSQL rows that are anonymised. Rows of one page are
//! then changed in several transactions, and what the last one left on the page makes room for the next:
//! where no changed column has an index, nearly no index is written (PERFORMANCE.md 3.2). Every row carries
//! the whole predicate, so one that the application moves is not taken for another; a sweep by key follows.

use super::change::{ChangeSql, Effect};
use super::clock::ClockSql;
use super::window::{KeyColumn, Window};
use super::{Bound, Writer, dialect};
use crate::catalog::{Column, Engine, Table};
use crate::value::{Key, Value};

/// Rows below which a walk by key is as good.
const FEWEST: i64 = 10_000;
/// Rows with the same reading, on the average, at the most: they are sorted for each window.
const ALIKE: f64 = 1_000.0;
/// Where the clock goes with the order of the file as far as this, the walk by key does the same.
const ORDERED: f64 = 0.9;
/// What a bound or cursor of such a walk begins with, behind the NULL with which no key of a row does.
const MARK: &str = "clock";

impl Window {
    /// The range of a walk by the clock, up to its cutoff.
    pub fn of_clock(cutoff: &Value) -> Self {
        Self {
            after: Some(marked(Vec::new())),
            upto: Some(marked(vec![cutoff.clone()])),
        }
    }

    /// The window of clock and key that this one is; `None`: it is one of keys, or of pages.
    pub fn clocked(&self) -> Option<Self> {
        let after = unmarked(self.after.as_ref()?)?;
        Some(Self {
            after: (!after.is_empty()).then(|| after.to_vec()),
            upto: self.upto.as_deref().and_then(unmarked).map(<[_]>::to_vec),
        })
    }

    /// Whether it is one of keys.
    pub fn is_by_key(&self) -> bool {
        self.pages().is_none() && self.clocked().is_none()
    }
}

/// Clock and key as a bound or cursor.
pub fn marked(key: Key) -> Key {
    let mark = [Value::Null, Value::Text(MARK.to_owned())];
    mark.into_iter().chain(key).collect()
}

/// The clock and key that a bound or cursor has.
fn unmarked(key: &[Value]) -> Option<&[Value]> {
    match key {
        [Value::Null, Value::Text(mark), rest @ ..] if mark == MARK => Some(rest),
        _ => None,
    }
}

impl ChangeSql {
    /// The clock by which its rows may be walked.
    pub fn clock_to_walk(&self, table: &Table) -> Option<Column> {
        let Effect::Update(transforms, _) = &self.effect else {
            return None;
        };
        let ClockSql::Own(reading) = &self.eligible.clock else {
            return None;
        };
        let clock = &reading.column;
        let window = &self.window;
        let plain = window.engine == Engine::Postgres
            && !window.with_leaves
            && window.among.is_none()
            && self.seal.is_none()
            && !self.eligible.looks_elsewhere();
        let leads = table
            .indexes
            .iter()
            .any(|index| !index.partial_or_invalid && index.columns.first() == Some(&clock.name));
        let stays = transforms.iter().all(|transform| {
            let name = &transform.column.name;
            let indexes = table.indexes.iter();
            let mut columns =
                indexes.flat_map(|i| i.columns.iter().chain(&i.compares).chain(&i.reads));
            *name != clock.name && !columns.any(|column| column == name)
        });
        (plain && leads && stays).then(|| clock.clone())
    }

    /// The same change, with clock and key as the key that is walked.
    #[must_use]
    pub fn by_clock(&self, clock: &Column) -> Self {
        let mut own = self.clone();
        own.window.key.insert(0, KeyColumn(clock.clone()));
        own
    }
}

/// Asks what the server's statistics say of a column: values that differ, as it counts them, and how far
/// it goes with the order of the file, both as text; no row where it has none.
pub fn look_at_clock(clock: &Column, of: &super::WindowSql) -> Bound {
    let mut w = Writer::new(dialect(Engine::Postgres));
    w.sql("SELECT s.n_distinct::text, coalesce(s.correlation, 0)::text FROM pg_stats s WHERE s.schemaname = ");
    let schema = of.table.schema.as_ref().map_or("public", |s| s.as_str());
    w.bind(Value::Text(schema.to_owned()))
        .sql("::text AND s.tablename = ");
    w.bind(Value::Text(of.table.table.as_str().to_owned()))
        .sql("::text AND s.attname = ");
    w.bind(Value::Text(clock.name.as_str().to_owned()))
        .sql("::text AND NOT s.inherited");
    w.finish()
}

/// Whether a walk by the clock is worth more than one by key. `row`: the answer to [`look_at_clock`].
pub fn clock_pays(row: &[Value], eligible: i64, total: i64) -> bool {
    let number = |at: usize| row.get(at)?.as_text()?.parse::<f64>().ok();
    let (Some(distinct), Some(correlation)) = (number(0), number(1)) else {
        return false;
    };
    let total = rows(total);
    // Below 0 it is a part of the rows.
    let distinct = if distinct < 0.0 {
        -distinct * total
    } else {
        distinct
    };
    eligible >= FEWEST && distinct > 0.0 && total / distinct <= ALIKE && correlation.abs() < ORDERED
}

#[expect(clippy::cast_precision_loss, reason = "compared with a thousand")]
fn rows(n: i64) -> f64 {
    n as f64
}

/// Whether an EXPLAIN of a probe says that the clock's index is followed.
pub fn follows_index(explained: &[Vec<Value>]) -> bool {
    let texts = || explained.iter().flatten().filter_map(Value::as_text);
    texts().any(|text| text.contains("Index")) && !texts().any(|text| text.contains("Seq Scan on"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_window_of_the_clock_is_told_from_others_and_comes_back() {
        let cutoff = Value::Text("2024-01-01".to_owned());
        let range = Window::of_clock(&cutoff);
        let inner = range.clocked().unwrap();
        assert_eq!((inner.after, inner.upto), (None, Some(vec![cutoff])));
        assert!(!range.is_by_key() && range.pages().is_none());
        let key = vec![Value::Text("2023-01-01".to_owned()), Value::Int(7)];
        let next = Window {
            after: Some(marked(key.clone())),
            ..range
        };
        assert_eq!(next.clocked().unwrap().after, Some(key.clone()));
        let by_key = Window {
            after: Some(key),
            upto: None,
        };
        assert!(by_key.is_by_key() && Window::default().is_by_key());
    }

    #[test]
    fn a_walk_by_the_clock_pays_where_readings_differ_and_lie_scattered() {
        let told = |distinct: &str, correlation: &str| {
            [distinct, correlation].map(|text| Value::Text(text.to_owned()))
        };
        assert!(clock_pays(&told("-0.5", "0.01"), 400_000, 1_000_000));
        assert!(clock_pays(&told("1000", "-0.2"), 400_000, 1_000_000));
        for (distinct, correlation, eligible) in [
            ("999", "0.01", 400_000),
            ("0", "0.01", 400_000),
            ("-0.5", "-0.95", 400_000),
            ("-0.5", "0.01", 9_999),
        ] {
            assert!(!clock_pays(
                &told(distinct, correlation),
                eligible,
                1_000_000
            ));
        }
        assert!(!clock_pays(&[], 400_000, 1_000_000));
    }
}
