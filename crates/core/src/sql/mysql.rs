//! The spellings of MySQL and MariaDB (InnoDB). Sessions have `time_zone = '+00:00'`, READ
//! COMMITTED and `STRICT_ALL_TABLES`.

use super::dialect::Dialect;
use super::{Bound, KeyColumn, Writer};
use crate::catalog::{Column, ColumnKind, Engine};
use crate::name::TableName;
use crate::policy::Normalise;
use crate::strategy::DateUnit;
use crate::value::{Key, Value};

/// MySQL 8 and later, MariaDB 10.6 and later.
pub(super) struct InnoDb {
    /// MariaDB rather than MySQL.
    pub(super) maria: bool,
}

impl InnoDb {
    fn as_bytes(w: &mut Writer<'_>, column: &Column) {
        w.sql("CAST(CONVERT(")
            .column(column)
            .sql(" USING utf8mb4) AS BINARY)");
    }

    /// A number or time as the column rounds it.
    fn rounded(w: &mut Writer<'_>, column: &Column, value: &mut dyn FnMut(&mut Writer<'_>)) {
        let size = sizes(&column.type_name);
        let size = |i: usize, otherwise: u32| size.get(i).copied().unwrap_or(otherwise);
        match column.kind {
            ColumnKind::Decimal => {
                w.sql("CAST(");
                value(w);
                w.sql(" AS DECIMAL(").number(size(0, 10)).sql(", ");
                w.number(size(1, 0)).sql("))");
            }
            ColumnKind::Instant | ColumnKind::Civil => {
                w.sql("CAST(");
                value(w);
                w.sql(" AS DATETIME(").number(size(0, 0)).sql("))");
            }
            _ => value(w),
        }
    }

    /// `(a > x OR (a = x AND b > y))`: row comparison scans everything (SQL.md section 4).
    /// `last` compares the last column.
    fn lexicographic(
        w: &mut Writer<'_>,
        columns: &[KeyColumn],
        key: &[Value],
        strict: &'static str,
        last: &'static str,
    ) {
        let (Some((column, rest)), Some((value, values))) =
            (columns.split_first(), key.split_first())
        else {
            return;
        };
        w.sql("(").ident(&column.0.name);
        w.sql(if rest.is_empty() { last } else { strict });
        w.dialect().bound(w, &column.0, value.clone());
        if !rest.is_empty() {
            w.sql(" OR (").ident(&column.0.name).sql(" = ");
            w.dialect().bound(w, &column.0, value.clone());
            w.sql(" AND ");
            Self::lexicographic(w, rest, values, strict, last);
            w.sql(")");
        }
        w.sql(")");
    }
}

/// Places behind the point, as many as may be, of a number with room for a decimal column's values.
fn places(column: &Column) -> u32 {
    match sizes(&column.type_name)[..] {
        [precision, scale] => (65 + scale).saturating_sub(precision).min(30),
        _ => 30,
    }
}

/// The numbers in a type's name: `decimal(5,2)` has 5 and 2.
fn sizes(type_name: &str) -> Vec<u32> {
    let inner = type_name
        .split_once('(')
        .and_then(|(_, rest)| rest.split_once(')'));
    inner
        .map(|(inner, _)| {
            inner
                .split(',')
                .filter_map(|n| n.trim().parse().ok())
                .collect()
        })
        .unwrap_or_default()
}

/// A text in the form in which identifiers are compared.
fn normal(w: &mut Writer<'_>, how: Normalise, text: &mut dyn FnMut(&mut Writer<'_>)) {
    match how {
        // Of bytes that are read as Hebrew the ASCII letters become small, and no others: there is
        // no case in the upper half of that character set.
        Normalise::LowercaseTrim => {
            w.sql("CAST(LOWER(CONVERT(CAST(TRIM(BOTH ' ' FROM CONVERT(");
            text(w);
            w.sql(" USING utf8mb4)) AS BINARY) USING hebrew)) AS BINARY)");
        }
        Normalise::DigitsOnly => {
            w.sql("CAST(REGEXP_REPLACE(CONVERT(");
            text(w);
            w.sql(" USING utf8mb4) COLLATE utf8mb4_bin, '[^0-9]', '') AS BINARY)");
        }
    }
}

