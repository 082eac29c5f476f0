//! Random rules on random rows, against a model that selects the rows slowly and obviously: what is
//! changed in the databases equals what the model says, on all engines.

use std::cell::RefCell;
use std::collections::BTreeSet;
use std::fmt::Write as _;

use anyhow::{Result, anyhow, ensure};
use proptest::prelude::*;
use proptest::test_runner::{Config, FileFailurePersistence, TestRunner};

use crate::case::{Case, Server};
use crate::rig::Rig;
use crate::world::World;

/// Rules tried on each server.
const TRIALS: u32 = 16;

/// The cases.
pub(crate) fn cases() -> Vec<Case> {
    Case::on_each(
        "model::random_rules_change_what_the_model_says",
        &Server::ALL,
        random_rules,
    )
}

const SCHEMA: &str = "
    CREATE TABLE p (id integer NOT NULL PRIMARY KEY, closed date NULL);
    CREATE TABLE t (id integer NOT NULL PRIMARY KEY, p_id integer NULL, made date NULL, flag varchar(4) NULL,
        email varchar(40) NULL, note varchar(10) NULL, FOREIGN KEY (p_id) REFERENCES p (id));
    CREATE TABLE c (id integer NOT NULL PRIMARY KEY, t_id integer NOT NULL, ended date NULL, kind varchar(4) NOT NULL,
        FOREIGN KEY (t_id) REFERENCES t (id));
    CREATE TABLE g (id integer NOT NULL PRIMARY KEY, c_id integer NOT NULL, held date NULL,
        FOREIGN KEY (c_id) REFERENCES c (id));
    CREATE TABLE k (id integer NOT NULL PRIMARY KEY, email varchar(40) NULL, state varchar(4) NOT NULL);
    CREATE INDEX t_p ON t (p_id); CREATE INDEX c_t ON c (t_id); CREATE INDEX g_c ON g (c_id)";

/// A reading of a clock.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Day {
    Open,
    Expired,
    Fresh,
    Implausible,
}

impl Day {
    fn sql(self) -> &'static str {
        match self {
            Self::Open => "NULL",
            // The day before and the day after the cutoff of the cases' instant.
            Self::Expired => "'2024-06-14'",
            Self::Fresh => "'2024-06-16'",
            Self::Implausible => "'1900-01-01'",
        }
    }
}

fn day() -> impl Strategy<Value = Day> {
    prop_oneof![
        1 => Just(Day::Open),
        6 => Just(Day::Expired),
        2 => Just(Day::Fresh),
        1 => Just(Day::Implausible),
    ]
}

const EMAILS: [Option<&str>; 6] = [
    None,
    Some(""),
    Some("a@x"),
    Some(" A@X "),
    Some("é@x"),
    Some("É@x"),
];

fn email() -> impl Strategy<Value = Option<&'static str>> {
    prop::sample::select(&EMAILS[..])
}

fn normalised(email: Option<&str>) -> Option<String> {
    let text = email?.trim_matches(' ').to_ascii_lowercase();
    (!text.is_empty()).then_some(text)
}

#[derive(Clone, Debug)]
struct T {
    parent: Option<usize>,
    made: Day,
    flag: Option<&'static str>,
    email: Option<&'static str>,
}

