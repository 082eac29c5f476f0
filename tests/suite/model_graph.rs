//! Random graphs of rows under random holds, duties and one or two rules, against a model in memory that follows
//! references row by row. Beside `model`, whose rules are about clocks and conditions.

use std::cell::RefCell;
use std::collections::BTreeSet;
use std::fmt::Write as _;

use anyhow::{Result, anyhow, ensure};
use proptest::prelude::*;
use proptest::sample::Index;
use proptest::test_runner::{Config, FileFailurePersistence, TestRunner};

use crate::case::{Case, Server};
use crate::holds::{hold, place, released, store};
use crate::model::ids;
use crate::rig::Rig;
use crate::world::World;

/// Graphs tried on each server.
const TRIALS: u32 = 10;

/// The cases.
pub(crate) fn cases() -> Vec<Case> {
    Case::on_each(
        "model::random_graphs_go_as_the_model_says",
        &Server::ALL,
        random_graphs,
    )
}

/// Four tables below each other, and a way back from the second to the first that may be NULL.
const SCHEMA: &str = "
    CREATE TABLE t (id integer NOT NULL PRIMARY KEY, main_c integer NULL, made date NOT NULL, note varchar(10) NULL, owed date NULL);
    CREATE TABLE c (id integer NOT NULL PRIMARY KEY, t_id integer NOT NULL, owed date NULL, FOREIGN KEY (t_id) REFERENCES t (id));
    CREATE TABLE g (id integer NOT NULL PRIMARY KEY, c_id integer NOT NULL, owed date NULL, FOREIGN KEY (c_id) REFERENCES c (id));
    CREATE TABLE l (id integer NOT NULL PRIMARY KEY, g_id integer NOT NULL, owed date NULL, FOREIGN KEY (g_id) REFERENCES g (id));
    ALTER TABLE t ADD CONSTRAINT t_main FOREIGN KEY (main_c) REFERENCES c (id);
    CREATE INDEX t_c ON t (main_c); CREATE INDEX c_t ON c (t_id); CREATE INDEX g_c ON g (c_id); CREATE INDEX l_g ON l (g_id)";

/// Rows are kept for a year from `owed`: that is over, lasts, or has no end.
const OWED: [&str; 3] = ["'2024-06-10'", "'2024-06-20'", "NULL"];

/// How long ago a row was made: less than a year, than two, or more. The instant is 2025-06-15.
const MADE: [&str; 3] = ["2025-01-01", "2024-06-14", "2023-06-14"];

#[derive(Clone, Debug)]
struct Rows {
    /// When it was made, and the row of `c` that it refers to, by its place.
    t: Vec<(usize, Option<Index>)>,
    /// The row above, by its place.
    c: Vec<Index>,
    g: Vec<Index>,
    l: Vec<Index>,
    /// A table, and one of its rows.
    holds: Vec<(Table, Index)>,
    /// The same, for rows that a duty keeps.
    duties: Vec<(Table, Index)>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Table {
    T,
    C,
    G,
    L,
}

impl Table {
    fn name(self) -> &'static str {
        match self {
            Self::T => "t",
            Self::C => "c",
            Self::G => "g",
            Self::L => "l",
        }
    }
}

/// A row of a table, by its place.
type Row = (Table, usize);

fn rows() -> impl Strategy<Value = Rows> {
    let index = any::<Index>;
    let table = || prop::sample::select(&[Table::T, Table::C, Table::G, Table::L][..]);
    (
        prop::collection::vec((0..MADE.len(), prop::option::of(index())), 1..10),
        prop::collection::vec(index(), 0..10),
        prop::collection::vec(index(), 0..10),
        prop::collection::vec(index(), 0..10),
        prop::collection::vec((table(), index()), 0..4),
        prop::collection::vec((table(), index()), 0..3),
    )
        .prop_map(|(t, c, g, l, holds, duties)| Rows {
            t,
            c,
            g,
            l,
            holds,
            duties,
        })
}

#[derive(Clone, Copy, Debug)]
struct Promise {
    /// Rows of `t` are anonymised a year before they go.
    tiers: bool,
    /// Rows of `t` that refer to a row of `c` that goes, go too; otherwise they let go of it.
    takes_along: bool,
}

fn promise() -> impl Strategy<Value = Promise> {
    (any::<bool>(), prop::bool::weighted(0.25))
        .prop_map(|(tiers, takes_along)| Promise { tiers, takes_along })
}

