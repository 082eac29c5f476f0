//! DataMap: from the manifest to `crate::duty`.

use std::collections::BTreeMap;

use super::action::WrittenStrategy;
use super::people::{parse_people, parse_reached, resolve};
use super::rule::parse_table;
use super::since::Reading;
use super::target::parse_usable_from;
use super::{At, Faults, FieldError, Names, all};
use crate::api::data_map::{
    AgainstName, DataMapSpec, DutyClockSpec, DutySpec, MAX_CLOCKS, MAX_COLUMNS, MAX_DUTIES,
    MAX_TABLES, MappedColumnSpec, MappedTableSpec, UntilSpec,
};
use crate::api::people::ReviewName;
use crate::api::words::Word;
use crate::duty::{DataMap, Duty, Ends, MappedColumn, MappedTable};
use crate::name::Ident;
use crate::period::Period;
use crate::target::Target;

impl DataMap {
    /// Parses a DataMap's spec for its database, or names every fault of it.
    pub fn parse(spec: &DataMapSpec, target: &Target) -> Result<Self, Vec<FieldError>> {
        let faults = Faults::default();
        let map = parse_map(&faults.root(), spec, &Names::of(target));
        faults.conclude(map)
    }

    /// Parses a spec whose database is not known: without what only the engine can refuse.
    pub fn alone(spec: &DataMapSpec) -> Result<Self, Vec<FieldError>> {
        let faults = Faults::default();
        let map = parse_map(&faults.root(), spec, &Names::unknown());
        faults.conclude(map)
    }
}

fn parse_map(at: &At<'_>, spec: &DataMapSpec, names: &Names) -> Option<DataMap> {
    let DataMapSpec {
        database_ref,
        usable_from,
        subjects: _,
        tables,
        elsewhere: _,
        unclassified: _,
        reappeared: _,
        pseudonym_key: _,
        residue_scan: _,
        unknown,
    } = spec;
    at.known::<DataMapSpec>(unknown);
    let usable_from = parse_usable_from(&at.field("usableFrom"), usable_from.as_ref());
    let people = parse_people(at, spec, names);
    let database = at.field("databaseRef").database(database_ref.as_ref());
    let tables_at = at.field("tables");
    let tables = tables_at
        .required(tables.as_ref(), "`[{name: …, table: …, mustKeep: […]}]`")
        .and_then(|tables| {
            tables_at.bounded(tables, MAX_TABLES);
            if tables.is_empty() {
                tables_at.invalid("is empty: a map names at least one table");
            }
            let parsed = all(tables, |i, table| {
                parse_entry(&tables_at.index(i), table, names)
            })?;
            twice(&tables_at, "name", parsed.iter().map(|t| t.name.clone()));
            once(&tables_at, &parsed);
            Some(parsed)
        });
    let (database, database_namespace) = database?;
    let (people, mut tables) = (people?, tables?);
    resolve(at, &people, &mut tables);
    Some(DataMap {
        database,
        database_namespace,
        usable_from: usable_from?,
        people,
        tables,
    })
}

/// Refuses entries about one table where there must be one: without ways of their own they would say
/// the same twice, and what must be kept is said in one place.
fn once(at: &At<'_>, entries: &[MappedTable]) {
    for (i, entry) in entries.iter().enumerate() {
        let same = |(_, other): &(usize, &MappedTable)| other.table == entry.table;
        let Some((first, other)) = entries[..i].iter().enumerate().find(same) else {
            continue;
        };
        let at = at.index(i);
        if entry.reached.is_none() || other.reached.is_none() {
            let message = format!("entry [{first}] has this one too: keep one entry");
            at.field("table").invalid(message);
        } else if !entry.duties.is_empty() && !other.duties.is_empty() {
            let message = format!("entry [{first}] says already what must be kept of this table");
            at.field("mustKeep").invalid(message);
        }
    }
}

/// Refuses what two entries have in common.
pub(crate) fn twice(at: &At<'_>, field: &str, values: impl Iterator<Item = String>) {
    let mut seen = BTreeMap::new();
    for (i, value) in values.enumerate() {
        if let Some(first) = seen.insert(value, i) {
            at.index(i)
                .field(field)
                .invalid(format!("entry [{first}] has this one too: keep one entry"));
        }
    }
}

