//! A piece of work in an engine's spelling: what makes its tables, fills them anew and looks at them
//! afterwards. What the tables are is `layouts`'.

use super::Who;
use super::text::{Text, words};
use crate::catalog::Engine;
use crate::hmac::Pads;
use crate::sql::Bound;
use crate::value::Value;

/// A table of the benchmark.
#[derive(Clone, Copy, Debug)]
pub struct Table {
    /// Its name in the benchmark's schema.
    pub name: &'static str,
    /// Its columns, as CREATE TABLE takes them.
    pub columns: &'static str,
    /// The columns of its key.
    pub key: &'static [&'static str],
    /// Every other column that stays as it is.
    pub others: &'static [&'static str],
    /// The columns that are anonymised: the first gets a pseudonym, the others nothing. None: rows go.
    pub changed: &'static [&'static str],
    /// Names and columns of its indexes.
    pub indexes: &'static [(&'static str, &'static str)],
    /// Its foreign keys, as ALTER TABLE takes them.
    pub references: &'static [&'static str],
    /// How it is partitioned.
    pub partitions: Option<Partitions>,
    /// The query that makes its rows; `{1}` is the number of rows of the first table.
    pub rows: &'static str,
    /// The highest number that this query needs, as a multiple of it.
    pub times: i64,
    /// Which of its rows stay, of the table that they are copied from. Never NULL.
    pub kept: &'static str,
    /// Which of its rows are enough to try something that needs no many.
    pub some: &'static str,
}

/// How a table is partitioned.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Partitions {
    /// By a hash of the key, in four: each has rows of every age.
    Hash,
    /// By the years 2017 to 2020, and all later ones.
    Years,
}

/// One piece of work.
#[derive(Clone, Copy, Debug)]
pub struct Layout {
    /// The tables, the rule's own first; each after those that it refers to.
    pub tables: &'static [Table],
    /// Which rows of the first table are due.
    pub due: &'static str,
    /// The rule, without its table.
    pub rule: &'static str,
    /// What somebody types who does it by hand, the statement about the first table last.
    pub by_hand: &'static [&'static str],
    /// The same for one row, but for its key at the end.
    pub one: &'static str,
    /// How somebody changes their mind about a row.
    pub race: Option<Race>,
    /// Who is measured beside a single statement and this program.
    pub others: &'static [Who],
    /// Whether its first table is the large one.
    pub is_large: bool,
}

/// How a row is renewed by somebody while another one deletes.
#[derive(Clone, Copy, Debug)]
pub struct Race {
    /// Answers the number of a row that is due, of those few.
    pub pick: &'static str,
    /// What makes the row `{1}` stay.
    pub renew: &'static [&'static str],
    /// How many rows of that number are there as they should be.
    pub spared: &'static str,
}

/// The key of pseudonyms. It protects nobody.
pub const KEY: &str = "a key of the benchmark, of 32 bytes or more";

impl Layout {
    /// The statements about each of its tables, in order.
    pub fn tables(&self, engine: Engine) -> impl DoubleEndedIterator<Item = TableSql<'_>> {
        self.tables.iter().map(move |table| TableSql {
            engine,
            layout: self,
            table,
        })
    }

    /// Whether it makes pseudonyms.
    pub fn is_keyed(&self) -> bool {
        self.tables.iter().any(|table| !table.changed.is_empty())
    }

    /// What gives a session of somebody who types the key of pseudonyms, where one is needed.
    pub fn session(&self, engine: Engine) -> Vec<Bound> {
        if !self.is_keyed() {
            return Vec::new();
        }
        let pads = Pads::of_key(KEY.as_bytes());
        let [inner, outer] =
            [pads.inner_hex(), pads.outer_hex()].map(|hex| Value::Text(hex.to_string()));
        match engine {
            Engine::Postgres => vec![Bound::fixed(
                "SELECT set_config('oubliette_bench.inner', $1, false), \
                 set_config('oubliette_bench.outer', $2, false)",
                vec![inner, outer],
            )],
            Engine::MySql | Engine::MariaDb => vec![
                Bound::fixed("SET @oubliette_bench_inner = UNHEX(?)", vec![inner]),
                Bound::fixed("SET @oubliette_bench_outer = UNHEX(?)", vec![outer]),
            ],
        }
    }
}

