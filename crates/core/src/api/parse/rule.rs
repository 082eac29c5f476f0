//! One rule: from the manifest to `crate::policy::Rule`.

use std::collections::BTreeSet;

use super::action::{parse_action, parse_related_action};
use super::condition::parse_clause;
use super::lookup::parse_lookups;
use super::seal::{not_sealed, parse_seal, sealed_with};
use super::since::parse_expiry;
use super::small_groups::parse_promise;
use super::{At, Names, all};
use crate::api::refs::is_label;
use crate::api::rule::{
    MAX_TRIGGERS, MatchSpec, RelatedSpec, RuleSpec, TriggerEffect, TriggerSpec, WalkSpec,
};
use crate::name::TableName;
use crate::policy::{DeclaredTrigger, Partitions, Related, Rule};

pub(super) fn parse_rule(at: &At<'_>, spec: &RuleSpec, names: &Names) -> Option<Rule> {
    let RuleSpec {
        name,
        basis,
        table,
        expire_after,
        since,
        expire_on,
        conditions,
        only_if,
        unless,
        action,
        grace,
        walk,
        related,
        triggers,
        partitions,
        unknown,
    } = spec;
    at.known::<RuleSpec>(unknown);
    let name = parse_rule_name(&at.field("name"), name.as_ref());
    let basis = at.field("basis").text(
        basis.as_ref(),
        "`Privacy notice: enquiries are kept for six months`",
    );
    let table_at = at.field("table");
    let table = not_sealed(
        &table_at,
        parse_table(&table_at, table.as_ref(), names),
        names,
    );
    let expiry = parse_expiry(
        at,
        expire_after.as_ref(),
        since.as_ref(),
        expire_on.as_ref(),
        names,
    );
    let conditions_at = at.field("where");
    let clauses = conditions.as_deref().unwrap_or_default();
    conditions_at.bounded(clauses, 16);
    let conditions = all(clauses, |i, clause| {
        parse_clause(&conditions_at.index(i), clause, names)
    });
    let only_if = parse_lookups(&at.field("onlyIf"), only_if.as_deref(), names);
    let unless = parse_lookups(&at.field("unless"), unless.as_deref(), names);
    let action_at = at.field("action");
    let action_spec = action_at.required(action.as_ref(), "`{type: Delete}`");
    let action = action_spec.and_then(|action| parse_action(&action_at, action, names));
    let groups = action_spec.map_or(Some(None), |spec| {
        parse_promise(&action_at, spec, action.as_ref(), names)
    });
    let seal = parse_seal(at, spec.action.as_ref(), grace.as_ref(), names);
    let allow_unindexed = match walk {
        None => false,
        Some(WalkSpec {
            allow_unindexed,
            unknown,
        }) => {
            at.field("walk").known::<WalkSpec>(unknown);
            allow_unindexed.unwrap_or(false)
        }
    };
    let related_at = at.field("related");
    let entries = related.as_deref().unwrap_or_default();
    related_at.bounded(entries, 32);
    let related = all(entries, |i, entry| {
        parse_related(&related_at.index(i), entry, names)
    });
    let related = related.map(|related| sealed_with(&related_at, related, spec));
    if let (Some(table), Some(related)) = (&table, &related) {
        check_related(&related_at, table, related);
    }
    let triggers_at = at.field("triggers");
    let entries = triggers.as_deref().unwrap_or_default();
    triggers_at.bounded(entries, MAX_TRIGGERS);
    let triggers = all(entries, |i, entry| {
        parse_trigger(&triggers_at.index(i), entry, names)
    });
    let partitions = at
        .field("partitions")
        .word_or(partitions.as_ref(), Partitions::Rows);
    basis?;
    Some(Rule {
        name: name?,
        table: table?,
        expiry: expiry?,
        conditions: conditions?,
        only_if: only_if?,
        unless: unless?,
        action: action?,
        groups: groups?,
        related: related?,
        allow_unindexed,
        triggers: triggers?,
        partitions: partitions?,
        seal,
        sealed_from: None,
    })
}