fn parse_entry(at: &At<'_>, spec: &MappedTableSpec, names: &Names) -> Option<MappedTable> {
    let MappedTableSpec {
        name,
        table,
        reached_by,
        decision,
        purposes,
        columns,
        must_keep,
        unknown,
    } = spec;
    at.known::<MappedTableSpec>(unknown);
    let name_at = at.field("name");
    let name = name_at
        .text(name.as_ref(), "`enrolments`")
        .filter(|name| {
            let good = crate::api::refs::is_label(name);
            if !good {
                name_at.invalid(
                    "is no name: write at most 63 lower-case letters and digits, with '-' between",
                );
            }
            good
        })
        .map(str::to_owned);
    let table = parse_table(&at.field("table"), table.as_ref(), names);
    let reached = parse_reached(
        at,
        reached_by.as_deref(),
        decision.as_ref(),
        purposes.as_deref(),
        names,
    );
    let columns_at = at.field("columns");
    let columns = columns.as_deref().unwrap_or_default();
    columns_at.bounded(columns, MAX_COLUMNS);
    let columns = all(columns, |i, column| {
        parse_column(&columns_at.index(i), column, names)
    });
    if let Some(columns) = &columns {
        let named = columns.iter().map(|mapped| mapped.column.to_string());
        twice(&columns_at, "column", named);
    }
    let duties_at = at.field("mustKeep");
    let duties = must_keep.as_deref().unwrap_or_default();
    duties_at.bounded(duties, MAX_DUTIES);
    let duties = all(duties, |i, duty| {
        parse_duty(&duties_at.index(i), duty, names)
    });
    Some(MappedTable {
        name: name?,
        table: table?,
        reached: reached?,
        columns: columns?,
        duties: duties?,
    })
}

fn parse_column(at: &At<'_>, spec: &MappedColumnSpec, names: &Names) -> Option<MappedColumn> {
    let MappedColumnSpec {
        column,
        purposes,
        basis,
        review,
        strategy,
        constant,
        generalise_date,
        generalise_number,
        unknown,
    } = spec;
    at.known::<MappedColumnSpec>(unknown);
    let column = at
        .field("column")
        .column(column.as_ref(), names, "`full_name`");
    let written = WrittenStrategy {
        strategy: strategy.as_ref(),
        constant: constant.as_ref(),
        generalise_date: generalise_date.as_ref(),
        generalise_number: generalise_number.as_ref(),
    };
    let strategy = if strategy.is_some() {
        written.parse(at).map(Some)
    } else {
        for (owner, member, _) in written.members().iter().filter(|(.., there)| *there) {
            at.field(member)
                .invalid(format!("is for a strategy: add `strategy: {owner:?}`"));
        }
        Some(None)
    };
    let review = match review {
        None => Some(false),
        Some(_) => at
            .field("review")
            .word::<ReviewName>(review.as_ref())
            .map(|_| true),
    };
    Some(MappedColumn {
        column: column?,
        purposes: purposes.clone().unwrap_or_default(),
        basis: basis.clone(),
        review: review?,
        strategy: strategy?,
    })
}

fn parse_duty(at: &At<'_>, spec: &DutySpec, names: &Names) -> Option<Duty> {
    let DutySpec {
        columns,
        until,
        against,
        ground,
        law,
        tell_subject,
        unknown,
    } = spec;
    at.known::<DutySpec>(unknown);
    let columns = parse_kept(&at.field("columns"), columns.as_deref(), names);
    let until_at = at.field("until");
    let until = until_at
        .required(
            until.as_ref(),
            "`{latestOf: [{column: ended_on, plus: P6Y}]}`",
        )
        .and_then(|until| parse_until(&until_at, until, names));
    let against_at = at.field("against");
    let against = against_at
        .required(against.as_ref(), "`[Expiry]`")
        .and_then(|against| {
            if against.is_empty() {
                against_at.invalid("is empty: write Expiry, Erasure or both");
            }
            all(against, |i, word| against_at.index(i).word(Some(word)))
        });
    let ground_at = at.field("ground");
    let ground = match ground {
        None => Some(None),
        Some(_) => ground_at.word(ground.as_ref()).map(Some),
    };
    let against_erasure = against
        .as_ref()
        .is_some_and(|against| against.contains(&AgainstName::Erasure));
    if against_erasure && ground == Some(None) {
        ground_at.invalid(
            "is required against Erasure: its ground in Art. 17(3), such as `Art17_3_b`; a duty by \
             contract or own decision stands against Expiry only",
        );
    }
    let law = at
        .field("law")
        .text(law.as_ref(), "`Education Act 1996, s. 537A`");
    Some(Duty {
        columns: columns?,
        until: until?,
        against_expiry: against?.contains(&AgainstName::Expiry),
        against_erasure,
        ground: ground?.map(|ground| ground.as_str().to_owned()),
        law: law?.to_owned(),
        tell_subject: tell_subject.unwrap_or(true),
    })
}

