//! The ledger's tables and their versions. A migration is a list of statements that may be repeated:
//! MySQL commits each by itself, and a program may die between two.

use crate::catalog::Engine;
use crate::name::Ident;
use crate::sql::{Bound, Writer, dialect};
use crate::value::Value;

/// The version this program writes. A ledger with a higher one is refused.
pub const VERSION: i64 = 1;

/// Where a ledger is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ledger {
    /// The engine.
    pub engine: Engine,
    /// The schema; on InnoDB the prefix of its tables in the database itself, so that a dump of
    /// the database carries them (SQL.md section 7).
    pub place: Ident,
}

impl Ledger {
    pub(super) fn writer(&self) -> Writer<'static> {
        Writer::new(dialect(self.engine))
    }

    /// Writes one of the ledger's tables. `name` is one of `TABLES`.
    pub(super) fn table(&self, w: &mut Writer<'_>, name: &'static str) {
        if self.engine.is_innodb() {
            w.prefixed(&self.place, name);
        } else {
            w.ident(&self.place).sql(".").sql(name);
        }
    }

    /// Whether the schema is there, as a row; `None`: it needs none.
    pub fn place_present(&self) -> Option<Bound> {
        (self.engine == Engine::Postgres).then(|| {
            Bound::fixed(
                "SELECT 1::bigint FROM pg_catalog.pg_namespace WHERE nspname = $1::text",
                vec![Value::Text(self.place.as_str().to_owned())],
            )
        })
    }

    /// Statements that bring a ledger from nothing to this version; each may be repeated. Where the
    /// schema is there it is not created: IF NOT EXISTS needs the privilege all the same.
    pub fn create(&self, place_is_there: bool) -> Vec<Bound> {
        let mut all = Vec::new();
        if self.engine == Engine::Postgres && !place_is_there {
            let mut w = self.writer();
            w.sql("CREATE SCHEMA IF NOT EXISTS ").ident(&self.place);
            all.push(w.finish());
        }
        for (name, postgres, innodb) in CREATE {
            let mut w = self.writer();
            w.sql("CREATE TABLE IF NOT EXISTS ");
            self.table(&mut w, name);
            w.sql(" (");
            if self.engine.is_innodb() {
                w.sql(innodb);
                w.sql(") ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_bin");
            } else {
                w.sql(postgres).sql(")");
            }
            all.push(w.finish());
        }
        all.push(self.first_head());
        all
    }

    /// Claims an ownerless ledger; changes nothing where there is an owner.
    pub fn claim(&self, cluster: &str, database: &str) -> Bound {
        let mut w = self.writer();
        self.insert_new(&mut w, "meta");
        w.sql("(id, version, owner_cluster, owner_database) VALUES (1, ");
        w.bind(Value::Int(VERSION)).sql(", ");
        w.bind(Value::Text(cluster.to_owned())).sql(", ");
        w.bind(Value::Text(database.to_owned())).sql(")");
        self.unless_present(&mut w);
        w.finish()
    }

    pub(super) fn insert_new(&self, w: &mut Writer<'_>, table: &'static str) {
        w.sql(if self.engine.is_innodb() {
            "INSERT IGNORE INTO "
        } else {
            "INSERT INTO "
        });
        self.table(w, table);
        w.sql(" ");
    }

    pub(super) fn unless_present(&self, w: &mut Writer<'_>) {
        if !self.engine.is_innodb() {
            w.sql(" ON CONFLICT DO NOTHING");
        }
    }

    /// The names of the ledger's tables that exist: all of `TABLES` where nobody died while creating
    /// them.
    pub fn present(&self) -> Bound {
        let mut w = self.writer();
        if self.engine.is_innodb() {
            w.sql(
                "SELECT table_name FROM information_schema.tables WHERE table_type = 'BASE TABLE' \
                 AND table_schema = DATABASE() AND table_name IN (",
            );
        } else {
            w.sql("SELECT tablename::text FROM pg_catalog.pg_tables WHERE schemaname = ")
                .bind(Value::Text(self.place.as_str().to_owned()))
                .sql(" AND tablename IN (");
        }
        w.joined(super::TABLES, ", ", |w, name| {
            w.bind(Value::Text(self.stored(name)));
        });
        w.sql(")");
        w.finish()
    }

    /// The tables that `present` did not find, as people name them.
    pub fn missing(&self, found: &[String]) -> Vec<String> {
        let named = |name: &str| {
            if self.engine.is_innodb() {
                self.stored(name)
            } else {
                format!("{}.{name}", self.place)
            }
        };
        let missing = super::TABLES
            .iter()
            .filter(|name| !found.contains(&self.stored(name)));
        missing.map(|name| named(name)).collect()
    }

    /// Whether a ledger is there, of this version or an earlier one.
    pub fn is_whole(&self, found: &[String]) -> bool {
        let mut first = super::TABLES.iter().filter(|t| !super::ADDED.contains(t));
        first.all(|name| found.contains(&self.stored(name)))
    }

    /// Whether the table of digests is among those that `present` found.
    pub fn has_erased(&self, found: &[String]) -> bool {
        found.contains(&self.stored("erased"))
    }

    /// Whether the table of persons whose requests are open is among those that `present` found.
    pub fn has_subjects(&self, found: &[String]) -> bool {
        found.contains(&self.stored("subject"))
    }

    /// Whether the table of legal holds is among those that `present` found.
    pub fn has_holds(&self, found: &[String]) -> bool {
        found.contains(&self.stored("hold"))
    }

    /// The table of legal holds as people name it, where it is missing from a ledger that is otherwise
    /// there: it may have held something.
    pub fn lost_holds(&self, found: &[String]) -> Option<String> {
        if self.has_holds(found) || !found.contains(&self.stored("meta")) {
            return None;
        }
        let missing = self.missing(found).into_iter();
        missing.into_iter().find(|name| name.ends_with("hold"))
    }

    /// A table's name without its schema.
    fn stored(&self, name: &str) -> String {
        if self.engine.is_innodb() {
            format!("{}_{name}", self.place)
        } else {
            name.to_owned()
        }
    }

    /// The head of an empty chain; changes nothing where there is one.
    pub fn first_head(&self) -> Bound {
        let mut w = self.writer();
        self.insert_new(&mut w, "chain_head");
        w.sql("(id, hash, length) VALUES (1, '', 0)");
        self.unless_present(&mut w);
        w.finish()
    }

    /// The grants a user needs on a ledger that somebody else has created.
    pub fn grants(&self, user: &str) -> Vec<String> {
        let mut all = Vec::new();
        if self.engine == Engine::Postgres {
            let mut w = self.writer();
            w.sql("GRANT USAGE ON SCHEMA ").ident(&self.place);
            all.push(format!("{} TO {user};", w.finish().sql.text()));
        }
        for table in super::TABLES {
            let mut w = self.writer();
            // What has ended goes.
            w.sql(if *table == "erased" {
                "GRANT SELECT, INSERT, UPDATE, DELETE ON "
            } else {
                "GRANT SELECT, INSERT, UPDATE ON "
            });
            self.table(&mut w, table);
            all.push(format!("{} TO {user};", w.finish().sql.text()));
        }
        all
    }
}