impl Dialect for InnoDb {
    fn engine(&self) -> Engine {
        if self.maria {
            Engine::MariaDb
        } else {
            Engine::MySql
        }
    }

    fn quote(&self, out: &mut String, name: &str) {
        out.push('`');
        out.push_str(&name.replace('`', "``"));
        out.push('`');
    }

    fn placeholder(&self, out: &mut String, _index: usize) {
        out.push('?');
    }

    fn bound(&self, w: &mut Writer<'_>, column: &Column, value: Value) {
        let (open, close) = match column.kind {
            ColumnKind::UnsignedBigInt => ("CAST(", " AS UNSIGNED)"),
            ColumnKind::Int if !matches!(value, Value::Int(_)) => ("CAST(", " AS SIGNED)"),
            ColumnKind::Decimal => ("CAST(", " AS DECIMAL(65,"),
            ColumnKind::Float => ("CAST(", " AS DOUBLE)"),
            ColumnKind::Date => ("CAST(", " AS DATE)"),
            ColumnKind::Instant | ColumnKind::Civil => ("CAST(", " AS DATETIME(6))"),
            ColumnKind::Uuid if self.maria => ("CAST(", " AS UUID)"),
            ColumnKind::Json if !self.maria => ("CAST(", " AS JSON)"),
            _ => ("", ""),
        };
        if open.is_empty() || self.maria {
            w.sql(open).bind(value).sql(close);
        } else {
            // MySQL 9.7 guesses a placeholder's type from the cast around it: an unsigned key above
            // 2^63 overflowed (1292), and a list of dates was read from memory nobody had written.
            w.sql(open).sql("CONVERT(").bind(value);
            w.sql(" USING utf8mb4)").sql(close);
        }
        if column.kind == ColumnKind::Decimal {
            w.number(places(column)).sql("))");
        }
    }

    fn limit(&self, w: &mut Writer<'_>, column: &Column, value: Value) {
        // The cast of a bound text is made anew for each row that is read: plans took twice as long, and
        // changes a fifth longer. A literal is read once.
        let text = value.as_text().unwrap_or_default();
        match column.kind {
            ColumnKind::Date if let Ok(date) = text.parse() => {
                w.date(date);
            }
            ColumnKind::Civil | ColumnKind::Instant if let Ok(at) = text.parse() => {
                w.date_time(at);
            }
            _ => self.bound(w, column, value),
        }
    }

    fn read(&self, w: &mut Writer<'_>, column: &Column) {
        match column.kind {
            ColumnKind::Int => w.sql("CAST(").column(column).sql(" AS SIGNED)"),
            ColumnKind::Bytes => w.column(column),
            ColumnKind::Text => w.sql("CONVERT(").column(column).sql(" USING utf8mb4)"),
            _ => w.sql("CAST(").column(column).sql(" AS CHAR)"),
        };
    }

    fn equals_exactly(&self, w: &mut Writer<'_>, column: &Column, value: Value) {
        if column.kind == ColumnKind::Enum {
            w.column(column).sql(" = ").bind(value);
            return;
        }
        // Under the usual collations `Closed` equals `closed`, and a promise about one would take
        // the other. The plain comparison stays beside it so that an index can serve.
        w.sql("(")
            .column(column)
            .sql(" = ")
            .bind(value.clone())
            .sql(" AND ");
        Self::as_bytes(w, column);
        w.sql(" = CAST(").bind(value).sql(" AS BINARY))");
    }

    fn differs_for_all(&self, w: &mut Writer<'_>, column: &Column, value: Value) {
        // What is equal byte by byte is equal under any collation.
        w.column(column).sql(" <> ");
        self.bound(w, column, value);
    }

