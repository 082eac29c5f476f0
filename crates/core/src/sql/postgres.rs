//! PostgreSQL's spellings. Sessions have `search_path` pinned to `pg_catalog`, so every function
//! and operator named here is the server's own.

use jiff::civil::{Date, DateTime};
use jiff::tz::TimeZone;

use super::dialect::Dialect;
use super::{Bound, KeyColumn, Writer};
use crate::catalog::{Column, ColumnKind, Engine};
use crate::name::TableName;
use crate::policy::Normalise;
use crate::strategy::DateUnit;
use crate::value::{Key, Value};

/// PostgreSQL 13 and later.
pub(super) struct Postgres;

impl Postgres {
    fn row(w: &mut Writer<'_>, columns: &[KeyColumn], operator: &'static str, key: &Key) {
        // Row comparison walks the index; the OR form is 14 times slower (SQL.md section 4).
        // A bound of a walk by the clock may have no more than that.
        let named = columns.iter().take(key.len());
        w.sql("(").joined(named, ", ", |w, c| {
            w.ident(&c.0.name);
        });
        w.sql(")").sql(operator).sql("(");
        w.joined(columns.iter().zip(key), ", ", |w, (c, v)| {
            w.dialect().bound(w, &c.0, v.clone());
        });
        w.sql(")");
    }

    /// Whether somebody other than an administrator may have made the type: its name has a schema.
    /// A cast to or from it runs whatever function its owner has declared for that, with our
    /// privileges; the functions that read and write a type's text are an administrator's.
    fn is_made(column: &Column) -> bool {
        column.cast.contains('.')
    }

    /// A text column's bytes: a non-deterministic collation calls other texts equal, too, and knows
    /// no regular expressions.
    fn as_bytes(w: &mut Writer<'_>, column: &Column) {
        w.column(column).sql("::text");
        if column.nondeterministic {
            w.sql(" COLLATE \"C\"");
        }
    }
}

/// How far a date or time lies behind the beginning of 1970.
enum SinceEpoch {
    Days(i64),
    Micros(i64),
}

/// Of a column's date or time as it is written here; `None`: it is something else.
fn since_1970(kind: ColumnKind, value: &Value) -> Option<SinceEpoch> {
    let text = value.as_text()?;
    match kind {
        ColumnKind::Date => {
            let days = Date::constant(1970, 1, 1).until(text.parse::<Date>().ok()?);
            Some(SinceEpoch::Days(days.ok()?.get_days().into()))
        }
        ColumnKind::Civil | ColumnKind::Instant => {
            let instant = text
                .parse::<DateTime>()
                .ok()?
                .to_zoned(TimeZone::UTC)
                .ok()?;
            Some(SinceEpoch::Micros(instant.timestamp().as_microsecond()))
        }
        _ => None,
    }
}

impl Dialect for Postgres {
    fn engine(&self) -> Engine {
        Engine::Postgres
    }

    fn quote(&self, out: &mut String, name: &str) {
        out.push('"');
        out.push_str(&name.replace('"', "\"\""));
        out.push('"');
    }

    fn placeholder(&self, out: &mut String, index: usize) {
        out.push('$');
        out.push_str(&index.to_string());
    }

    fn bound(&self, w: &mut Writer<'_>, column: &Column, value: Value) {
        let integer = matches!(value, Value::Int(_));
        let made = Self::is_made(column) && column.kind != ColumnKind::Text;
        if made {
            w.sql("(SELECT given.v FROM jsonb_to_record(jsonb_build_object('v', ");
        }
        w.bind(value);
        match column.kind {
            _ if made => w
                .sql("::text)) AS given(v ")
                .type_name(&column.cast)
                .sql("))"),
            ColumnKind::Int if integer => w.sql("::bigint"),
            ColumnKind::Int => w.sql("::text::bigint"),
            ColumnKind::Bytes => w.sql("::bytea"),
            // A cast to varchar(n) would cut a longer value in silence.
            ColumnKind::Text if column.cast.starts_with("character(") => w.sql("::text::bpchar"),
            ColumnKind::Text => w.sql("::text"),
            ColumnKind::Uuid => w.sql("::text::uuid"),
            ColumnKind::Decimal | ColumnKind::UnsignedBigInt => w.sql("::text::numeric"),
            ColumnKind::Float => w.sql("::text::double precision"),
            ColumnKind::Bool => w.sql("::text::boolean"),
            ColumnKind::Date => w.sql("::text::date"),
            ColumnKind::Instant => w.sql("::text::timestamptz"),
            ColumnKind::Civil => w.sql("::text::timestamp"),
            ColumnKind::Enum | ColumnKind::Json | ColumnKind::Other => {
                w.sql("::text::").type_name(&column.cast)
            }
        };
    }

