//! Rows by a list of keys: how the list is written, and how many of them one statement takes.

use super::Writer;
use crate::catalog::{Column, ColumnKind, Engine};
use crate::value::{Key, Value};

/// Keys of one statement at the most, and at the least: one that is very long makes few statements longer
/// than they should be, and would else make all of them many.
const MOST: usize = 512;
const FEWEST: usize = 64;
/// Bytes of one statement, about. What is sent of it should fit one TLS record (16 KiB): sqlx 0.9.0 leaves
/// Nagle's algorithm on (its issue 4335), and of a message of two records the second waits 40 ms for an
/// acknowledgement. Runs over a graph took five times as long with longer ones, those over keys of two
/// columns eight times.
const ROOM: usize = 16 << 10;

/// The keys in pieces, each for one statement. All are of the same size but for the last one, so that their
/// texts are few.
pub(super) fn chunks<'k>(
    engine: Engine,
    columns: &[&Column],
    keys: &'k [Key],
) -> std::slice::Chunks<'k, Key> {
    let form = Form::of(engine, columns, keys);
    let size = |key: &Key| {
        let values = columns.iter().zip(key);
        values.map(|(c, value)| form.size(c, value)).sum::<usize>()
    };
    let longest = keys.iter().map(size).max().unwrap_or(1).max(1);
    // A list of placeholders is padded to a power of two.
    let fit = (ROOM / longest).clamp(FEWEST, MOST);
    keys.chunks(1 << fit.ilog2())
}

/// How a list is written.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Form {
    /// One text for each column.
    Lists,
    /// A placeholder for each value.
    Values,
    /// A row of placeholders for each key, which both the optimiser and the comparison know how to take.
    Rows,
    /// Each column by name for each key.
    Named,
}

impl Form {
    fn of(engine: Engine, columns: &[&Column], keys: &[Key]) -> Self {
        let mut values = keys.iter().flat_map(|key| columns.iter().zip(key));
        match engine {
            Engine::Postgres if values.all(|(c, value)| is_listed(c, value)) => Self::Lists,
            _ if columns.len() == 1 => Self::Values,
            Engine::Postgres => Self::Rows,
            // MySQL 9.7 reads a list of rows with dates in it from memory nobody had written.
            Engine::MySql if values.all(|(_, value)| value.as_int().is_some()) => Self::Rows,
            // MariaDB compares the texts of such a list in another character set than the column's, and
            // makes no ranges of it.
            Engine::MySql | Engine::MariaDb => Self::Named,
        }
    }

    /// About how many bytes a value takes.
    fn size(self, column: &Column, value: &Value) -> usize {
        let own = match value {
            Value::Text(text) => text.len(),
            Value::Bytes(bytes) => bytes.len(),
            Value::Int(_) | Value::Null => 8,
        };
        own + match self {
            Self::Lists => 1,
            // `$100::text::timestamptz, `, and how long it is; of a type that is not an administrator's, what
            // reads it by its name.
            Self::Values | Self::Rows if column.cast.contains('.') => 100 + column.cast.len(),
            Self::Values | Self::Rows => 32,
            // `(`a` = ? AND ) OR `.
            Self::Named => column.name.as_str().len() + 24,
        }
    }
}

/// The columns have the values of one of the keys. A column that is NULL has those of none.
pub(super) fn write_any_of(w: &mut Writer<'_>, columns: &[&Column], keys: &[Key]) {
    let engine = w.dialect().engine();
    match Form::of(engine, columns, keys) {
        Form::Lists => write_lists(w, columns, keys),
        Form::Values => {
            w.joined(columns, "", |w, c| {
                w.column(c);
            });
            w.sql(" IN (");
            let values = padded(keys).flat_map(|key| columns.iter().zip(key));
            w.joined(values, ", ", |w, (c, v)| w.dialect().bound(w, c, v.clone()));
            w.sql(")");
        }
        Form::Rows => {
            write_row(w, columns);
            w.sql(" IN (");
            w.sql(if engine == Engine::Postgres {
                "VALUES "
            } else {
                ""
            });
            w.joined(padded(keys), ", ", |w, key| {
                w.sql("(");
                w.joined(columns.iter().zip(key), ", ", |w, (c, v)| {
                    w.dialect().bound(w, c, v.clone());
                });
                w.sql(")");
            });
            w.sql(")");
        }
        Form::Named => write_alternatives(w, columns, keys),
    }
}

fn write_row(w: &mut Writer<'_>, columns: &[&Column]) {
    w.sql("(").joined(columns, ", ", |w, c| {
        w.column(c);
    });
    w.sql(")");
}

