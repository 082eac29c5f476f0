//! Partitions that go as a whole: what is about to be done, what was done, and how many rows went. On
//! InnoDB, whose statements about partitions commit by themselves, the row says what a worker has begun,
//! so that whoever finds it can end it.

use super::schema::Ledger;
use super::statements::text;
use crate::sql::{Bound, Writer};
use crate::value::Value;

/// How far a partition is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum IntentState {
    /// It may have been exchanged: its rows are to be put back, wherever they are.
    Acting,
    /// Its rows are counted as gone; what they are in may have to be dropped.
    Gone,
    /// It has gone.
    Done,
    /// It stays, with its rows.
    Returned,
}

impl IntentState {
    const ALL: [Self; 4] = [Self::Acting, Self::Gone, Self::Done, Self::Returned];

    fn as_str(self) -> &'static str {
        match self {
            Self::Acting => "acting",
            Self::Gone => "gone",
            Self::Done => "done",
            Self::Returned => "returned",
        }
    }

    fn of(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|state| state.as_str() == text)
    }

    /// Whether the partition's rows are counted as gone.
    pub fn has_gone(self) -> bool {
        matches!(self, Self::Gone | Self::Done)
    }

    /// Whether somebody has to end it.
    pub fn is_open(self) -> bool {
        matches!(self, Self::Acting | Self::Gone)
    }
}

/// One partition of one step of a run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IntentRow {
    /// The rule's index.
    pub step: i32,
    /// The partition's name.
    pub part: String,
    /// The partitioned table.
    pub of_table: String,
    /// What the partition is exchanged for; empty where it is truncated.
    pub aside: String,
    /// Rows that went.
    pub n: i64,
    /// How far it is.
    pub state: IntentState,
}

impl Ledger {
    /// Records an intent. A second one of the same run, step and partition fails on the primary key.
    pub fn insert_intent(&self, run: &str, row: &IntentRow) -> Bound {
        let IntentRow {
            step,
            part,
            of_table,
            aside,
            n,
            state,
        } = row;
        let mut w = self.writer();
        w.sql("INSERT INTO ");
        self.table(&mut w, "intent");
        w.sql(" (run, part, of_table, aside, state, step, n) VALUES (");
        w.joined(
            [run, part, of_table, aside, state.as_str()],
            ", ",
            |w, t| {
                w.bind(text(t));
            },
        );
        self.bind_int(&mut w, i64::from(*step));
        self.bind_int(&mut w, *n);
        w.sql(")");
        w.finish()
    }

    /// Carries an intent on from one state to the next, with the rows that went: hits one row, or
    /// somebody else was first.
    pub fn carry_intent(&self, run: &str, from: &IntentRow, to: IntentState, n: i64) -> Bound {
        let mut w = self.writer();
        w.sql("UPDATE ");
        self.table(&mut w, "intent");
        w.sql(" SET state = ").bind(text(to.as_str())).sql(", n = ");
        self.cast_int(&mut w, n);
        self.write_intent(&mut w, run, from.step, &from.part);
        w.sql(" AND state = ").bind(text(from.state.as_str()));
        w.finish()
    }

    /// One intent.
    pub fn intent(&self, run: &str, step: i32, part: &str) -> Bound {
        let mut w = self.select_intent();
        self.write_intent(&mut w, run, step, part);
        w.finish()
    }

    /// All intents of a run.
    pub fn intents(&self, run: &str) -> Bound {
        let mut w = self.select_intent();
        w.sql(" WHERE run = ").bind(text(run));
        w.sql(" ORDER BY step, part");
        w.finish()
    }

    fn select_intent(&self) -> Writer<'static> {
        let mut w = self.writer();
        w.sql("SELECT step, part, of_table, aside, n, state FROM ");
        self.table(&mut w, "intent");
        w
    }

    fn write_intent(&self, w: &mut Writer<'_>, run: &str, step: i32, part: &str) {
        w.sql(" WHERE run = ").bind(text(run));
        self.and_int(w, " AND step = ", i64::from(step));
        w.sql(" AND part = ").bind(text(part));
    }

    /// Reads an intent; `None` where the row has another shape.
    pub fn read_intent(row: &[Value]) -> Option<IntentRow> {
        let [step, part, of_table, aside, n, state] = row else {
            return None;
        };
        Some(IntentRow {
            step: i32::try_from(step.as_int()?).ok()?,
            part: part.as_text()?.to_owned(),
            of_table: of_table.as_text()?.to_owned(),
            aside: aside.as_text()?.to_owned(),
            n: n.as_int()?,
            state: IntentState::of(state.as_text()?)?,
        })
    }
}