/// Whether a table is one of a ledger's, by its name and columns: also where another TargetDatabase
/// keeps its own under another schema or prefix.
pub fn looks_like_a_ledgers(engine: Engine, table: &str, columns: &[&str]) -> bool {
    CREATE.iter().any(|(name, definition, _)| {
        let named = if engine.is_innodb() {
            table
                .strip_suffix(name)
                .is_some_and(|rest| rest.ends_with('_'))
        } else {
            table == *name
        };
        named && columns_of(definition).all(|column| columns.contains(&column))
    })
}

/// The columns that a table's definition begins with.
fn columns_of(definition: &str) -> impl Iterator<Item = &str> {
    definition
        .split(',')
        .filter_map(|part| part.split_whitespace().next())
        .take_while(|word| *word != "PRIMARY")
}

/// The ledger's SQL as a script for an administrator, with the user's grants.
pub fn printed(ledger: &Ledger, user: &str) -> String {
    let mut script = String::new();
    for bound in ledger.create(false) {
        script.push_str(bound.sql.text());
        script.push_str(";\n");
    }
    for grant in ledger.grants(user) {
        script.push_str(&grant);
        script.push('\n');
    }
    script
}

/// Name, columns on PostgreSQL, columns on InnoDB. Times are RFC 3339 text in UTC: the ledger's own
/// arithmetic needs none, and text reads the same everywhere.
const CREATE: &[(&str, &str, &str)] = &[
    (
        "meta",
        "id smallint PRIMARY KEY CHECK (id = 1), version bigint NOT NULL, \
         owner_cluster text NOT NULL, owner_database text NOT NULL",
        "id smallint PRIMARY KEY CHECK (id = 1), version bigint NOT NULL, \
         owner_cluster varchar(190) NOT NULL, owner_database varchar(190) NOT NULL",
    ),
    (
        "run",
        "id text PRIMARY KEY, policy_uid text NOT NULL, policy text NOT NULL, plan text NOT NULL, \
         as_of text NOT NULL, epoch bigint NOT NULL, state text NOT NULL, started_at text NOT NULL, \
         steps text NOT NULL, report text",
        "id varchar(190) PRIMARY KEY, policy_uid varchar(64) NOT NULL, policy varchar(512) NOT NULL, \
         plan varchar(100) NOT NULL, as_of varchar(40) NOT NULL, epoch bigint NOT NULL, \
         state varchar(20) NOT NULL, started_at varchar(40) NOT NULL, steps longtext NOT NULL, report longtext, \
         KEY (policy_uid, state)",
    ),
    (
        "checkpoint",
        "run text NOT NULL, step integer NOT NULL, worker integer NOT NULL, part integer NOT NULL, \
         epoch bigint NOT NULL, seq bigint NOT NULL, hold_gen bigint NOT NULL, own bigint NOT NULL, \
         own_ceiling bigint NOT NULL, n bigint NOT NULL, ceiling bigint NOT NULL, state text NOT NULL, low text, high text, cursor_key text, \
         PRIMARY KEY (run, step, worker, part)",
        "run varchar(190) NOT NULL, step integer NOT NULL, worker integer NOT NULL, \
         part integer NOT NULL, epoch bigint NOT NULL, seq bigint NOT NULL, \
         hold_gen bigint NOT NULL, own bigint NOT NULL, own_ceiling bigint NOT NULL, \
         n bigint NOT NULL, ceiling bigint NOT NULL, state varchar(20) NOT NULL, low longtext, high longtext, cursor_key longtext, \
         PRIMARY KEY (run, step, worker, part)",
    ),
    (
        "tally",
        "run text NOT NULL, step integer NOT NULL, worker integer NOT NULL, part integer NOT NULL, \
         target integer NOT NULL, n bigint NOT NULL, \
         PRIMARY KEY (run, step, worker, part, target)",
        "run varchar(190) NOT NULL, step integer NOT NULL, worker integer NOT NULL, \
         part integer NOT NULL, target integer NOT NULL, n bigint NOT NULL, \
         PRIMARY KEY (run, step, worker, part, target)",
    ),
    (
        "chain_head",
        "id smallint PRIMARY KEY CHECK (id = 1), hash text NOT NULL, length bigint NOT NULL",
        "id smallint PRIMARY KEY CHECK (id = 1), hash varchar(100) NOT NULL, length bigint NOT NULL",
    ),
    (
        "evidence",
        "seq bigint PRIMARY KEY, run text NOT NULL, body text NOT NULL, previous text NOT NULL, \
         hash text NOT NULL UNIQUE",
        "seq bigint PRIMARY KEY, run varchar(190) NOT NULL, body longtext NOT NULL, \
         previous varchar(100) NOT NULL, hash varchar(100) NOT NULL UNIQUE",
    ),
    (
        "hold",
        "id text PRIMARY KEY, name text NOT NULL, held_table text NOT NULL, \
         predicate text NOT NULL, hold_keys text, state text NOT NULL, reason text NOT NULL, \
         placed_by text NOT NULL, accepted_at text NOT NULL, released_at text, released_by text, \
         release_reason text",
        "id varchar(64) PRIMARY KEY, name varchar(512) NOT NULL, held_table varchar(300) NOT NULL, \
         predicate longtext NOT NULL, hold_keys longtext, state varchar(20) NOT NULL, \
         reason varchar(100) NOT NULL, placed_by varchar(512) NOT NULL, \
         accepted_at varchar(40) NOT NULL, released_at varchar(40), released_by varchar(512), \
         release_reason varchar(100)",
    ),
    (
        "intent",
        "run text NOT NULL, step integer NOT NULL, part text NOT NULL, of_table text NOT NULL, \
         aside text NOT NULL, n bigint NOT NULL, state text NOT NULL, PRIMARY KEY (run, step, part)",
        "run varchar(190) NOT NULL, step integer NOT NULL, part varchar(140) NOT NULL, \
         of_table varchar(140) NOT NULL, aside varchar(140) NOT NULL, n bigint NOT NULL, \
         state varchar(20) NOT NULL, PRIMARY KEY (run, step, part)",
    ),
    (
        "subject",
        "request text NOT NULL, map text NOT NULL, state text NOT NULL, body text NOT NULL, \
         PRIMARY KEY (request, map)",
        "request varchar(64) NOT NULL, map varchar(64) NOT NULL, state varchar(20) NOT NULL, \
         body longtext NOT NULL, PRIMARY KEY (request, map)",
    ),
    (
        // By the digest first: so it is looked for.
        "erased",
        "digest text NOT NULL, name text NOT NULL, request text NOT NULL, data_map text NOT NULL, \
         place text NOT NULL, normalise text NOT NULL, key_id text NOT NULL, purpose text NOT NULL, \
         erased_at text NOT NULL, ends_at text NOT NULL, \
         PRIMARY KEY (digest, name, request, data_map, place, normalise, key_id)",
        "digest varchar(64) NOT NULL, name varchar(64) NOT NULL, request varchar(64) NOT NULL, \
         data_map varchar(330) NOT NULL, place varchar(80) NOT NULL, normalise varchar(20) NOT NULL, \
         key_id varchar(16) NOT NULL, purpose varchar(200) NOT NULL, erased_at varchar(40) NOT NULL, \
         ends_at varchar(40) NOT NULL, \
         PRIMARY KEY (digest, name, request, data_map, place, normalise, key_id)",
    ),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_table_of_a_ledger_is_known_by_its_name_and_columns() {
        for (name, postgres, _) in CREATE {
            let columns: Vec<&str> = columns_of(postgres).chain(["more"]).collect();
            assert!(columns.len() > 3, "{name}: {columns:?}");
            let looks = |engine, table: &str, columns: &[&str]| {
                looks_like_a_ledgers(engine, table, columns)
            };
            assert!(looks(Engine::Postgres, name, &columns));
            assert!(looks(Engine::MySql, &format!("other_{name}"), &columns));
            assert!(!looks(Engine::MySql, name, &columns));
            // An application's own table of that name.
            assert!(!looks(Engine::Postgres, name, &columns[1..]));
            assert!(!looks(Engine::Postgres, "runs", &columns));
        }
    }

    #[test]
    fn missing_tables_are_named_as_people_find_them() {
        let ledger = |engine| Ledger {
            engine,
            place: Ident::new("oubliette").unwrap(),
        };
        let all = |f: fn(&str) -> String| super::super::TABLES.iter().map(|t| f(t)).collect();
        let mut found: Vec<String> = all(|t| format!("oubliette_{t}"));
        assert_eq!(ledger(Engine::MySql).missing(&found), Vec::<String>::new());
        found.remove(1);
        assert_eq!(ledger(Engine::MySql).missing(&found), ["oubliette_run"]);
        let mut found: Vec<String> = all(ToOwned::to_owned);
        found.remove(0);
        assert_eq!(ledger(Engine::Postgres).missing(&found), ["oubliette.meta"]);
        assert!(!ledger(Engine::Postgres).is_whole(&found));
        // One that an earlier version has made.
        let mut found: Vec<String> = all(ToOwned::to_owned);
        found.retain(|name| name != "erased");
        assert!(ledger(Engine::Postgres).is_whole(&found));
        assert!(!ledger(Engine::Postgres).has_erased(&found));
        assert_eq!(
            ledger(Engine::Postgres).missing(&found),
            ["oubliette.erased"]
        );
    }
}
