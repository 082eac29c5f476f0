//! Which partitions of a table may go as a whole instead of row by row, and why others may not. The end
//! of a partition only says which are worth a count: what lets one go is that its eligible rows are all
//! of its rows, counted where nobody can add to them.

use jiff::Timestamp;
use jiff::civil::{Date, DateTime};
use jiff::tz::TimeZone;

use crate::catalog::{Catalog, Column, ColumnKind, Engine, Table};
use crate::grants;
use crate::name::{Ident, TableName};
use crate::policy::{Action, Partitions, Rule};
use crate::sql::partition::{AsideSql, Rowed, aside, counts, lock, partitions, truncate};
use crate::sql::{Bound, ClockSql, Eligible, Writer, dialect};
use crate::value::Value;

/// A table whose partitions may go as a whole.
#[derive(Clone, Debug)]
pub struct Parted {
    /// The engine.
    pub engine: Engine,
    /// The table.
    pub table: TableName,
    /// What partitions are exchanged for (InnoDB).
    pub aside: TableName,
    /// The connected user as grants name it.
    user: String,
    clock: Column,
    cutoff: Value,
}

/// A partition that lies behind the cutoff.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Part {
    /// On PostgreSQL the leaf; on InnoDB the partition's name, without a schema.
    pub name: TableName,
    /// Why its rows go one by one all the same.
    pub obstacle: Option<String>,
}

/// Days from the year 0 to 1970-01-01, as `TO_DAYS` counts.
const TO_DAYS_OF_1970: i64 = 719_528;

/// Whether a rule's partitions may go as a whole: `Err` says why not, `None` that nobody asks.
pub(super) fn parted(
    rule: &Rule,
    table: &Table,
    catalog: &Catalog,
    ledger: &Ident,
    eligible: &Eligible,
    has_related: bool,
) -> Option<Result<Parted, String>> {
    if rule.partitions == Partitions::Rows {
        return None;
    }
    let because = |why: &str| Some(Err(why.to_owned()));
    let ClockSql::Own(reading) = &eligible.clock else {
        return because("their clock is in another table");
    };
    if !matches!(rule.action, Action::Delete) {
        return because("only rows that are deleted can go with their partition");
    }
    if rule.seal.is_some() {
        return because("each of them is moved to where it is sealed");
    }
    if !table.has_leaves() {
        return because("the table is not partitioned");
    }
    if has_related || catalog.references.iter().any(|r| r.to == table.name) {
        return because("rows of other tables hang on them");
    }
    if eligible.looks_elsewhere() {
        return because("whether they go is decided by rows of other tables");
    }
    if let Some(trigger) = table.triggers.iter().find(|trigger| trigger.on_delete) {
        return Some(Err(format!(
            "trigger {} fires for each deleted row, and not for a partition",
            trigger.name
        )));
    }
    let Ok(aside) = aside(ledger, &table.name) else {
        return because("the prefix of the ledger's tables is too long for one more name");
    };
    Some(Ok(Parted {
        engine: catalog.engine,
        table: table.name.clone(),
        aside,
        user: catalog.user.clone(),
        clock: reading.column.clone(),
        cutoff: reading.cutoff.clone(),
    }))
}

impl Parted {
    /// Asks for the table's partitions.
    pub fn look(&self) -> Bound {
        partitions(self.engine, &self.table)
    }

    /// Those that lie whole before the cutoff, as far as their end says it. `may`: whether the user has
    /// the privileges for an exchange (InnoDB).
    pub fn due(&self, rows: &[Vec<Value>], may: bool) -> Vec<Part> {
        rows.iter().filter_map(|row| self.part(row, may)).collect()
    }

    /// Where a partition's rows are.
    pub fn rows_of<'a>(&'a self, part: &'a Part) -> Rowed<'a> {
        if self.engine.is_innodb() {
            Rowed::Partition(&self.table, &part.name.table)
        } else {
            Rowed::Table(&part.name)
        }
    }

    /// The statements about a partition that is exchanged (InnoDB).
    pub fn aside_sql(&self, part: &Part) -> AsideSql {
        AsideSql {
            engine: self.engine,
            table: self.table.clone(),
            partition: part.name.table.clone(),
            aside: self.aside.clone(),
        }
    }

    /// The statements by which a partition goes, in the order in which they run.
    pub(super) fn shown(&self, part: &Part, eligible: &Eligible) -> Vec<String> {
        let bounds = if self.engine.is_innodb() {
            let sql = self.aside_sql(part);
            let [like, plain] = sql.make();
            let counted = counts(self.engine, sql.exchanged(), eligible);
            vec![like, plain, sql.exchange(), counted, sql.drop()]
        } else {
            let counted = counts(self.engine, self.rows_of(part), eligible);
            vec![lock(&part.name), counted, truncate(&part.name)]
        };
        let texts = bounds.into_iter().map(|bound| bound.sql.text().to_owned());
        texts.collect()
    }

