//! The search of all texts of a table for what a person is known by: how many rows of each column have
//! it somewhere in them. Nothing of a row is read.

use super::count::count_where;
use super::{Bound, Writer, dialect};
use crate::catalog::Engine;
use crate::name::{Ident, TableName};
use crate::value::{Personal, Value};

/// A shorter text is in half of all texts: it is looked for as a whole value only.
const LEAST: usize = 5;

/// Types of PostgreSQL that are texts, or are made of them. A leading `_` is an array's.
const POSTGRES: [&str; 15] = [
    "_bpchar", "_citext", "_json", "_jsonb", "_text", "_varchar", "bpchar", "citext", "hstore",
    "json", "jsonb", "text", "tsvector", "varchar", "xml",
];
/// Types of MySQL and MariaDB that are texts.
const INNODB: [&str; 7] = [
    "char",
    "json",
    "longtext",
    "mediumtext",
    "text",
    "tinytext",
    "varchar",
];

/// Whether a column of this type may hold texts, as the catalog calls it.
pub fn is_text(engine: Engine, type_name: &str) -> bool {
    match engine {
        Engine::Postgres => POSTGRES.contains(&type_name),
        Engine::MySql | Engine::MariaDb => INNODB.contains(&type_name),
    }
}

/// Counts, for each of the columns in their order, the rows that have any of the texts in them, whatever
/// the case of ASCII letters. The texts are compared byte by byte and stand in no pattern.
pub fn count_texts(
    engine: Engine,
    table: &TableName,
    columns: &[Ident],
    texts: &[Personal],
) -> Bound {
    let d = dialect(engine);
    let mut w = Writer::new(d);
    w.sql("SELECT ");
    w.joined(columns, ", ", |w, column| {
        d.whole(w, &mut |w| {
            count_where(w, &mut |w| {
                w.joined(texts, " OR ", |w, text| has(w, engine, column, text));
            });
        });
    });
    w.sql(" FROM ").table(table);
    w.finish()
}

fn has(w: &mut Writer<'_>, engine: Engine, column: &Ident, text: &Personal) {
    let text = text.expose().trim().to_ascii_lowercase();
    let whole = text.len() < LEAST;
    let needle = Value::Text(text);
    match (engine, whole) {
        (Engine::Postgres, false) => {
            w.sql("strpos(lower(");
            written(w, column);
            w.sql(" COLLATE \"C\"), ").bind(needle).sql("::text) > 0");
        }
        (Engine::Postgres, true) => {
            w.sql("lower(btrim(");
            written(w, column);
            w.sql(", ' ') COLLATE \"C\") = ").bind(needle).sql("::text");
        }
        (Engine::MySql | Engine::MariaDb, false) => {
            w.sql("LOCATE(CAST(").bind(needle).sql(" AS BINARY), ");
            lowered(w, column);
            w.sql(") > 0");
        }
        (Engine::MySql | Engine::MariaDb, true) => {
            w.sql("TRIM(BOTH ' ' FROM ");
            lowered(w, column);
            w.sql(") = CAST(").bind(needle).sql(" AS BINARY)");
        }
    }
}

/// A column as its type writes it, empty for NULL. Not by a cast: anybody can make a type that is called
/// like one of those above, and a cast of it that runs with our privileges and says what it likes.
fn written(w: &mut Writer<'_>, column: &Ident) {
    w.sql("format('%s', ").ident(column).sql(")");
}

/// Bytes whose ASCII letters are small; read as Hebrew, which has no case, no others change.
fn lowered(w: &mut Writer<'_>, column: &Ident) {
    w.sql("CAST(LOWER(CONVERT(CAST(CONVERT(").ident(column);
    w.sql(" USING utf8mb4) AS BINARY) USING hebrew)) AS BINARY)");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_are_bound_and_short_ones_are_whole_values() {
        let columns = ["body".parse().unwrap()];
        let table = "public.notes".parse().unwrap();
        let texts = [Personal::new(" Jane@Example.org"), Personal::new("42")];
        let bound = count_texts(Engine::Postgres, &table, &columns, &texts);
        assert_eq!(
            bound.sql.text(),
            "SELECT coalesce(count(CASE WHEN strpos(lower(format('%s', \"body\") COLLATE \"C\"), $1::text) \
             > 0 OR lower(btrim(format('%s', \"body\"), ' ') COLLATE \"C\") = $2::text \
             THEN 1 END), 0)::bigint FROM \"public\".\"notes\""
        );
        assert_eq!(
            bound.values,
            ["jane@example.org", "42"].map(|text| Value::Text(text.to_owned()))
        );
        assert!(is_text(Engine::Postgres, "jsonb") && !is_text(Engine::Postgres, "int4"));
        assert!(is_text(Engine::MariaDb, "longtext") && !is_text(Engine::MySql, "blob"));
    }
}
