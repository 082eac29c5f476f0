//! `unless` and `onlyIf`: rows of other tables that belong to a row.

use super::condition::parse_test_spec;
use super::rule::parse_table;
use super::{At, Names, all};
use crate::api::lookup::{
    LookupMatchSpec, LookupSpec, MAX_LOOKUPS, MAX_TESTS, NormaliseName, ViaSpec, WithoutRows,
};
use crate::api::rule::TestSpec;
use crate::policy::{Condition, Hop, Lookup, Match, Normalise, Via};

pub(super) fn parse_lookups(
    at: &At<'_>,
    specs: Option<&[LookupSpec]>,
    names: &Names,
) -> Option<Vec<Lookup>> {
    let specs = specs.unwrap_or_default();
    at.bounded(specs, MAX_LOOKUPS);
    all(specs, |i, spec| {
        let LookupSpec {
            table,
            matches,
            via,
            conditions,
            unknown,
        } = spec;
        let at = at.index(i);
        at.known::<LookupSpec>(unknown);
        if via.as_ref().is_some_and(|via| via.without_rows.is_some()) {
            at.field("via").field("withoutRows").invalid(
                "is for clocks: here a row counts where there is one at the end; remove it",
            );
        }
        parse_rows(
            &at,
            table.as_ref(),
            matches.as_deref(),
            via.as_ref(),
            conditions.as_deref(),
            names,
        )
    })
}

/// The rows that `table`, `match`, `via` and `where` of a place mean.
pub(super) fn parse_rows(
    at: &At<'_>,
    table: Option<&String>,
    matches: Option<&[LookupMatchSpec]>,
    via: Option<&ViaSpec>,
    conditions: Option<&[TestSpec]>,
    names: &Names,
) -> Option<Lookup> {
    let hop = parse_hop(at, table, matches, names);
    let via = match via {
        None => Some(None),
        Some(ViaSpec {
            table,
            matches,
            without_rows,
            unknown,
        }) => {
            let at = at.field("via");
            at.known::<ViaSpec>(unknown);
            let open_ended = match without_rows {
                None => Some(true),
                Some(_) => at
                    .field("withoutRows")
                    .word(without_rows.as_ref())
                    .map(|word| word == WithoutRows::Open),
            };
            let hop = parse_hop(&at, table.as_ref(), matches.as_deref(), names);
            hop.zip(open_ended)
                .map(|(hop, open_ended)| Some(Via { hop, open_ended }))
        }
    };
    let conditions = parse_conditions(&at.field("where"), conditions, names);
    Some(Lookup {
        via: via?,
        hop: hop?,
        conditions: conditions?,
    })
}

fn parse_conditions(
    at: &At<'_>,
    tests: Option<&[TestSpec]>,
    names: &Names,
) -> Option<Vec<Condition>> {
    let tests = tests.unwrap_or_default();
    at.bounded(tests, MAX_TESTS);
    all(tests, |i, test| parse_test_spec(&at.index(i), test, names))
}

fn parse_hop(
    at: &At<'_>,
    table: Option<&String>,
    matches: Option<&[LookupMatchSpec]>,
    names: &Names,
) -> Option<Hop> {
    let table = parse_table(&at.field("table"), table, names);
    let at = at.field("match");
    let matches = at.required(matches, "`[{column: learner_id, equals: id}]`")?;
    at.bounded(matches, 8);
    if matches.is_empty() {
        at.invalid(
            "is empty, so that every row would match: write `[{column: learner_id, equals: id}]`",
        );
        return None;
    }
    let matches = all(matches, |i, spec| {
        let LookupMatchSpec {
            column,
            equals,
            normalise,
            unknown,
        } = spec;
        let at = at.index(i);
        at.known::<LookupMatchSpec>(unknown);
        let column = at
            .field("column")
            .column(column.as_ref(), names, "`learner_id`");
        let equals = at.field("equals").column(equals.as_ref(), names, "`id`");
        let normalise = match normalise {
            None => Some(None),
            Some(_) => at
                .field("normalise")
                .word(normalise.as_ref())
                .map(|word| match word {
                    NormaliseName::LowercaseTrim => Some(Normalise::LowercaseTrim),
                    NormaliseName::DigitsOnly => Some(Normalise::DigitsOnly),
                }),
        };
        Some(Match {
            column: column?,
            equals: equals?,
            normalise: normalise?,
        })
    });
    Some(Hop {
        table: table?,
        matches: matches?,
    })
}