/// The columns that a duty names; none where it is about the whole row.
fn parse_kept(at: &At<'_>, columns: Option<&[String]>, names: &Names) -> Option<Vec<Ident>> {
    let Some(columns) = columns else {
        return Some(Vec::new());
    };
    at.bounded(columns, MAX_COLUMNS);
    if columns.is_empty() {
        at.invalid("is empty: name the columns that must be kept, or leave it out for the row");
    }
    let parsed = all(columns, |i, column| {
        at.index(i).column(Some(column), names, "`ended_on`")
    })?;
    let mut seen = BTreeMap::new();
    for (i, column) in parsed.iter().enumerate() {
        if let Some(first) = seen.insert(column, i) {
            at.index(i)
                .invalid(format!("entry [{first}] is this column too: keep one"));
        }
    }
    Some(parsed)
}

fn parse_until(at: &At<'_>, spec: &UntilSpec, names: &Names) -> Option<Vec<Ends>> {
    let UntilSpec { latest_of, unknown } = spec;
    at.known::<UntilSpec>(unknown);
    let at = at.field("latestOf");
    let clocks = at.required(latest_of.as_deref(), "`[{column: ended_on, plus: P6Y}]`")?;
    at.bounded(clocks, MAX_CLOCKS);
    if clocks.is_empty() {
        at.invalid("is empty: a duty says when it ends");
    }
    all(clocks, |i, clock| {
        let at = at.index(i);
        let DutyClockSpec {
            column,
            plus,
            unit,
            time_zone,
            not_before,
            unknown,
        } = clock;
        at.known::<DutyClockSpec>(unknown);
        let plus_at = at.field("plus");
        let plus = plus_at
            .text(plus.as_ref(), "`P6Y`")
            .and_then(|text| plus_at.parsed::<Period>(text));
        let reading = Reading {
            column: column.as_ref(),
            unit: unit.as_ref(),
            time_zone: time_zone.as_ref(),
            not_before: not_before.as_ref(),
        };
        let clock = reading.parse(&at, names);
        Some(Ends {
            clock: clock?,
            plus: plus?,
        })
    })
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::api::reason::Reason;

    fn good() -> Value {
        json!({
            "databaseRef": {"name": "crm"},
            "tables": [{
                "name": "enrolments",
                "table": "public.enrolments",
                "columns": [
                    {"column": "full_name", "purposes": ["teaching"], "basis": "Contract",
                     "strategy": "Constant", "constant": {"value": "erased"}},
                    {"column": "notes", "purposes": ["support"]},
                ],
                "mustKeep": [{
                    "columns": ["uln", "ended_on"],
                    "until": {"latestOf": [
                        {"column": "ended_on", "plus": "P6Y"},
                        {"column": "born_on", "plus": "P24Y", "notBefore": "1900-01-01"},
                    ]},
                    "against": ["Expiry", "Erasure"],
                    "ground": "Art17_3_b",
                    "law": "Education Act 1996",
                }],
            }],
        })
    }

    fn spec(value: &Value) -> DataMapSpec {
        serde_json::from_value(value.clone()).unwrap()
    }

    fn parse(value: &Value) -> Result<DataMap, Vec<FieldError>> {
        DataMap::alone(&spec(value))
    }

    #[test]
    fn a_map_is_read() {
        let map = parse(&good()).unwrap();
        let [entry] = map.tables.as_slice() else {
            panic!("{map:?}");
        };
        let [duty] = entry.duties.as_slice() else {
            panic!("{entry:?}");
        };
        assert!(duty.against_expiry && duty.against_erasure && duty.tell_subject);
        assert_eq!(duty.until.len(), 2);
        assert_eq!(duty.ground.as_deref(), Some("Art17_3_b"));
        let treated: Vec<String> = entry.treatments().map(|t| t.column.to_string()).collect();
        assert_eq!(treated, ["full_name"]);
        let tables: Vec<String> = map.tables().map(ToString::to_string).collect();
        assert_eq!(tables, ["public.enrolments"]);
    }

    #[test]
    fn every_fault_names_its_field_and_what_to_write() {
        let duty = |key: &str, value: Value| {
            let mut spec = good();
            spec["tables"][0]["mustKeep"][0][key] = value;
            spec
        };
        let without = |key: &str| {
            let mut spec = good();
            let duty = &mut spec["tables"][0]["mustKeep"][0];
            duty.as_object_mut().unwrap().remove(key);
            spec
        };
        let table = |key: &str, value: Value| {
            let mut spec = good();
            spec["tables"][0][key] = value;
            spec
        };
        let two = json!([good()["tables"][0], good()["tables"][0]]);
        for (spec, path, reason, words) in [
            (
                duty("untill", json!({})),
                "spec.tables[0].mustKeep[0].untill",
                Reason::UnknownField,
                "did you mean `until`?",
            ),
            (
                without("ground"),
                "spec.tables[0].mustKeep[0].ground",
                Reason::InvalidSpec,
                "Art17_3_b",
            ),
            (
                without("until"),
                "spec.tables[0].mustKeep[0].until",
                Reason::InvalidSpec,
                "latestOf",
            ),
            (
                without("law"),
                "spec.tables[0].mustKeep[0].law",
                Reason::InvalidSpec,
                "is required",
            ),
            (
                duty("against", json!(["Anything"])),
                "spec.tables[0].mustKeep[0].against[0]",
                Reason::InvalidSpec,
                "Expiry, Erasure",
            ),
            (
                duty("columns", json!([])),
                "spec.tables[0].mustKeep[0].columns",
                Reason::InvalidSpec,
                "leave it out for the row",
            ),
            (
                duty(
                    "until",
                    json!({"latestOf": [{"column": "a", "plus": "P0D"}]}),
                ),
                "spec.tables[0].mustKeep[0].until.latestOf[0].plus",
                Reason::InvalidSpec,
                "",
            ),
            (
                table("decision", json!({"type": "Delete"})),
                "spec.tables[0].decision",
                Reason::InvalidSpec,
                "add reachedBy",
            ),
            (
                table(
                    "columns",
                    json!([{"column": "a", "constant": {"value": "x"}}]),
                ),
                "spec.tables[0].columns[0].constant",
                Reason::InvalidSpec,
                "strategy: Constant",
            ),
            (
                table("columns", json!([{"column": "a"}, {"column": "a"}])),
                "spec.tables[0].columns[1].column",
                Reason::InvalidSpec,
                "keep one entry",
            ),
            (
                json!({"databaseRef": {"name": "crm"}, "tables": two}),
                "spec.tables[1].name",
                Reason::InvalidSpec,
                "keep one entry",
            ),
        ] {
            let faults = parse(&spec).unwrap_err();
            let found = faults.iter().find(|fault| fault.path == path);
            let found = found.unwrap_or_else(|| panic!("{path}: {faults:?}"));
            assert_eq!(found.reason, reason, "{path}");
            assert!(found.message.contains(words), "{path}: {}", found.message);
        }
    }

    #[test]
    fn only_what_changes_rows_is_in_the_digest() {
        let digest = |spec: &Value| {
            let map = parse(spec).unwrap();
            crate::duty::digest_of(map.tables.iter(), crate::duty::Against::Expiry).unwrap()
        };
        let then = digest(&good());
        let mut other = good();
        other["tables"][0]["mustKeep"][0]["law"] = json!("another");
        other["tables"][0]["columns"][0]["basis"] = json!("Consent");
        assert_eq!(digest(&other), then);
        for (pointer, value) in [
            ("/tables/0/mustKeep/0/until/latestOf/0/plus", json!("P7Y")),
            ("/tables/0/mustKeep/0/until/latestOf/0/column", json!("x")),
            ("/tables/0/mustKeep/0/columns/0", json!("name")),
            ("/tables/0/columns/0/constant/value", json!("gone")),
            ("/tables/0/columns/1/strategy", json!("Nullify")),
        ] {
            let mut other = good();
            match other.pointer_mut(pointer) {
                Some(at) => *at = value,
                None => other["tables"][0]["columns"][1]["strategy"] = value,
            }
            assert_ne!(digest(&other), then, "{pointer}");
        }
    }
}