    fn part(&self, row: &[Value], may: bool) -> Option<Part> {
        let [schema, name, by, end, obstacle] = row else {
            return None;
        };
        let end = Reading::end(&self.clock, by.as_text()?, end.as_text()?)?;
        if end > Reading::cutoff(&self.cutoff)? {
            return None;
        }
        let name = TableName {
            schema: schema.as_text().map(Ident::new).transpose().ok()?,
            table: Ident::new(name.as_text()?).ok()?,
        };
        let obstacle = match obstacle.as_text() {
            None if may => None,
            None | Some("grants") => Some(format!(
                "user {} lacks privileges: {}",
                self.user,
                self.grants(&name).join(" ")
            )),
            Some(code) => Some(obstacle_of(code).to_owned()),
        };
        Some(Part { name, obstacle })
    }

    /// What the user has to be given.
    fn grants(&self, leaf: &TableName) -> Vec<String> {
        if self.engine.is_innodb() {
            return grants::exchanging(self.engine, &self.table, &self.aside, &self.user);
        }
        let mut w = Writer::new(dialect(self.engine));
        w.sql("GRANT SELECT, TRUNCATE ON ").table(leaf);
        vec![format!("{} TO {};", w.finish().sql.text(), self.user)]
    }
}

fn obstacle_of(code: &str) -> &'static str {
    match code {
        "parted" => "it is partitioned itself, or no ordinary table",
        "detaching" => "it is being detached",
        "referenced" => "a foreign key refers to it",
        "triggers" => "the table has triggers that would not fire, or would fire only then",
        "published" => {
            "a publication with its rows does not publish that it was truncated: subscribers would \
             keep them"
        }
        "hidden" => "row-level security applies to it",
        _ => "it is of a kind that this program does not know",
    }
}

/// A reading of the clock's column, as far as partitions are bounded by such.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd)]
enum Reading {
    Number(i64),
    Time(DateTime),
}

impl Reading {
    fn cutoff(value: &Value) -> Option<Self> {
        match value {
            Value::Int(n) => Some(Self::Number(*n)),
            Value::Text(text) => Self::time(text),
            Value::Null | Value::Bytes(_) => None,
        }
    }

    /// Readings from this on are not in the partition. `None`: it has no end, or one that says nothing of
    /// the clock.
    fn end(clock: &Column, by: &str, end: &str) -> Option<Self> {
        let (function, column) = split(by);
        if column != clock.name.as_str() {
            return None;
        }
        let first = first_of(end);
        let number = || first.parse::<i64>().ok();
        let day = |date: Date| Some(Self::Time(date.at(0, 0, 0, 0)));
        match (function.to_ascii_lowercase().as_str(), clock.kind) {
            ("", ColumnKind::Int) => number().map(Self::Number),
            ("", ColumnKind::Date | ColumnKind::Civil | ColumnKind::Instant) => Self::time(&first),
            ("to_days", ColumnKind::Date | ColumnKind::Civil) => {
                let seconds = number()?
                    .checked_sub(TO_DAYS_OF_1970)?
                    .checked_mul(86_400)?;
                let at = Timestamp::from_second(seconds).ok()?;
                day(TimeZone::UTC.to_datetime(at).date())
            }
            ("year", ColumnKind::Date | ColumnKind::Civil) => {
                day(Date::new(i16::try_from(number()?).ok()?, 1, 1).ok()?)
            }
            ("unix_timestamp", ColumnKind::Instant) => {
                let at = Timestamp::from_second(number()?).ok()?;
                Some(Self::Time(TimeZone::UTC.to_datetime(at)))
            }
            _ => None,
        }
    }

    /// A date or time as servers write it in UTC: `2026-02-28`, `2026-02-28 23:00:00+00`.
    fn time(text: &str) -> Option<Self> {
        let text = text.strip_suffix("+00").unwrap_or(text);
        let parsed = match text.split_once(' ') {
            // Of another zone.
            Some((_, time)) if time.contains(['+', '-']) => None,
            Some(_) => text.parse::<DateTime>().ok(),
            None => text.parse::<Date>().ok().map(|date| date.at(0, 0, 0, 0)),
        };
        parsed.map(Self::Time)
    }
}