impl Promise {
    fn yaml(self) -> String {
        let mut yaml = String::new();
        if self.tiers {
            yaml.push_str(
                "- table: ${schema}.t\n  since: {column: made}\n  expireAfter: P1Y\n  \
                 action: {type: Anonymise, columns: [{column: note, strategy: Nullify}]}\n",
            );
        }
        yaml.push_str(
            "- table: ${schema}.t\n  since: {column: made}\n  expireAfter: P2Y\n  related:\n",
        );
        let back = if self.takes_along { "Delete" } else { "Detach" };
        for (table, of, column, action) in [
            ("c", "t", "t_id", "Delete"),
            ("g", "c", "c_id", "Delete"),
            ("l", "g", "g_id", "Delete"),
            ("t", "c", "main_c", back),
        ] {
            let _written = writeln!(
                yaml,
                "  - {{table: '${{schema}}.{table}', of: '${{schema}}.{of}', \
                 match: [{{column: {column}, equals: id}}], action: {{type: {action}}}}}"
            );
        }
        yaml
    }
}

impl Promise {
    /// A duty of a year about each table.
    fn duties(self) -> String {
        let mut yaml = String::new();
        for table in [Table::T, Table::C, Table::G, Table::L] {
            let name = table.name();
            if !self.takes_along {
                let _written = writeln!(
                    yaml,
                    "- name: {name}\n  table: ${{schema}}.{name}\n  mustKeep:\n  \
                     - {{until: {{latestOf: [{{column: owed, plus: P1Y}}]}}, against: [Expiry], law: an act}}"
                );
            }
        }
        yaml
    }
}

impl Rows {
    /// What a row refers to. Where the table above has no rows, there are none of its own.
    fn above(&self, (table, row): Row) -> Option<Row> {
        let (index, above, many) = match table {
            Table::T => (self.t[row].1?, Table::C, self.c.len()),
            Table::C => (self.c[row], Table::T, self.t.len()),
            Table::G => (self.g[row], Table::C, self.c.len()),
            Table::L => (self.l[row], Table::G, self.all(Table::G).len()),
        };
        (many > 0).then(|| (above, index.index(many)))
    }

    /// The rows that there are.
    fn all(&self, table: Table) -> Vec<Row> {
        let (rows, above) = match table {
            Table::T => (self.t.len(), 1),
            Table::C => (self.c.len(), 1),
            Table::G => (self.g.len(), self.c.len()),
            Table::L => (self.l.len(), self.all(Table::G).len()),
        };
        let rows = if above > 0 { rows } else { 0 };
        (0..rows).map(|row| (table, row)).collect()
    }

    fn below(&self, row: Row) -> Vec<Row> {
        let tables = [Table::T, Table::C, Table::G, Table::L];
        let all = tables.into_iter().flat_map(|table| self.all(table));
        all.filter(|other| self.above(*other) == Some(row))
            .collect()
    }

    /// Rows that would go with one of `t`, itself among them, and those that would let go of one.
    fn touched(&self, promise: Promise, root: Row) -> (BTreeSet<Row>, BTreeSet<Row>) {
        let (mut going, mut letting) = (BTreeSet::from([root]), BTreeSet::new());
        let mut open = vec![root];
        while let Some(row) = open.pop() {
            for below in self.below(row) {
                if below.0 == Table::T && !promise.takes_along {
                    letting.insert(below);
                } else if going.insert(below) {
                    open.push(below);
                }
            }
        }
        (going, letting)
    }

    /// The rows that somebody has placed a hold on. A circle under a hold lets a rule rest as a whole, of
    /// which there are cases of its own.
    fn held(&self, promise: Promise) -> BTreeSet<Row> {
        self.named(&self.holds, promise)
    }

    /// Those that a duty keeps, as a hold would.
    fn kept(&self, promise: Promise) -> BTreeSet<Row> {
        self.named(&self.duties, promise)
    }

    fn named(&self, places: &[(Table, Index)], promise: Promise) -> BTreeSet<Row> {
        let place = |(table, index): &(Table, Index)| {
            let all = self.all(*table);
            (!all.is_empty()).then(|| all[index.index(all.len())])
        };
        let places = places.iter().filter(|_| !promise.takes_along);
        places.filter_map(place).collect()
    }

    fn fill(&self, rig: &Rig<'_>, kept: &BTreeSet<Row>) -> Result<()> {
        let owed = |row: Row| {
            OWED[if kept.contains(&row) {
                1 + row.1 % 2
            } else {
                0
            }]
        };
        let mut sql = "UPDATE t SET main_c = NULL; DELETE FROM l; DELETE FROM g; DELETE FROM c; DELETE FROM t;"
            .to_owned();
        for (row, (made, _)) in self.t.iter().enumerate() {
            let _written = write!(
                sql,
                "INSERT INTO t VALUES ({row}, NULL, '{}', 'kept', {});",
                MADE[*made],
                owed((Table::T, row))
            );
        }
        for table in [Table::C, Table::G, Table::L] {
            for row in self.all(table) {
                if let Some((_, above)) = self.above(row) {
                    let (name, id, owed) = (table.name(), row.1, owed(row));
                    let _written =
                        write!(sql, "INSERT INTO {name} VALUES ({id}, {above}, {owed});");
                }
            }
        }
        for row in self.all(Table::T) {
            if let Some((_, above)) = self.above(row) {
                let _written = write!(sql, "UPDATE t SET main_c = {above} WHERE id = {};", row.1);
            }
        }
        rig.sql(&sql).map(drop)
    }
}

