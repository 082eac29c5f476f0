//! Rows that hold an identifier which was erased: found by its keyed digest, because the identifier
//! itself is gone. The database hashes its own column with the pads of its session, so that no
//! identifier leaves it (P4), and compares with the digests of the ledger.

use super::window::WindowSql;
use super::{Bound, Scope, Writer, dialect};
use crate::catalog::Column;
use crate::name::TableName;
use crate::policy::Normalise;
use crate::value::Value;

/// What the ledger's table is called in a statement.
const ERASED: &str = "e";
/// What the hashed column is called.
const HASHED: &str = "hashed";

/// A column of identifiers and how it is made comparable; hashed with the pads of the session.
#[derive(Clone, Debug)]
pub struct Digested {
    /// The column.
    pub column: Column,
    /// How its values are made comparable.
    pub normalise: Option<Normalise>,
}

impl Digested {
    /// The digest's expression, as `erasure::IdentifierKey` gives it. NULL for NULL; what is empty has
    /// one that no ledger holds.
    pub fn write(&self, w: &mut Writer<'_>) {
        let d = w.dialect();
        d.keyed(w, &mut |w| d.comparable(w, &self.column, self.normalise));
    }
}

/// Which digests are meant: those of one column, under one key, that have not ended.
#[derive(Clone, Debug)]
pub struct ErasedSql {
    /// The ledger's table of digests.
    pub ledger: TableName,
    /// The rest of what they have in common, as the ledger writes it: its column and the value.
    pub common: Vec<(&'static str, String)>,
    /// They end after this instant, as the ledger writes it.
    pub after: String,
}

impl ErasedSql {
    fn write_common(&self, w: &mut Writer<'_>) {
        for (column, value) in &self.common {
            w.sql(ERASED).sql(".").sql(column).sql(" = ");
            w.bind(Value::Text(value.clone())).sql(" AND ");
        }
        w.sql(ERASED).sql(".ends_at > ");
        w.bind(Value::Text(self.after.clone()));
    }
}

/// A way to rows: by the digest of an identifier that one request has erased.
#[derive(Clone, Debug)]
pub struct ByDigest {
    /// The column.
    pub digested: Digested,
    /// Where the digests are.
    pub erased: ErasedSql,
    /// The request.
    pub request: String,
}

impl ByDigest {
    /// The row holds such an identifier. NULL where the column is. The session has the key's pads.
    pub fn write(&self, w: &mut Writer<'_>) {
        self.digested.write(w);
        w.sql(" IN (SELECT e.digest FROM ")
            .table(&self.erased.ledger)
            .sql(" AS e WHERE e.request = ")
            .bind(Value::Text(self.request.clone()))
            .sql(" AND ");
        self.erased.write_common(w);
        w.sql(")");
    }

