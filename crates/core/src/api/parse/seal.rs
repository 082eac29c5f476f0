//! Sealing: where a database keeps sealed rows, which rules seal, and the rules that end what was
//! sealed.

use std::collections::BTreeMap;

use jiff::tz::TimeZone;

use super::{At, Names};
use crate::api::rule::{ActionSpec, ActionType, MAX_RULES, RuleSpec, SealedSpec};
use crate::api::target_database::{EngineName, SealSpec};
use crate::api::words::Choice;
use crate::name::{Ident, TableName};
use crate::period::Period;
use crate::policy::{Action, Clock, Expiry, Partitions, Related, RelatedAction, Rule, Seal, Since};
use crate::sql::SEALED_AT;
use crate::target::SealPlace;

/// Where a database keeps sealed rows.
pub(super) fn parse_seal_place(
    at: &At<'_>,
    spec: &SealSpec,
    engine: Option<EngineName>,
    database: Option<&str>,
) -> Option<SealPlace> {
    let SealSpec {
        schema,
        readers,
        unknown,
    } = spec;
    at.known::<SealSpec>(unknown);
    let names = Names {
        engine,
        database: None,
        seal: None,
    };
    let schema_at = at.field("schema");
    let schema = schema_at.column(schema.as_ref(), &names, "`sealed`")?;
    if engine == Some(EngineName::MySQL) && database == Some(schema.as_str()) {
        schema_at.invalid("is the connection's own database: name another one of the same server");
        return None;
    }
    let readers = readers.clone().unwrap_or_default();
    at.field("readers").bounded(&readers, 16);
    let everybody = readers
        .iter()
        .any(|name| name.eq_ignore_ascii_case("public"));
    if everybody && engine == Some(EngineName::PostgreSQL) {
        at.field("readers")
            .invalid("names PUBLIC, which is everybody: name the roles that may read sealed rows");
        return None;
    }
    Some(SealPlace { schema, readers })
}

/// Whether and for how long a rule seals; `None` also where there is a fault. Where the database is not
/// known, nothing is sealed: such a rule is good for no plan.
pub(super) fn parse_seal(
    at: &At<'_>,
    action: Option<&ActionSpec>,
    grace: Option<&String>,
    names: &Names,
) -> Option<Seal> {
    let kind = action.and_then(|action| action.kind.as_ref());
    let kind = kind.and_then(Choice::known);
    let (at, period) = match (kind, grace) {
        (Some(ActionType::Seal), None) => {
            let at = at.field("action").field("seal");
            let sealed = action.and_then(|action| action.seal.as_ref());
            let SealedSpec {
                expire_after,
                unknown,
            } = at.required(sealed, "`{expireAfter: P6Y}`")?;
            at.known::<SealedSpec>(unknown);
            let at = at.field("expireAfter");
            let text = at.text(expire_after.as_ref(), "`P6Y`")?;
            (at, text)
        }
        (Some(ActionType::Delete), Some(text)) => (at.field("grace"), text.as_str()),
        (_, Some(_)) => {
            at.field("grace")
                .invalid("is for the action Delete: Seal has seal.expireAfter");
            return None;
        }
        (_, None) => return None,
    };
    let keep: Period = at.parsed(period)?;
    let Some(SealPlace { schema, readers }) = names.seal.clone() else {
        if names.engine.is_some() {
            at.invalid(
                "sealed rows need a place: write `seal: {schema: sealed}` into the spec of the \
                 TargetDatabase",
            );
        }
        return None;
    };
    Some(Seal {
        schema,
        readers,
        keep,
    })
}

/// Refuses a table of sealed rows: they came from another one, whose holds and duties keep them only from
/// the rule that ends what it has sealed.
pub(super) fn not_sealed(
    at: &At<'_>,
    table: Option<TableName>,
    names: &Names,
) -> Option<TableName> {
    let (table, seal) = (table?, names.seal.as_ref());
    if seal.is_some_and(|seal| table.schema.as_ref() == Some(&seal.schema)) {
        at.invalid(
            "is where rows are sealed: they go when `seal.expireAfter` or `grace` of the rule that \
             sealed them is over",
        );
        return None;
    }
    Some(table)
}

/// The related entries as they are carried out: with `grace`, what would be deleted is sealed.
pub(super) fn sealed_with(at: &At<'_>, mut related: Vec<Related>, rule: &RuleSpec) -> Vec<Related> {
    let kind = rule.action.as_ref().and_then(|action| action.kind.as_ref());
    let seals = kind.and_then(Choice::known) == Some(ActionType::Seal);
    for (i, entry) in related.iter_mut().enumerate() {
        match entry.action {
            RelatedAction::Delete if rule.grace.is_some() => entry.action = RelatedAction::Seal,
            RelatedAction::Seal if !seals && rule.grace.is_none() => {
                at.index(i).field("action").invalid(
                    "rows are sealed with the row that they hang on: give the rule the action Seal, \
                     or use Delete",
                );
            }
            _ => {}
        }
    }
    related
}

/// Adds a rule for each sealed table, which deletes what has been there for its time.
pub(super) fn add_endings(at: &At<'_>, rules: &mut Vec<Rule>, engine: EngineName) {
    let mut seen: BTreeMap<TableName, (TableName, Period)> = BTreeMap::new();
    let mut endings = Vec::new();
    for (i, rule) in rules.iter().enumerate() {
        for (table, seal) in rule.sealed() {
            let place = seal.of(table);
            if let Some((from, keep)) = seen.get(&place) {
                if (from, keep) != (table, &seal.keep) {
                    at.index(i).invalid(format!(
                        "seals rows of {table} into {place} for {}, where another rule seals rows of \
                         {from} for {keep}: they could not be told apart; seal one table there, for \
                         one time",
                        seal.keep
                    ));
                }
                continue;
            }
            seen.insert(place.clone(), (table.clone(), seal.keep));
            endings.extend(ending(rule, table, place, seal, engine));
        }
    }
    rules.append(&mut endings);
    if rules.len() > MAX_RULES && !seen.is_empty() {
        at.invalid(format!(
            "makes {} steps, one for each rule and each sealed table; at most {MAX_RULES} are \
             allowed: divide the rules among several policies",
            rules.len()
        ));
    }
}

fn ending(
    rule: &Rule,
    from: &TableName,
    table: TableName,
    seal: &Seal,
    engine: EngineName,
) -> Option<Rule> {
    let clock = Clock {
        column: Ident::new(SEALED_AT).ok()?,
        epoch: None,
        zone: (engine == EngineName::MySQL).then_some(TimeZone::UTC),
        not_before: Clock::PLAUSIBLE_FROM,
    };
    Some(Rule {
        name: Seal::ending(rule, from),
        table,
        expiry: Expiry::After {
            period: seal.keep,
            since: Since::Own(clock),
        },
        conditions: Vec::new(),
        only_if: Vec::new(),
        unless: Vec::new(),
        action: Action::Delete,
        related: Vec::new(),
        allow_unindexed: rule.allow_unindexed,
        triggers: rule.triggers.clone(),
        groups: None,
        partitions: Partitions::Rows,
        seal: None,
        sealed_from: Some(from.clone()),
    })
}