/// Statements about a table of a piece of work, in an engine's spelling.
#[derive(Clone, Copy, Debug)]
pub struct TableSql<'t> {
    /// The engine.
    pub engine: Engine,
    /// The piece of work.
    pub layout: &'t Layout,
    /// The table.
    pub table: &'t Table,
}

impl TableSql<'_> {
    /// Writes a statement about the table.
    pub(super) fn write(&self, values: &[Value], say: impl FnOnce(&mut Text<'_>, &Table)) -> Bound {
        let table = self.table;
        let mut meant = vec![
            ("t", table.name),
            ("columns", table.columns),
            ("rows", table.rows),
            ("kept", table.kept),
            ("some", table.some),
            ("due", self.layout.due),
        ];
        meant.extend(words(self.engine));
        let mut text = Text::new(self.engine, &meant, values);
        say(&mut text, table);
        text.finish()
    }

    /// Writes a statement that is one text.
    pub(super) fn say(&self, piece: &'static str, values: &[Value]) -> Bound {
        self.write(values, |text, _| {
            text.say(piece);
        })
    }

    /// Makes what each run begins with a copy of, without a row.
    pub fn originals(&self) -> Bound {
        self.create("CREATE TABLE {s}{t}_all", None)
    }

    /// Makes those rows.
    pub fn fill(&self, rows: i64) -> Bound {
        self.say("INSERT INTO {s}{t}_all {rows}", &[Value::Int(rows)])
    }

    /// Removes those rows.
    pub fn forget(&self) -> Bound {
        self.say("DROP TABLE IF EXISTS {s}{t}_all", &[])
    }

    /// Makes the table, without a row.
    pub fn make(&self) -> Vec<Bound> {
        let partitions = self.table.partitions;
        let mut all = vec![self.create("CREATE TABLE {s}{t}", partitions)];
        let leaves: &[&'static str] = match partitions.filter(|_| self.is_postgres()) {
            None => &[],
            Some(Partitions::Hash) => &[
                "_0 PARTITION OF {s}{t} FOR VALUES WITH (MODULUS 4, REMAINDER 0)",
                "_1 PARTITION OF {s}{t} FOR VALUES WITH (MODULUS 4, REMAINDER 1)",
                "_2 PARTITION OF {s}{t} FOR VALUES WITH (MODULUS 4, REMAINDER 2)",
                "_3 PARTITION OF {s}{t} FOR VALUES WITH (MODULUS 4, REMAINDER 3)",
            ],
            Some(Partitions::Years) => &[
                "_2017 PARTITION OF {s}{t} FOR VALUES FROM ('2017-01-01') TO ('2018-01-01')",
                "_2018 PARTITION OF {s}{t} FOR VALUES FROM ('2018-01-01') TO ('2019-01-01')",
                "_2019 PARTITION OF {s}{t} FOR VALUES FROM ('2019-01-01') TO ('2020-01-01')",
                "_2020 PARTITION OF {s}{t} FOR VALUES FROM ('2020-01-01') TO ('2021-01-01')",
                "_later PARTITION OF {s}{t} FOR VALUES FROM ('2021-01-01') TO (MAXVALUE)",
            ],
        };
        all.extend(leaves.iter().map(|leaf| {
            self.write(&[], |text, _| {
                text.say("CREATE TABLE {s}{t}").say(leaf).say(ALONE);
            })
        }));
        all
    }

    fn create(&self, text: &'static str, partitions: Option<Partitions>) -> Bound {
        let end = match (self.is_postgres(), partitions) {
            (true, None) => ALONE,
            (true, Some(Partitions::Hash)) => " PARTITION BY HASH (id)",
            (true, Some(Partitions::Years)) => " PARTITION BY RANGE (held_on)",
            (false, None) => " ENGINE = InnoDB",
            (false, Some(Partitions::Hash)) => {
                " ENGINE = InnoDB PARTITION BY HASH (id) PARTITIONS 4"
            }
            (false, Some(Partitions::Years)) => {
                " ENGINE = InnoDB PARTITION BY RANGE COLUMNS (held_on) \
                 (PARTITION y2017 VALUES LESS THAN ('2018-01-01'), \
                 PARTITION y2018 VALUES LESS THAN ('2019-01-01'), \
                 PARTITION y2019 VALUES LESS THAN ('2020-01-01'), \
                 PARTITION y2020 VALUES LESS THAN ('2021-01-01'), \
                 PARTITION later VALUES LESS THAN (MAXVALUE))"
            }
        };
        self.write(&[], |sql, table| {
            sql.say(text).say(" ({columns}, PRIMARY KEY (");
            sql.each(table.key, ", ", "{}").say("))").say(end);
        })
    }

    fn is_postgres(&self) -> bool {
        self.engine == Engine::Postgres
    }

    /// Fills the table with a copy of the rows, or of a few of them.
    pub fn copy(&self, all: bool) -> Bound {
        self.write(&[], |text, table| {
            text.say("INSERT INTO {s}{t} SELECT * FROM {s}{t}_all");
            text.say(if all {
                " ORDER BY "
            } else {
                " WHERE {some} ORDER BY "
            });
            text.each(table.key, ", ", "{}");
        })
    }

    /// Makes the indexes of the table, and what it refers to.
    pub fn indexes(&self) -> Vec<Bound> {
        let index = |(name, columns): &(&'static str, &'static str)| {
            self.write(&[], |text, _| {
                text.say("CREATE INDEX ").say(name).say(" ON {s}{t} (");
                text.say(columns).say(")");
            })
        };
        let reference = |reference: &&'static str| {
            self.write(&[], |text, _| {
                text.say("ALTER TABLE {s}{t} ").say(reference);
            })
        };
        let indexes = self.table.indexes.iter().map(index);
        indexes
            .chain(self.table.references.iter().map(reference))
            .collect()
    }

    /// Removes the table, if it is there.
    pub fn unmake(&self) -> Bound {
        self.say("DROP TABLE IF EXISTS {s}{t}", &[])
    }

    /// What makes statistics of a new table, so that they do not come while it is worked on; and on
    /// PostgreSQL what notes which rows all can see, as of a table that has been there.
    pub fn settle(&self) -> Bound {
        self.say(
            match self.engine {
                Engine::Postgres => "VACUUM (ANALYZE) {s}{t}",
                Engine::MySql | Engine::MariaDb => "ANALYZE TABLE {s}{t}",
            },
            &[],
        )
    }

    /// Which rows are due, for those who write their own statements.
    pub fn condition(&self) -> Bound {
        self.say("{due}", &[])
    }

    /// How many rows are to be changed.
    pub fn due(&self) -> Bound {
        self.say("SELECT count(*) FROM {s}{t}_all WHERE NOT ({kept})", &[])
    }

    /// How many rows are there, and how many should be.
    pub fn left(&self) -> [Bound; 2] {
        let meant = if self.table.changed.is_empty() {
            "SELECT count(*) FROM {s}{t}_all WHERE {kept}"
        } else {
            "SELECT count(*) FROM {s}{t}_all"
        };
        [
            self.say("SELECT count(*) FROM {s}{t}", &[]),
            self.say(meant, &[]),
        ]
    }

    /// How many of those that were to stay are there as they were, in every column, and how many should
    /// be.
    pub fn unchanged(&self) -> [Bound; 2] {
        let found = self.write(&[], |text, table| {
            text.say(
                "SELECT count(*) FROM (SELECT * FROM {s}{t}_all WHERE {kept}) AS a JOIN {s}{t} AS w ON ",
            );
            text.each(table.key, " AND ", "w.{} = a.{}");
            for columns in [table.others, table.changed] {
                text.each(columns, "", " AND w.{} {same} a.{}");
            }
        });
        [
            found,
            self.say("SELECT count(*) FROM {s}{t}_all WHERE {kept}", &[]),
        ]
    }

    /// How many of those that were to be anonymised are there without what was to go and otherwise as they
    /// were, and how many should be. None: rows go.
    pub fn anonymised(&self) -> Option<[Bound; 2]> {
        let (_, cleared) = self.table.changed.split_first()?;
        let found = self.write(&[], |text, table| {
            text.say(
                "SELECT count(*) FROM (SELECT * FROM {s}{t}_all WHERE NOT ({kept})) AS a \
                 JOIN {s}{t} AS w ON ",
            );
            text.each(table.key, " AND ", "w.{} = a.{}");
            text.each(table.others, "", " AND w.{} {same} a.{}");
            text.each(cleared, "", " AND w.{} IS NULL");
        });
        Some([found, self.due()])
    }

    /// What had to get a pseudonym and what it is now, the next of so many behind a number.
    pub fn pseudonyms(&self, behind: i64) -> Option<Bound> {
        let name = self.table.changed.first()?;
        Some(self.write(&[Value::Int(behind)], |text, _| {
            text.say("SELECT a.id, a.").say(name).say(", w.").say(name);
            text.say(
                " FROM (SELECT * FROM {s}{t}_all WHERE id > {1} AND NOT ({kept}) ORDER BY id LIMIT 10000) \
                 AS a LEFT JOIN {s}{t} AS w ON w.id = a.id ORDER BY a.id",
            );
        }))
    }

    /// The three parts of a race for a row: what answers the number of one, what renews it, how many are
    /// spared.
    pub fn race(&self) -> Option<RaceSql> {
        let Race {
            pick,
            renew,
            spared,
        } = self.layout.race?;
        Some(RaceSql {
            pick: self.say(pick, &[]),
            renew,
            spared,
        })
    }

    /// A text of a race about a row.
    pub fn about(&self, piece: &'static str, row: i64) -> Bound {
        self.say(piece, &[Value::Int(row)])
    }
}