fn parse_trigger(at: &At<'_>, spec: &TriggerSpec, names: &Names) -> Option<DeclaredTrigger> {
    let TriggerSpec {
        table,
        name,
        effect,
        unknown,
    } = spec;
    at.known::<TriggerSpec>(unknown);
    let table = parse_table(&at.field("table"), table.as_ref(), names);
    let name = at
        .field("name")
        .column(name.as_ref(), names, "`set_updated_at`");
    let effect = {
        let at = at.field("effect");
        at.required(effect.as_ref(), "`Harmless`")
            .and_then(|_| at.word(effect.as_ref()))
    };
    let TriggerEffect::Harmless = effect?;
    Some(DeclaredTrigger {
        table: table?,
        name: name?,
    })
}

fn parse_rule_name(at: &At<'_>, name: Option<&String>) -> Option<String> {
    let name = at.text(name, "`course-enquiries`")?;
    if !is_label(name) {
        at.invalid(
            "write at most 63 lower-case letters, digits and hyphens, such as `course-enquiries`",
        );
        return None;
    }
    Some(name.to_owned())
}

pub(super) fn parse_table(at: &At<'_>, table: Option<&String>, names: &Names) -> Option<TableName> {
    let text = at.text(table, "`public.enquiries`")?;
    let name: TableName = at.parsed(text)?;
    if names.is_postgres() && name.schema.is_none() {
        at.invalid(format!("write the schema too, such as `public.{name}`"));
        return None;
    }
    let TableName { schema, table } = name;
    let schema = match schema {
        None => names.database.clone(),
        // Another database of the server has an owner and guards of its own.
        Some(schema) if names.database.as_ref().is_some_and(|own| *own != schema) => {
            at.invalid(
                "on MySQL and MariaDB a rule reaches tables of the TargetDatabase's own database \
                 only: write the table without its database",
            );
            return None;
        }
        Some(schema) => Some(names.fits(at, schema)?),
    };
    Some(TableName {
        schema,
        table: names.fits(at, table)?,
    })
}

fn parse_related(at: &At<'_>, spec: &RelatedSpec, names: &Names) -> Option<Related> {
    let RelatedSpec {
        table,
        of,
        matches,
        action,
        unknown,
    } = spec;
    at.known::<RelatedSpec>(unknown);
    let table_at = at.field("table");
    let table = not_sealed(
        &table_at,
        parse_table(&table_at, table.as_ref(), names),
        names,
    );
    let of = parse_table(&at.field("of"), of.as_ref(), names);
    let matches_at = at.field("match");
    let matches = matches_at
        .required(matches.as_ref(), "`[{column: enquiry_id, equals: id}]`")
        .and_then(|matches| {
            matches_at.bounded(matches, 8);
            if matches.is_empty() {
                matches_at.invalid("is empty: write `[{column: enquiry_id, equals: id}]`");
                return None;
            }
            all(
                matches,
                |i,
                 MatchSpec {
                     column,
                     equals,
                     unknown,
                 }| {
                    let at = matches_at.index(i);
                    at.known::<MatchSpec>(unknown);
                    let column = at
                        .field("column")
                        .column(column.as_ref(), names, "`enquiry_id`");
                    let equals = at.field("equals").column(equals.as_ref(), names, "`id`");
                    Some((column?, equals?))
                },
            )
        });
    let action = {
        let at = at.field("action");
        at.required(action.as_ref(), "`{type: Delete}`")
            .and_then(|action| parse_related_action(&at, action, names))
    };
    Some(Related {
        table: table?,
        of: of?,
        matches: matches?,
        action: action?,
    })
}

/// What can be seen of the graph in the manifest alone; the rest needs the catalog.
fn check_related(at: &At<'_>, root: &TableName, related: &[Related]) {
    let declared: BTreeSet<_> = related
        .iter()
        .map(|entry| &entry.table)
        .chain([root])
        .collect();
    for (i, entry) in related.iter().enumerate() {
        let at = at.index(i);
        if !declared.contains(&entry.of) {
            at.field("of").invalid(format!(
                "`{}` is neither the rule's table nor the table of a related entry",
                entry.of
            ));
        }
        let twin = related[..i].iter().position(|other| {
            other.table == entry.table && other.of == entry.of && other.matches == entry.matches
        });
        if let Some(twin) = twin {
            at.invalid(format!(
                "decides the same reference as related[{twin}]: keep one of them"
            ));
        }
    }
}
