//! Rows by a list of keys: how the list is written, and how many of them one statement takes.

use super::Writer;
use crate::catalog::{Column, ColumnKind, Engine};
use crate::value::{Key, Value};

/// Keys of one statement at the most.
const MOST: usize = 512;
/// Bytes of one statement, about. What is sent of it should fit one TLS record (16 KiB): sqlx 0.9.0 leaves
/// Nagle's algorithm on (its issue 4335), and of a message of two records the second waits 40 ms for an
/// acknowledgement. Runs over a graph took five times as long with longer ones, those over keys of two
/// columns twenty times.
const ROOM: usize = 16 << 10;
/// Bytes for a value beside its own, with what is written around it.
const AROUND: usize = 24;
/// The same where each column is named with each value.
const AROUND_NAMED: usize = 40;

/// The keys in pieces, each for one statement. Of the same size but for the last one, so that their texts are
/// few.
pub fn chunks(keys: &[Key]) -> std::slice::Chunks<'_, Key> {
    let size = |key: &Key| {
        let around = if key.len() > 1 { AROUND_NAMED } else { AROUND };
        let values = key.iter().map(|value| match value {
            Value::Text(text) => text.len(),
            Value::Bytes(bytes) => bytes.len(),
            Value::Int(_) | Value::Null => 8,
        });
        values.map(|length| length + around).sum::<usize>()
    };
    let longest = keys.iter().map(size).max().unwrap_or(1).max(1);
    // A statement's list is padded to a power of two.
    let fit = (ROOM / longest).clamp(1, MOST);
    keys.chunks(1 << fit.ilog2())
}

/// The columns have the values of one of the keys. A column that is NULL has those of none.
pub(super) fn write_any_of(w: &mut Writer<'_>, columns: &[&Column], keys: &[Key]) {
    let engine = w.dialect().engine();
    let lists = (engine == Engine::Postgres).then(|| lists(columns, keys));
    if let Some(lists) = lists.flatten() {
        write_lists(w, columns, lists);
    } else if let [only] = columns {
        w.column(only).sql(" IN (");
        let values = padded(keys).filter_map(|key| key.first());
        w.joined(values, ", ", |w, v| w.dialect().bound(w, only, v.clone()));
        w.sql(")");
    } else if engine.is_innodb() {
        // MySQL 9.7 reads a list of rows with dates in it from memory nobody had written. MariaDB
        // compares the texts of such a list in another character set than the column's.
        write_alternatives(w, columns, keys);
    } else {
        w.sql("(").joined(columns, ", ", |w, c| {
            w.column(c);
        });
        w.sql(") IN (VALUES ");
        w.joined(padded(keys), ", ", |w, key| {
            w.sql("(");
            w.joined(columns.iter().zip(key), ", ", |w, (c, v)| {
                w.dialect().bound(w, c, v.clone());
            });
            w.sql(")");
        });
        w.sql(")");
    }
}

/// What PostgreSQL makes a list of texts to, once while it plans: the casts of other types depend on settings
/// and would be made anew for each row.
fn listed(column: &Column) -> Option<&'static str> {
    match column.kind {
        ColumnKind::Int => Some("::bigint[]"),
        ColumnKind::Uuid => Some("::uuid[]"),
        _ => None,
    }
}

/// The values of each column as one text, where all of them are whole numbers and UUIDs: neither has a comma,
/// nor is it ever empty, which stands for NULL. A value that somebody wrote into a request may be anything.
fn lists(columns: &[&Column], keys: &[Key]) -> Option<Vec<(String, &'static str)>> {
    let list = |(at, column): (usize, &&Column)| {
        let cast = listed(column)?;
        let mut list = String::new();
        for (before, key) in keys.iter().enumerate() {
            if before > 0 {
                list.push(',');
            }
            match key.get(at)? {
                Value::Int(n) => list.push_str(&n.to_string()),
                Value::Text(text) if is_uuid(text) => list.push_str(text),
                Value::Null => {}
                Value::Text(_) | Value::Bytes(_) => return None,
            }
        }
        Some((list, cast))
    };
    columns.iter().enumerate().map(list).collect()
}

fn is_uuid(text: &str) -> bool {
    text.len() == 36 && text.chars().all(|c| c == '-' || c.is_ascii_hexdigit())
}

/// One value for each column instead of hundreds, each of which is a cast to be read and planned.
fn write_lists(w: &mut Writer<'_>, columns: &[&Column], lists: Vec<(String, &'static str)>) {
    let list = |w: &mut Writer<'_>, (list, cast): (String, &'static str)| {
        w.sql("string_to_array(").bind(Value::Text(list));
        w.sql("::text, ',', '')").sql(cast);
    };
    if let [only] = columns {
        w.column(only).sql(" = ANY (");
        w.joined(lists, "", list);
        w.sql(")");
        return;
    }
    w.sql("(").joined(columns, ", ", |w, c| {
        w.column(c);
    });
    w.sql(") IN (SELECT * FROM unnest(");
    w.joined(lists, ", ", list);
    w.sql("))");
}