/// A race in an engine's spelling.
#[derive(Clone, Debug)]
pub struct RaceSql {
    /// Answers the number of a row.
    pub pick: Bound,
    /// What renews it, for [`TableSql::about`].
    pub renew: &'static [&'static str],
    /// What counts it, for [`TableSql::about`].
    pub spared: &'static str,
}

/// The end of what makes a table of rows on PostgreSQL: autovacuum would come at another time in each run.
const ALONE: &str = " WITH (autovacuum_enabled = false)";

/// The numbers that rows are made from.
#[derive(Clone, Copy, Debug)]
pub struct Numbers(pub Engine);

impl Numbers {
    fn write(self, text: &'static str, values: &[Value]) -> Bound {
        let mut sql = Text::new(self.0, &[], values);
        sql.say(text);
        sql.finish()
    }

    /// Makes the table with the number 1, in two statements.
    pub fn make(self) -> [Bound; 2] {
        [
            self.write(
                "CREATE TABLE {s}numbers (n bigint NOT NULL PRIMARY KEY)",
                &[],
            ),
            self.write("INSERT INTO {s}numbers VALUES (1)", &[]),
        ]
    }

    /// Doubles them, up to a last one.
    pub fn double(self, so_far: i64, last: i64) -> Bound {
        self.write(
            "INSERT INTO {s}numbers SELECT n + {1} FROM {s}numbers WHERE n <= {2}",
            &[Value::Int(so_far), Value::Int(so_far.min(last - so_far))],
        )
    }
}