/// A function and the column in it: `to_days(`at`)`; without one, the column.
fn split(by: &str) -> (&str, String) {
    let (function, inner) = match by.trim().split_once('(') {
        Some((function, rest)) => (function.trim(), rest.trim_end_matches(')')),
        None => ("", by.trim()),
    };
    // Several columns: the first.
    let first = inner.split(',').next().unwrap_or_default().trim();
    let bare = first
        .strip_prefix('`')
        .and_then(|rest| rest.strip_suffix('`'));
    (
        function,
        bare.map_or_else(|| first.to_owned(), |bare| bare.replace("``", "`")),
    )
}

/// The first value of a list, without its quotes.
fn first_of(end: &str) -> String {
    let end = end.trim();
    match end.strip_prefix('\'') {
        Some(rest) => rest.split('\'').next().unwrap_or_default().to_owned(),
        None => end.split(',').next().unwrap_or_default().trim().to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::catalog::Bounds;

    fn clock(kind: ColumnKind) -> Column {
        Column {
            name: Ident::new("at").unwrap(),
            kind,
            type_name: String::new(),
            cast: String::new(),
            nullable: true,
            max_length: None,
            bounds: Bounds::None,
            generated: false,
            identity_always: false,
            on_update_now: false,
            charset: None,
            collation: None,
            nondeterministic: false,
            folded: false,
        }
    }

    fn at(text: &str) -> Option<Reading> {
        Reading::time(text)
    }

    #[test]
    fn the_end_of_a_partition_is_read_as_each_engine_writes_it() {
        use ColumnKind::{Civil, Date, Instant, Int};
        let year = at("2016-01-01");
        assert!(year.is_some());
        let cases = [
            (Date, "at", "'2016-01-01'", year),
            (Instant, "at", "'2016-01-01 00:00:00+00'", year),
            (Civil, "at", "'2016-01-01 00:00:00'", year),
            (Date, "at", "'2016-01-01', 7", year),
            (Date, "`at`", "'2016-01-01'", year),
            (Date, "to_days(`at`)", "736329", year),
            (Civil, "year(`at`)", "2016", year),
            (Instant, "unix_timestamp(`at`)", "1451606400", year),
            (Int, "at", "16800", Some(Reading::Number(16_800))),
            (Int, "at", "'16800'", Some(Reading::Number(16_800))),
        ];
        for (kind, by, end, expected) in cases {
            assert_eq!(Reading::end(&clock(kind), by, end), expected, "{by} {end}");
        }
    }

    #[test]
    fn an_end_that_proves_nothing_is_none() {
        use ColumnKind::{Civil, Date, Instant, Int};
        for (kind, by, end) in [
            (Date, "at", "MAXVALUE"),
            (Date, "other", "'2016-01-01'"),
            (Date, "quarter(`at`)", "2"),
            (Date, "to_days(`other`)", "736329"),
            (Date, "at", "'2016-01-01 BC'"),
            (Date, "at", "'infinity'"),
            (Instant, "at", "'2016-01-01 00:00:00+02'"),
            (Instant, "to_days(`at`)", "736329"),
            (Civil, "year(`at`)", "999999"),
            (Int, "at", "99999999999999999999"),
            (ColumnKind::Text, "at", "'2016-01-01'"),
        ] {
            assert_eq!(Reading::end(&clock(kind), by, end), None, "{by} {end}");
        }
    }

    #[test]
    fn only_what_ends_before_the_cutoff_is_due() {
        let text = |t: &str| Value::Text(t.to_owned());
        let parted = Parted {
            engine: Engine::Postgres,
            table: "public.t".parse().unwrap(),
            aside: "public.t_aside".parse().unwrap(),
            user: "\"u\"".to_owned(),
            clock: clock(ColumnKind::Date),
            cutoff: text("2016-01-01"),
        };
        let row = |name: &str, end: &str, obstacle: Value| {
            vec![text("public"), text(name), text("at"), text(end), obstacle]
        };
        let due = parted.due(
            &[
                row("a", "'2015-01-01'", Value::Null),
                row("b", "'2016-01-01'", text("grants")),
                row("c", "'2016-01-02'", Value::Null),
                row("d", "MAXVALUE", Value::Null),
            ],
            true,
        );
        let told: Vec<_> = due
            .iter()
            .map(|part| (part.name.to_string(), part.obstacle.as_deref()))
            .collect();
        assert_eq!(
            told,
            [
                ("public.a".to_owned(), None),
                (
                    "public.b".to_owned(),
                    Some(
                        "user \"u\" lacks privileges: GRANT SELECT, TRUNCATE ON \"public\".\"b\" TO \
                         \"u\";"
                    )
                ),
            ]
        );
    }
}