/// `((a = … AND b = …) OR …)`: one of the keys.
fn write_alternatives(w: &mut Writer<'_>, columns: &[&Column], keys: &[Key]) {
    w.sql("(").joined(padded(keys), " OR ", |w, key| {
        w.sql("(");
        w.joined(columns.iter().zip(key), " AND ", |w, (c, v)| {
            w.column(c).sql(" = ");
            w.dialect().bound(w, c, v.clone());
        });
        w.sql(")");
    });
    w.sql(")");
}

/// The list padded to a power of two by repeating its last item: the drivers keep a statement per
/// text, and each number of placeholders is a text of its own.
fn padded<T>(items: &[T]) -> impl Iterator<Item = &T> {
    let missing = items.len().next_power_of_two() - items.len();
    items
        .iter()
        .chain(items.last().into_iter().cycle().take(missing))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sql::{Bound, dialect};

    fn column(name: &str, kind: ColumnKind, cast: &str) -> Column {
        Column {
            name: name.parse().unwrap(),
            kind,
            type_name: cast.to_owned(),
            cast: cast.to_owned(),
            nullable: false,
            max_length: None,
            bounds: crate::catalog::Bounds::None,
            generated: false,
            identity_always: false,
            on_update_now: false,
            charset: None,
            collation: None,
            nondeterministic: false,
            folded: false,
        }
    }

    fn text(text: &str) -> Value {
        Value::Text(text.to_owned())
    }

    fn written(engine: Engine, columns: &[Column], keys: &[Key]) -> Bound {
        let mut w = Writer::new(dialect(engine));
        let columns: Vec<&Column> = columns.iter().collect();
        write_any_of(&mut w, &columns, keys);
        w.finish()
    }

    #[test]
    fn numbers_and_uuids_are_one_value_for_each_column() {
        let columns = [
            column("tenant", ColumnKind::Uuid, "uuid"),
            column("id", ColumnKind::Int, "integer"),
        ];
        let uuid = "6f9619ff-8b86-d011-b42d-00c04fc964ff";
        let keys = [
            vec![text(uuid), Value::Int(-1)],
            vec![text(uuid), Value::Null],
        ];
        let bound = written(Engine::Postgres, &columns, &keys);
        insta::assert_snapshot!(
            bound.sql.text(),
            @r#"("tenant", "id") IN (SELECT * FROM unnest(string_to_array($1::text, ',', '')::uuid[], string_to_array($2::text, ',', '')::bigint[]))"#
        );
        assert_eq!(bound.values, [text(&format!("{uuid},{uuid}")), text("-1,")]);
        let one = written(Engine::Postgres, &columns[1..], &[vec![Value::Int(7)]]);
        insta::assert_snapshot!(one.sql.text(), @r#""id" = ANY (string_to_array($1::text, ',', '')::bigint[])"#);
        assert_eq!(one.values, [text("7")]);
    }

    #[test]
    fn what_somebody_wrote_is_no_list() {
        for (kind, cast, value) in [
            (ColumnKind::Int, "integer", "1,2"),
            (ColumnKind::Int, "integer", "1"),
            (ColumnKind::Uuid, "uuid", "a,b"),
            (ColumnKind::Uuid, "uuid", ""),
            (ColumnKind::Text, "text", "1,2"),
        ] {
            let columns = [column("a", kind, cast)];
            let bound = written(Engine::Postgres, &columns, &[vec![text(value)]]);
            assert!(bound.sql.text().starts_with("\"a\" IN ("), "{bound:?}");
            assert_eq!(bound.values, [text(value)]);
        }
    }

    #[test]
    fn a_statement_fits_one_record() {
        let sizes = |keys: &[Key]| chunks(keys).map(<[Key]>::len).collect::<Vec<_>>();
        let numbers: Vec<Key> = (0..600).map(|n| vec![Value::Int(n)]).collect();
        assert_eq!(sizes(&numbers), [512, 88]);
        let pairs: Vec<Key> = (0..200)
            .map(|n| vec![Value::Int(n), Value::Int(n)])
            .collect();
        assert_eq!(sizes(&pairs), [128, 72]);
        let long = vec![vec![text(&"x".repeat(20_000))]; 3];
        assert_eq!(sizes(&long), [1, 1, 1]);
        assert!(sizes(&[]).is_empty());
        let name = "a_name_of_thirty_characters___";
        for engine in [Engine::Postgres, Engine::MySql, Engine::MariaDb] {
            let columns = [name, "another_name"].map(|name| column(name, ColumnKind::Text, "text"));
            let keys = vec![vec![text(&"x".repeat(40)), text("y")]; 1_000];
            let first = chunks(&keys).next().unwrap();
            let bound = written(engine, &columns, first);
            let values: usize = bound
                .values
                .iter()
                .map(|v| v.as_text().unwrap().len() + 6)
                .sum();
            assert!(bound.sql.text().len() + values < ROOM, "{engine:?}");
        }
    }
}