/// The places of a table's rows.
fn places(rows: &BTreeSet<Row>, of: Table) -> BTreeSet<usize> {
    let of_table = rows.iter().filter(|(table, _)| *table == of);
    of_table.map(|(_, row)| *row).collect()
}

fn trial(rig: &mut Rig<'_>, number: u32, rows: &Rows, promise: Promise) -> Result<()> {
    let kept = rows.kept(promise);
    rows.fill(rig, &kept)?;
    rig.rules = promise.yaml();
    rig.tables = promise.duties();
    rig.uid = format!("graph-{number}");
    let held = rows.held(promise);
    let ledger = store(rig)?;
    let mut placed = Vec::new();
    for (n, (table, row)) in held.iter().enumerate() {
        let hold = hold(
            rig,
            &format!("h{number}-{n}"),
            table.name(),
            "id",
            &[&row.to_string()],
        )?;
        rig.block_on(place(&ledger, &hold))?;
        placed.push(hold.id);
    }
    let stays = held.union(&kept).copied().collect();
    let outcome = compare(rig, number, rows, promise, &stays);
    for hold in placed {
        rig.block_on(ledger.release_hold(&hold, &released()))?;
    }
    outcome
}

fn compare(
    rig: &Rig<'_>,
    number: u32,
    rows: &Rows,
    promise: Promise,
    held: &BTreeSet<Row>,
) -> Result<()> {
    let (mut gone, mut loose, mut roots) = (BTreeSet::new(), BTreeSet::new(), 0);
    for root in rows.all(Table::T) {
        let (going, letting) = rows.touched(promise, root);
        let touches_held = going.union(&letting).any(|row| held.contains(row));
        if rows.t[root.1].0 == 2 && !touches_held {
            roots += 1;
            gone.extend(going);
            loose.extend(letting);
        }
    }
    let plan = rig.plan()?;
    let rule = plan.rules.last().ok_or_else(|| anyhow!("no rule"))?;
    ensure!(
        rule.eligible == roots,
        "{roots} rows of t are meant: {plan:?}"
    );
    rig.completed(&format!("graph-{number}"))?;
    for table in [Table::T, Table::C, Table::G, Table::L] {
        let all: BTreeSet<Row> = rows.all(table).into_iter().collect();
        let stay = all.difference(&gone).copied().collect();
        let left = ids(rig, &format!("SELECT id FROM {}", table.name()))?;
        let stay = places(&stay, table);
        ensure!(
            left == stay,
            "{stay:?} of {} stay, {left:?} did",
            table.name()
        );
    }
    let stays = |row: &Row| !gone.contains(row);
    let refers = |row: &Row| rows.above(*row).is_some() && !loose.contains(row);
    let refer: BTreeSet<Row> = rows
        .all(Table::T)
        .into_iter()
        .filter(stays)
        .filter(refers)
        .collect();
    ensure!(
        ids(rig, "SELECT id FROM t WHERE main_c IS NOT NULL")? == places(&refer, Table::T),
        "{refer:?} still refer to rows of c"
    );
    let masked = |row: &Row| promise.tiers && rows.t[row.1].0 > 0 && !held.contains(row);
    let masked: BTreeSet<Row> = rows
        .all(Table::T)
        .into_iter()
        .filter(stays)
        .filter(masked)
        .collect();
    ensure!(
        ids(rig, "SELECT id FROM t WHERE note IS NULL")? == places(&masked, Table::T),
        "{masked:?} are anonymised"
    );
    Ok(())
}

fn random_graphs(world: &World, server: Server) -> Result<()> {
    let mut rig = Rig::new(world, server, "model_graph", SCHEMA, "[]")?;
    rig.now = "2025-06-15T12:00:00Z".parse()?;
    let rig = RefCell::new(rig);
    let number = RefCell::new(0);
    // A graph that has failed is tried first the next time, on every engine.
    let kept = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/suite/model_graph.seeds");
    let mut runner = TestRunner::new(Config {
        cases: TRIALS,
        failure_persistence: Some(Box::new(FileFailurePersistence::Direct(kept))),
        ..Config::default()
    });
    let ran = runner.run(&(rows(), promise()), |(rows, promise)| {
        *number.borrow_mut() += 1;
        let number = *number.borrow();
        trial(&mut rig.borrow_mut(), number, &rows, promise)
            .map_err(|error| TestCaseError::fail(format!("{error:#}\n{}", promise.yaml())))
    });
    ran.map_err(|error| anyhow!("{error}"))
}