    fn limit(&self, w: &mut Writer<'_>, column: &Column, value: Value) {
        // The cast of a text to a date or time depends on settings, so it is made anew for each row: reading
        // a million rows took three times as long. These expressions are made once, when the statement
        // is planned.
        match since_1970(column.kind, &value) {
            Some(SinceEpoch::Days(days)) => {
                w.sql("('1970-01-01'::date + ").bind(Value::Int(days));
                w.sql("::bigint::integer)");
            }
            Some(SinceEpoch::Micros(micros)) => {
                let instant = column.kind == ColumnKind::Instant;
                w.sql(if instant { "timezone('UTC', " } else { "(" });
                w.sql("'1970-01-01'::timestamp + interval '00:00:00.000001' * ");
                w.bind(Value::Int(micros)).sql("::bigint)");
            }
            None => self.bound(w, column, value),
        }
    }

    fn read(&self, w: &mut Writer<'_>, column: &Column) {
        if Self::is_made(column) && column.kind != ColumnKind::Text {
            w.sql("CASE WHEN num_nulls(").column(column);
            w.sql(") = 0 THEN format('%s', ")
                .column(column)
                .sql(") END");
            return;
        }
        w.column(column);
        match column.kind {
            ColumnKind::Int => w.sql("::bigint"),
            ColumnKind::Bytes => w,
            _ => w.sql("::text"),
        };
    }

    fn equals_exactly(&self, w: &mut Writer<'_>, column: &Column, value: Value) {
        if Self::is_made(column) && column.kind == ColumnKind::Enum {
            self.read(w, column);
            w.sql(" = ").bind(value).sql("::text");
            return;
        }
        if !column.nondeterministic {
            w.column(column).sql(" = ");
            self.bound(w, column, value);
            return;
        }
        // The plain comparison stays beside it so that an index can serve.
        w.sql("(").column(column).sql(" = ");
        self.bound(w, column, value.clone());
        w.sql(" AND ");
        Self::as_bytes(w, column);
        w.sql(" = (");
        self.bound(w, column, value);
        w.sql(")::text)");
    }

    fn differs_for_all(&self, w: &mut Writer<'_>, column: &Column, value: Value) {
        if Self::is_made(column) && column.kind == ColumnKind::Enum {
            self.read(w, column);
            w.sql(" <> ").bind(value).sql("::text");
            return;
        }
        w.sql("(").column(column).sql(" <> ");
        self.bound(w, column, value.clone());
        if column.folded {
            // Its own operators lie outside of the search path, so that it is compared as text above.
            w.sql(" AND lower(").column(column);
            w.sql("::text COLLATE \"default\") <> lower(");
            w.bind(value).sql("::text)");
        }
        w.sql(")");
    }