#[cfg(test)]
mod tests {
    use super::super::layouts::layout;
    use super::super::peer::peer;
    use super::super::{Who, Work};
    use super::*;

    /// Every statement of a piece of work.
    fn all(engine: Engine, layout: &'static Layout) -> Vec<Bound> {
        let mut all = Vec::new();
        for table in layout.tables(engine) {
            all.extend([
                table.originals(),
                table.fill(7),
                table.forget(),
                table.due(),
            ]);
            all.extend(table.make());
            all.extend([
                table.copy(true),
                table.copy(false),
                table.unmake(),
                table.settle(),
            ]);
            all.extend(table.indexes());
            all.extend(table.left().into_iter().chain(table.unchanged()));
            all.extend(table.anonymised().into_iter().flatten());
            all.extend(table.pseudonyms(3));
        }
        for who in Who::ALL {
            all.extend(
                peer(who, engine, layout)
                    .into_iter()
                    .flat_map(|peer| peer.sample()),
            );
        }
        if let Some((first, race)) = layout
            .tables(engine)
            .next()
            .and_then(|t| Some((t, t.race()?)))
        {
            all.push(race.pick);
            all.extend(race.renew.iter().map(|text| first.about(text, 9)));
            all.push(first.about(race.spared, 9));
        }
        all
    }

    #[test]
    fn every_word_is_spelt_and_every_value_bound() {
        for engine in [Engine::Postgres, Engine::MySql, Engine::MariaDb] {
            for layout in Work::ALL.into_iter().filter_map(layout) {
                for bound in all(engine, layout) {
                    let text = bound.sql.text();
                    assert!(!text.contains(['{', '}']), "{engine:?}: {text}");
                    let places = match engine {
                        Engine::Postgres => text.matches('$').count(),
                        Engine::MySql | Engine::MariaDb => text.matches('?').count(),
                    };
                    assert_eq!(places, bound.values.len(), "{engine:?}: {text}");
                }
            }
        }
    }
}