/// What PostgreSQL makes a list of texts to, once while it plans: the casts of other types depend on settings
/// and would be made anew for each row.
fn listed(kind: ColumnKind) -> Option<&'static str> {
    match kind {
        ColumnKind::Int => Some("::bigint[]"),
        ColumnKind::Uuid => Some("::uuid[]"),
        _ => None,
    }
}

/// Whether a value can stand in a list of its column's: whole numbers and UUIDs have no comma in them and are
/// never empty, which stands for NULL. A value that somebody wrote into a request may be anything.
fn is_listed(column: &Column, value: &Value) -> bool {
    let is_uuid =
        |text: &str| text.len() == 36 && text.chars().all(|c| c == '-' || c.is_ascii_hexdigit());
    listed(column.kind).is_some()
        && match value {
            Value::Int(_) | Value::Null => true,
            Value::Text(text) => column.kind == ColumnKind::Uuid && is_uuid(text),
            Value::Bytes(_) => false,
        }
}

/// One value for each column instead of hundreds, each of which is a cast to be read and planned.
fn write_lists(w: &mut Writer<'_>, columns: &[&Column], keys: &[Key]) {
    let list = |w: &mut Writer<'_>, (at, column): (usize, &&Column)| {
        let texts = keys.iter().map(|key| match key.get(at) {
            Some(Value::Int(n)) => n.to_string(),
            Some(Value::Text(uuid)) => uuid.clone(),
            _ => String::new(),
        });
        let texts: Vec<String> = texts.collect();
        w.sql("string_to_array(").bind(Value::Text(texts.join(",")));
        w.sql("::text, ',', '')");
        w.sql(listed(column.kind).unwrap_or_default());
    };
    if let [only] = columns {
        w.column(only).sql(" = ANY (");
        w.joined([(0, only)], "", list);
        w.sql(")");
        return;
    }
    write_row(w, columns);
    w.sql(" IN (SELECT * FROM unnest(");
    w.joined(columns.iter().enumerate(), ", ", list);
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
    use crate::propose::tests::column;
    use crate::sql::{Bound, dialect};

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
            column("tenant", ColumnKind::Uuid),
            column("id", ColumnKind::Int),
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
        for (kind, value) in [
            (ColumnKind::Int, "1,2"),
            (ColumnKind::Int, "1"),
            (ColumnKind::Uuid, "a,b"),
            (ColumnKind::Uuid, ""),
            (ColumnKind::Text, "1,2"),
        ] {
            let columns = [column("a", kind)];
            let bound = written(Engine::Postgres, &columns, &[vec![text(value)]]);
            assert!(bound.sql.text().starts_with("\"a\" IN ("), "{bound:?}");
            assert_eq!(bound.values, [text(value)]);
        }
    }

    #[test]
    fn a_statement_fits_one_record() {
        let one = [column("a_name_of_thirty_characters___", ColumnKind::Int)];
        let text_column = column("code", ColumnKind::Text);
        let two = [one[0].clone(), text_column.clone()];
        let numbers: Vec<Key> = (0..600).map(|n| vec![Value::Int(n)]).collect();
        let texts = vec![vec![text(&"x".repeat(40))]; 600];
        let long = vec![vec![text(&"x".repeat(20_000))]; 3];
        let mixed = vec![vec![Value::Int(1), text("y")]; 600];
        let pairs = vec![vec![Value::Int(1), Value::Int(2)]; 600];
        let both = [one[0].clone(), column("id", ColumnKind::Int)];
        for engine in [Engine::Postgres, Engine::MySql, Engine::MariaDb] {
            for (columns, keys) in [
                (&one[..], &numbers),
                (std::slice::from_ref(&text_column), &texts),
                (std::slice::from_ref(&text_column), &long),
                (&two, &mixed),
                (&both, &pairs),
            ] {
                let names: Vec<&Column> = columns.iter().collect();
                let mut all = 0;
                for chunk in chunks(engine, &names, keys) {
                    let bound = written(engine, columns, chunk);
                    let value = |value: &Value| value.as_text().map_or(8, str::len) + 6;
                    let length =
                        bound.sql.text().len() + bound.values.iter().map(value).sum::<usize>();
                    assert!(
                        length <= ROOM || chunk.len() <= FEWEST,
                        "{engine:?} {length}"
                    );
                    all += chunk.len();
                }
                assert_eq!(all, keys.len());
            }
            assert!(chunks(engine, &[&one[0]], &[]).next().is_none());
        }
    }
}