    fn differs(&self, w: &mut Writer<'_>, column: &Column, other: &mut dyn FnMut(&mut Writer<'_>)) {
        // A json has no equality of its own; a number or time is compared as the column rounds it.
        let json = column.cast == "json";
        let bytes = column.kind == ColumnKind::Text && column.nondeterministic;
        if json || bytes {
            Self::as_bytes(w, column);
        } else {
            w.column(column);
        }
        w.sql(" IS DISTINCT FROM (");
        other(w);
        w.sql(")");
        match column.kind {
            ColumnKind::Decimal | ColumnKind::Float | ColumnKind::Civil | ColumnKind::Instant => {
                w.sql("::").type_name(&column.cast);
            }
            _ if json || bytes => {
                w.sql("::text");
            }
            _ => {}
        }
    }

    fn exact(
        &self,
        w: &mut Writer<'_>,
        column: &Column,
        value: Option<&mut dyn FnMut(&mut Writer<'_>)>,
    ) {
        w.sql("coalesce(encode(convert_to(");
        if let Some(value) = value {
            w.sql("((");
            value(w);
            w.sql(")::").type_name(&column.cast).sql(")::text");
        } else {
            self.read(w, column);
            if column.kind == ColumnKind::Int {
                w.sql("::text");
            }
        }
        w.sql(", 'UTF8'), 'hex'), '-')");
    }

    fn digest(&self, w: &mut Writer<'_>, texts: &mut dyn FnMut(&mut Writer<'_>)) {
        w.sql("left(encode(sha256(convert_to(concat_ws(',', ");
        texts(w);
        w.sql("), 'UTF8')), 'hex'), 32)");
    }

    fn key_above(&self, w: &mut Writer<'_>, columns: &[KeyColumn], key: &Key) {
        Self::row(w, columns, " > ", key);
    }

    fn key_upto(&self, w: &mut Writer<'_>, columns: &[KeyColumn], key: &Key) {
        Self::row(w, columns, " <= ", key);
    }

    fn real_date(&self, w: &mut Writer<'_>, _column: &Column) {
        // -infinity and BC dates lie below the plausibility floor; there are no partial dates.
        w.sql("true");
    }

    fn whole(&self, w: &mut Writer<'_>, aggregate: &mut dyn FnMut(&mut Writer<'_>)) {
        w.sql("coalesce(");
        aggregate(w);
        w.sql(", 0)::bigint");
    }

    fn oldest(
        &self,
        w: &mut Writer<'_>,
        column: &Column,
        reading: &mut dyn FnMut(&mut Writer<'_>),
    ) {
        let close = match column.kind {
            ColumnKind::Int => {
                w.sql("(min(");
                ")::bigint)"
            }
            ColumnKind::Instant => {
                w.sql("to_char(min(");
                ") AT TIME ZONE 'UTC', 'YYYY-MM-DD\"T\"HH24:MI:SS')"
            }
            _ => {
                w.sql("to_char(min(");
                ")::timestamp, 'YYYY-MM-DD\"T\"HH24:MI:SS')"
            }
        };
        reading(w);
        w.sql(close);
    }

    fn normalised(&self, w: &mut Writer<'_>, column: &Column, how: Normalise) {
        // Under "C" small letters are made of A to Z only, whatever the server's locale.
        match how {
            Normalise::LowercaseTrim => {
                w.sql("lower(btrim(")
                    .column(column)
                    .sql("::text, ' ') COLLATE \"C\")");
            }
            Normalise::DigitsOnly => {
                w.sql("regexp_replace(")
                    .column(column)
                    .sql("::text COLLATE \"C\", '[^0-9]', '', 'g')");
            }
        }
    }

    fn normal(&self, w: &mut Writer<'_>, value: Value, how: Normalise) {
        w.sql(match how {
            Normalise::LowercaseTrim => "lower(btrim(",
            Normalise::DigitsOnly => "regexp_replace(",
        });
        w.bind(value).sql(match how {
            Normalise::LowercaseTrim => "::text, ' ') COLLATE \"C\")",
            Normalise::DigitsOnly => "::text COLLATE \"C\", '[^0-9]', '', 'g')",
        });
    }

    fn comparable(&self, w: &mut Writer<'_>, column: &Column, how: Option<Normalise>) {
        w.sql("convert_to(");
        match how {
            Some(how) => self.normalised(w, column, how),
            None => {
                w.column(column).sql("::text");
            }
        }
        w.sql(", 'UTF8')");
    }

    fn keyed(&self, w: &mut Writer<'_>, bytes: &mut dyn FnMut(&mut Writer<'_>)) {
        // The pads come from transaction-local settings: bound values reach logs (SQL.md section 5).
        w.sql(
            "encode(sha256((SELECT decode(current_setting('oubliette.o'), 'hex')) \
             || sha256((SELECT decode(current_setting('oubliette.i'), 'hex')) || ",
        );
        bytes(w);
        w.sql(")), 'hex')");
    }

    fn pseudonym(&self, w: &mut Writer<'_>, column: &Column) {
        w.sql("'p_' || left(");
        self.keyed(w, &mut |w| self.comparable(w, column, None));
        w.sql(", 32)");
    }

    fn is_pseudonym(&self, w: &mut Writer<'_>, column: &Column) {
        Self::as_bytes(w, column);
        w.sql(" ~ '^p_[0-9a-f]{32}$'");
    }

    fn first_day(&self, w: &mut Writer<'_>, column: &Column, unit: DateUnit) {
        w.sql("date_trunc(").sql(match unit {
            DateUnit::Month => "'month', ",
            DateUnit::Quarter => "'quarter', ",
            DateUnit::Year => "'year', ",
            DateUnit::Decade => "'decade', ",
        });
        w.column(column);
        w.sql(match column.kind {
            ColumnKind::Instant => " AT TIME ZONE 'UTC') AT TIME ZONE 'UTC'",
            ColumnKind::Date => "::timestamp)::date",
            _ => ")",
        });
    }

    fn multiple(&self, w: &mut Writer<'_>, column: &Column, width: u32) {
        // Not by division, which rounds.
        w.sql("(")
            .column(column)
            .sql("::numeric - mod(mod(")
            .column(column)
            .sql("::numeric, ")
            .number(width)
            .sql(") + ")
            .number(width)
            .sql(", ")
            .number(width)
            .sql("))::")
            .type_name(&column.cast);
    }

    fn set_pads(&self, inner_hex: &str, outer_hex: &str) -> Vec<Bound> {
        vec![Bound::fixed(
            "SELECT set_config('oubliette.i', $1, true) IS NULL, \
             set_config('oubliette.o', $2, true) IS NULL",
            vec![
                Value::Text(inner_hex.to_owned()),
                Value::Text(outer_hex.to_owned()),
            ],
        )]
    }

    /// NULL where `track_counts` is off. A change of a row holds its lock on the table to the end of the
    /// transaction, so that no other table can have changed; asking every table takes as long as there
    /// are many.
    fn changes_so_far(&self, of: Option<&[TableName]>) -> Bound {
        let mut w = Writer::new(self);
        if let Some(tables) = of {
            w.sql("WITH named (oid) AS (VALUES ");
            w.joined(tables, ", ", |w, name| {
                let schema = name.schema.as_ref().map_or("public", |s| s.as_str());
                w.sql("(to_regclass(format('%I.%I', ")
                    .bind(Value::Text(schema.to_owned()))
                    .sql("::text, ");
                w.bind(Value::Text(name.table.as_str().to_owned()))
                    .sql("::text))::oid)");
            });
            w.sql(
                "), looked (oid) AS (SELECT named.oid FROM named UNION SELECT t.relid::oid \
                 FROM named, LATERAL pg_partition_tree(named.oid::regclass) AS t \
                 UNION SELECT l.relation FROM pg_locks l WHERE l.pid = pg_backend_pid() \
                 AND l.locktype = 'relation' AND l.mode = 'RowExclusiveLock' \
                 AND l.database = (SELECT d.oid FROM pg_database d \
                 WHERE d.datname = current_database())) ",
            );
        }
        w.sql(
            "SELECT named.count, CASE WHEN current_setting('track_counts')::boolean THEN named.n END \
             FROM (SELECT coalesce(sum(pg_stat_get_xact_tuples_deleted(c.oid)), 0)::bigint AS deleted, \
             coalesce(sum(pg_stat_get_xact_tuples_updated(c.oid)), 0)::bigint AS updated, \
             coalesce(sum(pg_stat_get_xact_tuples_inserted(c.oid)), 0)::bigint AS inserted FROM ",
        );
        w.sql(if of.is_some() {
            // A join would read all of pg_class.
            "looked AS c WHERE (SELECT k.relkind = 'r' AND k.relnamespace <> 'pg_catalog'::regnamespace \
             FROM pg_class k WHERE k.oid = c.oid)"
        } else {
            "pg_class c WHERE c.relkind = 'r' AND c.relnamespace <> 'pg_catalog'::regnamespace"
        });
        w.sql(
            ") AS so_far, LATERAL (VALUES ('Handler_delete', so_far.deleted), ('Handler_update', so_far.updated), \
             ('Handler_write', so_far.inserted)) AS named (count, n)",
        );
        w.finish()
    }

    fn explain(&self) -> &'static str {
        "EXPLAIN (FORMAT TEXT) "
    }
}
