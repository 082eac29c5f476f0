//! Triggers on changed rows: one that nobody has looked at could change what no plan counts.

use super::{Found, Subject, Touch, found};
use crate::api::reason::Reason;
use crate::catalog::{Catalog, Trigger};
use crate::policy::{DeclaredTrigger, Rule};
use crate::yaml::scalar;

/// Refuses those that would fire and are not declared, with the entries that declare them.
pub(super) fn guard(s: &Subject<'_>) -> Vec<Found> {
    let would_fire = |trigger: &&Trigger| {
        let fires = match s.touch {
            Touch::Delete => trigger.on_delete,
            Touch::Update(_) => trigger.on_update,
        };
        // A statement's triggers are those of the table that it names.
        fires && (trigger.each_row || !s.is_leaf)
    };
    let fire: Vec<&Trigger> = s.table.triggers.iter().filter(would_fire).collect();
    let (declared, unknown): (Vec<_>, Vec<_>) = fire.into_iter().partition(|trigger| {
        let mut all = s.rule.triggers.iter();
        all.any(|declared| is(s.catalog, declared, &s.table.name, trigger))
    });
    if !unknown.is_empty() {
        let entry = |trigger: &&Trigger| {
            format!(
                "- {{table: {}, name: {}, effect: Harmless}}   # after looking at what it does",
                scalar(&s.table.name.to_string()),
                scalar(&trigger.name)
            )
        };
        let entries: Vec<String> = unknown.iter().map(entry).collect();
        return vec![(
            Reason::TriggerPresent,
            format!(
                "triggers would act on every changed row, beyond what the plan can count: {}",
                names(&unknown)
            ),
            Some(format!("triggers:\n{}", entries.join("\n"))),
        )];
    }
    let foreign: Vec<&Trigger> = declared.into_iter().filter(|t| t.foreign).collect();
    if foreign.is_empty() {
        return Vec::new();
    }
    found(
        Reason::TriggerPresent,
        format!(
            "functions of triggers that belong to no administrator would run with the privileges of \
             {}, and could change anything that it may: {}; let a superuser own them after looking \
             at them, or make them SECURITY DEFINER",
            s.catalog.user,
            names(&foreign)
        ),
    )
}

fn names(triggers: &[&Trigger]) -> String {
    let names: Vec<&str> = triggers.iter().map(|t| t.name.as_str()).collect();
    names.join(", ")
}

fn is(
    catalog: &Catalog,
    declared: &DeclaredTrigger,
    table: &crate::name::TableName,
    trigger: &Trigger,
) -> bool {
    catalog.is(&declared.table, table) && declared.name.as_str() == trigger.name
}

/// Names the declared triggers that there are not.
pub(in crate::plan) fn stale(catalog: &Catalog, rule: &Rule) -> Vec<String> {
    let exists = |declared: &&DeclaredTrigger| {
        catalog.table(&declared.table).is_some_and(|table| {
            let mut triggers = table.triggers.iter();
            triggers.any(|trigger| is(catalog, declared, &table.name, trigger))
        })
    };
    let stale = rule.triggers.iter().filter(|declared| !exists(declared));
    stale
        .map(|DeclaredTrigger { table, name }| {
            format!(
                "rule {}: no trigger {name} fires on changed rows of {table}: its entry can go",
                rule.name
            )
        })
        .collect()
}
