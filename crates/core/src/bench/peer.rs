//! What others do the same work with, as they write it.

use super::Who;
use super::work::{Layout, TableSql};
use crate::catalog::Engine;
use crate::run::Unit;
use crate::sql::Bound;

/// How a peer goes about it. No statement binds a value: each takes one round trip.
#[derive(Clone, Debug)]
pub enum Peer<'l> {
    /// These, in one transaction.
    Once(Vec<Bound>),
    /// This, again and again, each in a transaction of its own, until it changes nothing.
    UntilNothing(Bound),
    /// Row by row.
    Rows(RowSql<'l>),
    /// Window by window, as this program does, without anything else that it does.
    Walk(WalkSql<'l>),
}

/// What fetches keys, and changes one row.
#[derive(Clone, Copy, Debug)]
pub struct RowSql<'l>(TableSql<'l>);

impl RowSql<'_> {
    /// Answers the keys of all rows that are due.
    pub fn keys(self) -> Bound {
        self.0
            .say("SELECT id FROM {s}{t} WHERE {due} ORDER BY id", &[])
    }

    /// Changes the row of a key.
    pub fn one(self, key: u32) -> Bound {
        let one = self.0.layout.one;
        self.0.write(&[], |text, _| {
            text.say(one).number(key);
        })
    }
}

/// What goes over windows of keys; over pages of the file on PostgreSQL.
#[derive(Clone, Copy, Debug)]
pub struct WalkSql<'l>(TableSql<'l>);

impl WalkSql<'_> {
    /// Answers the last number of all.
    pub fn last(self) -> Bound {
        self.0.say(
            if self.by_pages() {
                "SELECT (pg_relation_size('{s}{t}') / current_setting('block_size')::bigint)"
            } else {
                "SELECT max(id) FROM {s}{t}"
            },
            &[],
        )
    }

    /// Changes the rows of a window: those above a number, up to another one.
    pub fn window(self, above: u32, upto: u32) -> Bound {
        let by_pages = self.by_pages();
        self.0.write(&[], |text, _| {
            text.say("DELETE FROM {s}{t} WHERE ");
            if by_pages {
                text.say("ctid >= '(")
                    .number(above)
                    .say(",0)' AND ctid < '(");
                text.number(upto).say(",0)'");
            } else {
                text.say("id > ")
                    .number(above)
                    .say(" AND id <= ")
                    .number(upto);
            }
            text.say(" AND {due}");
        })
    }

    /// What a window's width counts.
    pub fn unit(self) -> Unit {
        if self.by_pages() {
            Unit::Pages
        } else {
            Unit::Rows
        }
    }

    fn by_pages(self) -> bool {
        self.0.engine == Engine::Postgres
    }
}

impl Peer<'_> {
    /// What it sends; of what it sends with numbers, an example.
    pub fn statements(&self) -> Vec<String> {
        let text = |bound: &Bound| bound.sql.text().to_owned();
        self.sample().iter().map(text).collect()
    }

    pub(super) fn sample(&self) -> Vec<Bound> {
        match self {
            Self::Once(statements) => statements.clone(),
            Self::UntilNothing(statement) => vec![statement.clone()],
            Self::Rows(rows) => vec![rows.keys(), rows.one(1)],
            Self::Walk(walk) => vec![walk.last(), walk.window(0, 1_000)],
        }
    }
}

/// Rows of one turn of a loop.
const ROWS_OF_A_TURN: u32 = 1_000;

/// What a peer does for a piece of work. `None`: it is not measured at it, or is no peer.
pub fn peer(who: Who, engine: Engine, layout: &Layout) -> Option<Peer<'_>> {
    let table = layout.tables(engine).next()?;
    if who != Who::Single && !layout.others.contains(&who) {
        return None;
    }
    let postgres = engine == Engine::Postgres;
    let turns = |before: &'static str, after: &'static str| {
        let turn = table.write(&[], |sql, _| {
            sql.say(before).number(ROWS_OF_A_TURN).say(after);
        });
        Some(Peer::UntilNothing(turn))
    };
    match who {
        Who::Single => {
            let by_hand = layout.by_hand.iter();
            Some(Peer::Once(
                by_hand.map(|text| table.say(text, &[])).collect(),
            ))
        }
        Who::LoopLimit if postgres => turns(
            "DELETE FROM {s}{t} WHERE ctid = ANY (ARRAY(SELECT ctid FROM {s}{t} WHERE {due} LIMIT ",
            "))",
        ),
        Who::LoopLimit => turns("DELETE FROM {s}{t} WHERE {due} LIMIT ", ""),
        Who::InSelectLimit if postgres => turns(
            "DELETE FROM {s}{t} WHERE id IN (SELECT id FROM {s}{t} WHERE {due} LIMIT ",
            ")",
        ),
        // InnoDB's servers take no LIMIT in a subquery of IN, but one level deeper.
        Who::InSelectLimit => turns(
            "DELETE FROM {s}{t} WHERE id IN (SELECT id FROM (SELECT id FROM {s}{t} WHERE {due} LIMIT ",
            ") AS chosen)",
        ),
        Who::RowByRow => Some(Peer::Rows(RowSql(table))),
        Who::BareWalk => Some(Peer::Walk(WalkSql(table))),
        _ => None,
    }
}