#[derive(Clone, Debug)]
struct Rows {
    p: Vec<Day>,
    t: Vec<T>,
    /// The row of `t`, by its place; the clock; the kind.
    c: Vec<(prop::sample::Index, Day, &'static str)>,
    /// The row of `c`, by its place; the clock.
    g: Vec<(prop::sample::Index, Day)>,
    k: Vec<(Option<&'static str>, &'static str)>,
}

fn rows() -> impl Strategy<Value = Rows> {
    let kind = || prop::sample::select(&["x", "z"][..]);
    let t = (
        prop::option::of(0_usize..3),
        day(),
        prop::option::of(prop::sample::select(&["a", "A", "b"][..])),
        email(),
    )
        .prop_map(|(parent, made, flag, email)| T {
            parent,
            made,
            flag,
            email,
        });
    let index = any::<prop::sample::Index>;
    (
        prop::collection::vec(day(), 3),
        prop::collection::vec(t, 1..14),
        prop::collection::vec((index(), day(), kind()), 0..14),
        prop::collection::vec((index(), day()), 0..14),
        prop::collection::vec((email(), kind()), 0..3),
    )
        .prop_map(|(p, t, c, g, k)| Rows { p, t, c, g, k })
}

#[derive(Clone, Copy, Debug)]
enum Since {
    Made,
    /// Of rows of `c`, or only of those of kind x.
    Latest {
        only_x: bool,
    },
    LatestVia {
        ignored: bool,
    },
    Parent {
        otherwise: bool,
    },
}

#[derive(Clone, Copy, Debug)]
struct Promise {
    since: Since,
    flagged: bool,
    unless_known: bool,
    only_if_x: bool,
    deletes: bool,
}

fn promise() -> impl Strategy<Value = Promise> {
    let since = prop_oneof![
        Just(Since::Made),
        any::<bool>().prop_map(|only_x| Since::Latest { only_x }),
        any::<bool>().prop_map(|ignored| Since::LatestVia { ignored }),
        any::<bool>().prop_map(|otherwise| Since::Parent { otherwise }),
    ];
    (
        since,
        any::<bool>(),
        any::<bool>(),
        prop::bool::weighted(0.25),
        any::<bool>(),
    )
        .prop_map(
            |(since, flagged, unless_known, only_if_x, deletes)| Promise {
                since,
                flagged,
                unless_known,
                only_if_x,
                deletes,
            },
        )
}

impl Promise {
    fn yaml(self) -> String {
        let own = "match: [{column: t_id, equals: id}]";
        let since = match self.since {
            Since::Made => "{column: made}".to_owned(),
            Since::Latest { only_x } => format!(
                "{{latest: {{table: '${{schema}}.c', {own}, column: ended{}}}, otherwise: {{column: made}}}}",
                if only_x {
                    ", where: [{column: kind, operator: In, values: [x]}]"
                } else {
                    ""
                }
            ),
            Since::LatestVia { ignored } => format!(
                "{{latest: {{via: {{table: '${{schema}}.c', {own}, withoutRows: {}}}, table: '${{schema}}.g', \
                 match: [{{column: c_id, equals: id}}], column: held}}, otherwise: {{column: made}}}}",
                if ignored { "Ignored" } else { "Open" }
            ),
            Since::Parent { otherwise } => format!(
                "{{parent: {{table: '${{schema}}.p', match: [{{column: id, equals: p_id}}], column: closed}}{}}}",
                if otherwise {
                    ", otherwise: {column: made}"
                } else {
                    ""
                }
            ),
        };
        let mut yaml = format!("- table: ${{schema}}.t\n  since: {since}\n");
        if self.flagged {
            yaml.push_str("  where: [{column: flag, operator: In, values: [a]}]\n");
        }
        if self.unless_known {
            yaml.push_str(
                "  unless: [{table: '${schema}.k', match: [{column: email, equals: email, \
                 normalise: LowercaseTrim}], where: [{column: state, operator: In, values: [x]}]}]\n",
            );
        }
        if self.only_if_x {
            let _written = writeln!(
                yaml,
                "  onlyIf: [{{table: '${{schema}}.c', {own}, \
                 where: [{{column: kind, operator: NotIn, values: [z]}}]}}]"
            );
        }
        if self.deletes {
            yaml.push_str(
                "  related:\n  \
                 - {table: '${schema}.c', of: '${schema}.t', match: [{column: t_id, equals: id}], action: {type: Delete}}\n  \
                 - {table: '${schema}.g', of: '${schema}.c', match: [{column: c_id, equals: id}], action: {type: Delete}}\n",
            );
        } else {
            yaml.push_str(
                "  action: {type: Anonymise, columns: [{column: note, strategy: Nullify}]}\n",
            );
        }
        yaml
    }
}

impl Rows {
    fn fill(&self, rig: &Rig<'_>) -> Result<()> {
        let text = |value: Option<&str>| value.map_or("NULL".to_owned(), |v| format!("'{v}'"));
        let mut sql =
            "DELETE FROM g; DELETE FROM c; DELETE FROM t; DELETE FROM p; DELETE FROM k;".to_owned();
        let mut add = |table: &str, values: Vec<String>| {
            for value in values {
                let _written = write!(sql, " INSERT INTO {table} VALUES ({value});");
            }
        };
        let places = |n: usize| 0..n;
        add(
            "p",
            places(self.p.len())
                .map(|i| format!("{i}, {}", self.p[i].sql()))
                .collect(),
        );
        let t = |i: usize| {
            let row = &self.t[i];
            let parent = row.parent.map_or("NULL".to_owned(), |p| p.to_string());
            let (flag, email) = (text(row.flag), text(row.email));
            format!("{i}, {parent}, {}, {flag}, {email}, 'kept'", row.made.sql())
        };
        add("t", places(self.t.len()).map(t).collect());
        let c = |(i, (t, ended, kind)): (usize, &(prop::sample::Index, Day, &str))| {
            format!("{i}, {}, {}, '{kind}'", t.index(self.t.len()), ended.sql())
        };
        add("c", self.c.iter().enumerate().map(c).collect());
        let g = |(i, (c, held)): (usize, &(prop::sample::Index, Day))| {
            format!("{i}, {}, {}", c.index(self.c.len()), held.sql())
        };
        if !self.c.is_empty() {
            add("g", self.g.iter().enumerate().map(g).collect());
        }
        let k = |(i, (email, state)): (usize, &(Option<&str>, &str))| {
            format!("{i}, {}, '{state}'", text(*email))
        };
        add("k", self.k.iter().enumerate().map(k).collect());
        rig.sql(&sql).map(drop)
    }

