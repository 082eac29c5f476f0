//! The rows that legal holds keep: a term of the predicate that no change passes by (P5). Duties keep
//! rows by the same term (`kept`).
//!
//! A NULL in a hold's predicate counts as held, so that a hold that cannot be answered keeps the
//! row: `AND NOT COALESCE(predicate, true)`. A row is kept also while anything that hangs on it is
//! held, at any depth.

use super::count::count_where;
use super::eligible::{TypedTest, write_test};
use super::reach::ReachSql;
use super::{Bound, CountSql, Depth, Scope, Way, Window, Writer, dialect};
use crate::catalog::{Column, Engine};
use crate::name::TableName;
use crate::value::Key;

/// One hold or duty, as far as it concerns one rule.
#[derive(Clone, Debug)]
pub struct Held {
    /// Whose it is, for people: namespace and name of the LegalHold, or the duty's place in its DataMap.
    pub hold: String,
    /// Where it holds rows: any of them keeps the rule's row.
    pub places: Vec<HeldAt>,
}

/// Rows of one table that a hold keeps.
#[derive(Clone, Debug)]
pub struct HeldAt {
    /// From the rule's table down to the held one; empty: the rule's own rows are held.
    pub path: Vec<Down>,
    /// The node at the end of the path.
    pub node: Option<usize>,
    /// What is held of the table at its end.
    pub test: HeldTest,
}

/// Which rows of a table are held.
#[derive(Clone, Debug)]
pub enum HeldTest {
    /// Those for which all of these hold, or are NULL.
    All(Vec<(Column, TypedTest)>),
    /// Those that are a person's. The table is that of the rows, where they are the rule's own.
    Person(TableName, ReachSql),
    /// Every one.
    Every,
}

impl HeldTest {
    /// The same of rows of another table that has its columns.
    #[must_use]
    pub fn of(&self, table: &TableName) -> Self {
        match self {
            Self::Person(_, reach) => Self::Person(table.clone(), reach.clone()),
            Self::All(_) | Self::Every => self.clone(),
        }
    }

    /// The rows' own columns by which they are told.
    pub fn columns(&self) -> Vec<&Column> {
        match self {
            Self::All(tests) => tests.iter().map(|(column, _)| column).collect(),
            Self::Person(_, reach) => reach.columns(),
            Self::Every => Vec::new(),
        }
    }

    /// How many values it binds.
    pub fn bound(&self) -> usize {
        match self {
            Self::All(tests) => tests.iter().map(|(_, test)| test.bound()).sum(),
            Self::Person(_, reach) => reach.bound(),
            Self::Every => 0,
        }
    }
}

/// One step down from a table to one whose rows refer to it.
#[derive(Clone, Debug)]
pub struct Down {
    /// The referencing table.
    pub table: TableName,
    /// Whether the rows are those of its leaves.
    pub with_leaves: bool,
    /// The table above.
    pub parent: TableName,
    /// Each referencing column with the one it refers to.
    pub pairs: Vec<(Column, Column)>,
}

impl Down {
    /// The step to a table of related rows, below `parent`.
    pub fn to(depth: &Depth, way: &Way, parent: &TableName) -> Self {
        Self {
            table: depth.table.clone(),
            with_leaves: depth.with_leaves,
            parent: parent.clone(),
            pairs: way.pairs.clone(),
        }
    }
}

impl Held {
    /// That the hold does not keep a row, with a leading ` AND `.
    pub(super) fn write_free(&self, w: &mut Writer<'_>) {
        for place in &self.places {
            w.sql(" AND NOT ");
            place.write(w);
        }
    }

    /// The same, as far as the row's own columns say it.
    pub(super) fn write_own_free(&self, w: &mut Writer<'_>) {
        for place in self.places.iter().filter(|place| !place.is_below()) {
            w.sql(" AND NOT ");
            place.write(w);
        }
    }

    /// Whether it holds rows because of others: of those that hang on them, or that they hang on.
    pub(super) fn is_below(&self) -> bool {
        self.places.iter().any(HeldAt::is_below)
    }

    /// The same for rows of one leaf of the rule's table.
    pub(super) fn of_leaf(&mut self, leaf: &TableName) {
        for place in &mut self.places {
            if let HeldTest::Person(table, _) = &mut place.test
                && place.path.is_empty()
            {
                table.clone_from(leaf);
            }
        }
    }

    /// That the hold keeps a row.
    pub(super) fn write_kept(&self, w: &mut Writer<'_>) {
        w.sql("(")
            .joined(&self.places, " OR ", |w, place| place.write(w))
            .sql(")");
    }
}

impl HeldAt {
    /// Counts the rows of the held table itself.
    pub fn count(&self, engine: Engine, table: &TableName, with_leaves: bool) -> Bound {
        let d = dialect(engine);
        let mut w = Writer::new(d);
        w.sql("SELECT ");
        d.whole(&mut w, &mut |w| {
            w.sql("count(*)");
        });
        w.sql(" FROM ").rows_of(table, with_leaves).sql(" WHERE ");
        self.write_predicate(&mut w, &Scope::Table(table.clone()));
        w.finish()
    }