    fn differs(&self, w: &mut Writer<'_>, column: &Column, other: &mut dyn FnMut(&mut Writer<'_>)) {
        w.sql("NOT (");
        if column.kind == ColumnKind::Text {
            // CHAR gives its values back without blanks at the end.
            let padded = column.type_name.to_ascii_lowercase().starts_with("char(");
            Self::as_bytes(w, column);
            w.sql(if padded {
                " <=> CAST(TRIM(TRAILING ' ' FROM "
            } else {
                " <=> CAST("
            });
            other(w);
            w.sql(if padded {
                ") AS BINARY)"
            } else {
                " AS BINARY)"
            });
        } else {
            w.column(column).sql(" <=> ");
            Self::rounded(w, column, other);
        }
        w.sql(")");
    }

    fn exact(
        &self,
        w: &mut Writer<'_>,
        column: &Column,
        value: Option<&mut dyn FnMut(&mut Writer<'_>)>,
    ) {
        w.sql("COALESCE(HEX(CONVERT(");
        if let Some(value) = value {
            w.sql("CAST(");
            Self::rounded(w, column, value);
            w.sql(" AS CHAR)");
        } else {
            self.read(w, column);
        }
        w.sql(" USING utf8mb4)), '-')");
    }

    fn digest(&self, w: &mut Writer<'_>, texts: &mut dyn FnMut(&mut Writer<'_>)) {
        w.sql("LEFT(SHA2(CONCAT_WS(',', ");
        texts(w);
        w.sql("), 256), 32)");
    }

    fn key_above(&self, w: &mut Writer<'_>, columns: &[KeyColumn], key: &Key) {
        Self::lexicographic(w, columns, key, " > ", " > ");
    }

    fn key_upto(&self, w: &mut Writer<'_>, columns: &[KeyColumn], key: &Key) {
        Self::lexicographic(w, columns, key, " < ", " <= ");
    }

    fn real_date(&self, w: &mut Writer<'_>, column: &Column) {
        // `2020-00-00` lies above any floor and below the cutoff (SQL.md section 5).
        w.sql("MONTH(")
            .column(column)
            .sql(") > 0 AND DAYOFMONTH(")
            .column(column);
        w.sql(") > 0");
    }

    fn whole(&self, w: &mut Writer<'_>, aggregate: &mut dyn FnMut(&mut Writer<'_>)) {
        w.sql("CAST(COALESCE(");
        aggregate(w);
        w.sql(", 0) AS SIGNED)");
    }

    fn oldest(
        &self,
        w: &mut Writer<'_>,
        column: &Column,
        reading: &mut dyn FnMut(&mut Writer<'_>),
    ) {
        let (open, close) = match column.kind {
            ColumnKind::Int => ("CAST(MIN(", ") AS SIGNED)"),
            _ => ("DATE_FORMAT(MIN(", "), '%Y-%m-%dT%H:%i:%s')"),
        };
        w.sql(open);
        reading(w);
        w.sql(close);
    }

    fn normalised(&self, w: &mut Writer<'_>, column: &Column, how: Normalise) {
        normal(w, how, &mut |w| {
            w.column(column);
        });
    }

    fn normal(&self, w: &mut Writer<'_>, value: Value, how: Normalise) {
        normal(w, how, &mut |w| {
            w.bind(value.clone());
        });
    }

    fn comparable(&self, w: &mut Writer<'_>, column: &Column, how: Option<Normalise>) {
        match how {
            Some(how) => self.normalised(w, column, how),
            None => Self::as_bytes(w, column),
        }
    }

    fn keyed(&self, w: &mut Writer<'_>, bytes: &mut dyn FnMut(&mut Writer<'_>)) {
        w.sql(
            "SHA2(CONCAT(CAST(@oubliette_o AS BINARY), \
             UNHEX(SHA2(CONCAT(CAST(@oubliette_i AS BINARY), ",
        );
        bytes(w);
        w.sql("), 256))), 256)");
    }

    fn pseudonym(&self, w: &mut Writer<'_>, column: &Column) {
        w.sql("CONCAT('p_', LEFT(");
        self.keyed(w, &mut |w| Self::as_bytes(w, column));
        w.sql(", 32))");
    }

    fn is_pseudonym(&self, w: &mut Writer<'_>, column: &Column) {
        w.sql("(CHAR_LENGTH(")
            .column(column)
            .sql(") = 34 AND CONVERT(")
            .column(column);
        w.sql(" USING utf8mb4) COLLATE utf8mb4_bin REGEXP '^p_[0-9a-f]{32}$')");
    }

    fn first_day(&self, w: &mut Writer<'_>, column: &Column, unit: DateUnit) {
        // TIMESTAMP begins a second after 1970: what would lie before becomes its first instant.
        let narrow = column.kind == ColumnKind::Instant;
        if narrow {
            w.sql("GREATEST(CAST(");
        }
        // MAKEDATE takes the years 1 to 99 for those of 1970 to 2069.
        let decade = unit == DateUnit::Decade;
        let year = |w: &mut Writer<'_>| {
            w.sql("CAST(CONCAT(LPAD(YEAR(").column(column).sql(")");
            if decade {
                w.sql(" - YEAR(").column(column).sql(") MOD 10");
            }
            w.sql(", 4, '0'), '-01-01') AS DATE)");
        };
        match unit {
            DateUnit::Month => {
                year(w);
                w.sql(" + INTERVAL (GREATEST(MONTH(")
                    .column(column)
                    .sql("), 1) - 1) MONTH");
            }
            DateUnit::Quarter => {
                year(w);
                w.sql(" + INTERVAL (GREATEST(QUARTER(").column(column);
                w.sql("), 1) - 1) QUARTER");
            }
            DateUnit::Year | DateUnit::Decade => year(w),
        }
        if narrow {
            w.sql(" AS DATETIME), CAST('1970-01-01 00:00:01' AS DATETIME))");
        }
    }

    fn multiple(&self, w: &mut Writer<'_>, column: &Column, width: u32) {
        // Not by division, which rounds to four places: 299999 would become 300000.
        w.sql("(")
            .column(column)
            .sql(" - MOD(MOD(")
            .column(column)
            .sql(", ")
            .number(width)
            .sql(") + ")
            .number(width)
            .sql(", ")
            .number(width)
            .sql("))");
    }

    fn set_pads(&self, inner_hex: &str, outer_hex: &str) -> Vec<Bound> {
        let plain = |text| Bound::fixed(text, Vec::new());
        let given = |text, pad: &str| Bound::fixed(text, vec![Value::Text(pad.to_owned())]);
        vec![
            // A statement in the slow log stands there with its values.
            plain("SET SESSION long_query_time = 31536000"),
            given("SET @oubliette_i = UNHEX(?)", inner_hex),
            given("SET @oubliette_o = UNHEX(?)", outer_hex),
            plain("SET SESSION long_query_time = @@global.long_query_time"),
        ]
    }

    /// MySQL counts the rows of a cascade among the deleted ones, MariaDB does not. Among the new
    /// ones stand the lines that the server writes of our statements where its logs are tables: then they
    /// are not asked for.
    fn changes_so_far(&self, _of: Option<&[TableName]>) -> Bound {
        Bound::fixed(
            "SHOW SESSION STATUS WHERE Variable_name IN ('Handler_delete', 'Handler_update') \
             OR (Variable_name = 'Handler_write' AND NOT FIND_IN_SET('TABLE', @@global.log_output))",
            Vec::new(),
        )
    }

    fn explain(&self) -> &'static str {
        // MySQL 9.7 answers with a tree by default.
        if self.maria {
            "EXPLAIN "
        } else {
            "EXPLAIN FORMAT=TRADITIONAL "
        }
    }
}