    /// What such rows hold in some columns of identifiers, made comparable. Not more than so many rows.
    pub fn texts(&self, at: &WindowSql, columns: &[&Digested], most: u32) -> Bound {
        let d = dialect(at.engine);
        let mut w = Writer::new(d);
        w.sql("SELECT ");
        w.scoped(Scope::Table(at.table.clone()), |w| {
            w.joined(columns, ", ", |w, one| {
                d.comparable(w, &one.column, one.normalise);
            });
        });
        w.sql(" FROM ").rows_of(&at.table, at.with_leaves);
        w.sql(" WHERE ");
        w.scoped(Scope::Table(at.table.clone()), |w| self.write(w));
        w.sql(" LIMIT ").number(most);
        w.finish()
    }
}

/// Counts the rows of a table that hold an erased identifier, by request: each row is hashed once,
/// however many digests there are.
pub fn count_erased(at: &WindowSql, digested: &Digested, erased: &ErasedSql) -> Bound {
    let engine = at.engine;
    let d = dialect(engine);
    let mut w = Writer::new(d);
    w.sql("SELECT e.request, ");
    d.whole(&mut w, &mut |w| {
        w.sql("count(*)");
    });
    w.sql(" FROM (SELECT ");
    digested.write(&mut w);
    w.sql(" AS digest FROM ").rows_of(&at.table, at.with_leaves);
    w.sql(") AS ").sql(HASHED);
    // Without the hint each digest would be compared with the hash of each row, made anew.
    w.sql(if engine.is_innodb() {
        " STRAIGHT_JOIN "
    } else {
        " JOIN "
    });
    w.table(&erased.ledger).sql(" AS e");
    if engine.is_innodb() {
        w.sql(" FORCE INDEX (PRIMARY)");
    }
    w.sql(" ON e.digest = hashed.digest WHERE ");
    erased.write_common(&mut w);
    w.sql(" GROUP BY e.request ORDER BY e.request");
    w.finish()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::catalog::{ColumnKind, Engine};
    use crate::name::Ident;
    use crate::propose::tests::{column, name};
    use crate::sql::KeyColumn;

    fn at(engine: Engine) -> WindowSql {
        WindowSql {
            engine,
            table: name("learners"),
            with_leaves: false,
            key: vec![KeyColumn(column("id", ColumnKind::Int))],
            index: None,
            among: None,
        }
    }

    fn digested(normalise: Option<Normalise>) -> Digested {
        Digested {
            column: column("email", ColumnKind::Text),
            normalise,
        }
    }

    fn erased() -> ErasedSql {
        ErasedSql {
            ledger: Ident::new("oubliette_erased").unwrap().into(),
            common: vec![("name", "email".to_owned()), ("key_id", "k".to_owned())],
            after: "2026-11-25T00:00:00Z".to_owned(),
        }
    }

    #[test]
    fn rows_are_hashed_once_and_then_looked_up() {
        let how = Some(Normalise::LowercaseTrim);
        let of = |engine| count_erased(&at(engine), &digested(how), &erased());
        let postgres = of(Engine::Postgres);
        assert!(postgres.sql.text().contains("ON e.digest = hashed.digest WHERE e.name = $1 AND e.key_id = $2 AND e.ends_at > $3 GROUP BY"));
        assert!(
            postgres
                .sql
                .text()
                .contains("FROM ONLY \"public\".\"learners\") AS hashed JOIN")
        );
        assert_eq!(postgres.values.len(), 3);
        for engine in [Engine::MySql, Engine::MariaDb] {
            let text = of(engine).sql.text().to_owned();
            let hinted = "AS hashed STRAIGHT_JOIN `oubliette_erased` AS e FORCE INDEX (PRIMARY) ON";
            assert!(text.contains(hinted), "{text}");
            assert_eq!(text.matches("SHA2(").count(), 2, "{text}");
        }
    }

    #[test]
    fn a_way_by_digest_names_the_tables_own_columns() {
        let way = ByDigest {
            digested: digested(None),
            erased: erased(),
            request: "uid".to_owned(),
        };
        let keys = way.texts(&at(Engine::Postgres), &[&digested(None)], 7);
        assert!(keys.sql.text().starts_with(
            "SELECT convert_to(\"public\".\"learners\".\"email\"::text, 'UTF8') FROM ONLY"
        ));
        assert!(keys.sql.text().ends_with(" LIMIT 7"));
        assert!(
            keys.sql
                .text()
                .contains("convert_to(\"public\".\"learners\".\"email\"::text, 'UTF8')")
        );
        let bound: Vec<_> = keys.values.iter().filter_map(Value::as_text).collect();
        assert_eq!(bound, ["uid", "email", "k", "2026-11-25T00:00:00Z"]);
        let mut alone = Writer::new(dialect(Engine::MySql));
        way.write(&mut alone);
        assert!(alone.finish().sql.text().contains(
            " IN (SELECT e.digest FROM `oubliette_erased` AS e WHERE e.request = ? AND "
        ));
    }
}