    fn children(&self, t: usize) -> impl Iterator<Item = usize> {
        (0..self.c.len()).filter(move |i| self.c[*i].0.index(self.t.len()) == t)
    }

    fn grandchildren(&self, c: usize) -> impl Iterator<Item = usize> {
        (0..self.g.len()).filter(move |i| self.g[*i].0.index(self.c.len()) == c)
    }

    /// Whether the promise reaches a row of `t`.
    fn is_meant(&self, promise: Promise, t: usize) -> bool {
        let row = &self.t[t];
        let known = || {
            let email = normalised(row.email);
            let mut known = self.k.iter().filter(|(_, state)| *state == "x");
            email.is_some() && known.any(|(other, _)| normalised(*other) == email)
        };
        let has_x = || self.children(t).any(|c| self.c[c].2 == "x");
        (!promise.flagged || row.flag == Some("a"))
            && !(promise.unless_known && known())
            && (!promise.only_if_x || has_x())
            && self.has_expired(promise, t)
    }

    fn has_expired(&self, promise: Promise, t: usize) -> bool {
        let row = &self.t[t];
        let mut open = false;
        let (days, otherwise): (Vec<Day>, bool) = match promise.since {
            Since::Made => return row.made == Day::Expired,
            Since::Latest { only_x } => {
                let children = self.children(t).filter(|c| !only_x || self.c[*c].2 == "x");
                (children.map(|c| self.c[c].1).collect(), true)
            }
            Since::LatestVia { ignored } => {
                let mut days = Vec::new();
                for c in self.children(t) {
                    let before = days.len();
                    days.extend(self.grandchildren(c).map(|g| self.g[g].1));
                    open |= !ignored && days.len() == before;
                }
                (days, true)
            }
            Since::Parent { otherwise } => (
                row.parent.map(|p| self.p[p]).into_iter().collect(),
                otherwise,
            ),
        };
        if open {
            false
        } else if days.is_empty() {
            otherwise && row.made == Day::Expired
        } else {
            days.iter().all(|day| *day == Day::Expired)
        }
    }
}

/// The numbers that a query gives.
pub(crate) fn ids(rig: &Rig<'_>, sql: &str) -> Result<BTreeSet<usize>> {
    let rows = rig.rows(sql)?;
    let ids = rows.iter().map(|row| {
        let id = row.first().cloned().flatten();
        let id = id.and_then(|id| id.parse().ok());
        id.ok_or_else(|| anyhow!("no number: {row:?}"))
    });
    ids.collect()
}

fn trial(rig: &mut Rig<'_>, number: u32, rows: &Rows, promise: Promise) -> Result<()> {
    rows.fill(rig)?;
    rig.rules = promise.yaml();
    let meant: BTreeSet<usize> = (0..rows.t.len())
        .filter(|t| rows.is_meant(promise, *t))
        .collect();
    let planned = rig.plan()?;
    let counted = i64::try_from(meant.len())?;
    ensure!(
        planned.rules[0].eligible == counted,
        "{meant:?} are meant: {planned:?}"
    );
    rig.uid = format!("model-{number}");
    let counts = rig.completed(&format!("model-{number}"))?;
    ensure!(counts[0][0] == counted, "{meant:?} are meant: {counts:?}");
    let changed = if promise.deletes {
        let left = ids(rig, "SELECT id FROM t")?;
        (0..rows.t.len()).filter(|t| !left.contains(t)).collect()
    } else {
        ids(rig, "SELECT id FROM t WHERE note IS NULL")?
    };
    ensure!(changed == meant, "{meant:?} are meant, {changed:?} changed");
    let goes = |t: usize| promise.deletes && meant.contains(&t);
    let children: BTreeSet<usize> = (0..rows.c.len())
        .filter(|c| !goes(rows.c[*c].0.index(rows.t.len())))
        .collect();
    ensure!(
        ids(rig, "SELECT id FROM c")? == children,
        "{children:?} of c stay"
    );
    let grandchildren: BTreeSet<usize> = (0..rows.g.len())
        .filter(|g| !rows.c.is_empty() && children.contains(&rows.g[*g].0.index(rows.c.len())))
        .collect();
    ensure!(
        ids(rig, "SELECT id FROM g")? == grandchildren,
        "{grandchildren:?} of g stay"
    );
    Ok(())
}

fn random_rules(world: &World, server: Server) -> Result<()> {
    let mut rig = Rig::new(world, server, "model", SCHEMA, "[]")?;
    rig.now = "2025-06-15T12:00:00Z".parse()?;
    let rig = RefCell::new(rig);
    let number = RefCell::new(0);
    // A rule that has failed is tried first the next time, on every engine.
    let kept = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/suite/model.seeds");
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