    /// Whether rows of other tables decide.
    fn is_below(&self) -> bool {
        let elsewhere = |test: &HeldTest| match test {
            HeldTest::Person(_, reach) => reach.looks_elsewhere(),
            HeldTest::All(_) | HeldTest::Every => false,
        };
        !self.path.is_empty() || elsewhere(&self.test)
    }

    fn write(&self, w: &mut Writer<'_>) {
        self.write_below(w, &self.path, 0);
    }

    /// `EXISTS (… EXISTS (… COALESCE(predicate, true)))`, as deep as the path is.
    fn write_below(&self, w: &mut Writer<'_>, path: &[Down], level: u32) {
        let Some((step, rest)) = path.split_first() else {
            let at = match &self.test {
                HeldTest::Person(table, _) if level == 0 => Scope::Table(table.clone()),
                _ => Scope::Held(level),
            };
            self.write_predicate(w, &at);
            return;
        };
        w.sql("EXISTS (SELECT 1 FROM ")
            .rows_of(&step.table, step.with_leaves)
            .sql(" AS held_")
            .number(level + 1)
            .sql(" WHERE ");
        for (column, to) in &step.pairs {
            w.sql("held_")
                .number(level + 1)
                .sql(".")
                .ident(&column.name)
                .sql(" = ");
            if level == 0 {
                w.table(&step.parent);
            } else {
                w.sql("held_").number(level);
            }
            w.sql(".").ident(&to.name).sql(" AND ");
        }
        self.write_below(w, rest, level + 1);
        w.sql(")");
    }

    /// `at`: how the rows' table is called.
    fn write_predicate(&self, w: &mut Writer<'_>, at: &Scope) {
        match &self.test {
            HeldTest::All(tests) => {
                w.sql("COALESCE((")
                    .joined(tests, " AND ", |w, (column, test)| {
                        write_test(w, column, test);
                    })
                    .sql("), true)");
            }
            // A row without an identifier is nobody's.
            HeldTest::Person(_, reach) => {
                w.sql("COALESCE(");
                reach.write_inmost(w, at);
                w.sql(", false)");
            }
            HeldTest::Every => {
                w.sql("(1 = 1)");
            }
        }
    }
}

impl Depth {
    /// Locks the rows of a node that hang on these parents, and counts the held ones among them: of one
    /// that somebody is changing the answer is what it has become. `parents` is not empty. `None`: no hold
    /// is about it.
    pub fn held<'h>(
        &self,
        way: &Way,
        parents: &[Key],
        held: impl Iterator<Item = &'h Held>,
        node: usize,
    ) -> Option<Bound> {
        let places = held.flat_map(|hold| &hold.places);
        let at: Vec<&HeldAt> = places.filter(|place| place.node == Some(node)).collect();
        if at.is_empty() {
            return None;
        }
        let own = Scope::Table(self.table.clone());
        let kept = |w: &mut Writer<'_>| {
            w.sql("(")
                .joined(&at, " OR ", |w, place| place.write_predicate(w, &own))
                .sql(")");
        };
        let d = dialect(self.engine);
        let mut w = Writer::new(d);
        w.sql("SELECT ");
        // What is held is no condition: rows that do not fit yet would not be locked.
        if self.engine.is_innodb() {
            d.whole(&mut w, &mut |w| count_where(w, &mut |w| kept(w)));
            self.write_below(&mut w, way, parents);
            w.sql(" FOR UPDATE");
        } else {
            d.whole(&mut w, &mut |w| {
                count_where(w, &mut |w| {
                    w.sql("below.kept");
                });
            });
            w.sql(" FROM (SELECT ");
            kept(&mut w);
            w.sql(" AS kept");
            self.write_below(&mut w, way, parents);
            w.sql(" FOR UPDATE) AS below");
        }
        Some(w.finish())
    }
}

impl CountSql {
    /// Counts the rows of a window that would be changed if it were not for holds: all of them, and
    /// those that each of `held` keeps. Rows that two of them keep count for both.
    pub fn kept(&self, window: &Window, held: &[Held]) -> Bound {
        let d = dialect(self.window.engine);
        let mut w = Writer::new(d);
        w.sql("SELECT ");
        d.whole(&mut w, &mut |w| {
            w.sql("count(*)");
        });
        for hold in held {
            w.sql(", ");
            d.whole(&mut w, &mut |w| count_where(w, &mut |w| hold.write_kept(w)));
        }
        self.window.write_from(&mut w);
        w.sql(" WHERE ");
        self.window.write_bounds(&mut w, window);
        self.eligible.write_but_for_holds(&mut w);
        w.sql(" AND (")
            .joined(held, " OR ", |w, hold| hold.write_kept(w))
            .sql(")");
        w.finish()
    }
}
