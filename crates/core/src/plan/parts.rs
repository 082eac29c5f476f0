//! What a plan's digest covers: two plans with the same digest do the same.

use serde_json::json;

use super::draft::RuleDraft;
use super::graph::Node;
use crate::approval::PlanParts;
use crate::catalog::{Catalog, Table, TableKind};
use crate::digest::{Digest, DigestError};
use crate::name::Ident;
use crate::policy::{Policy, Rule};
use crate::sql::{ClockSql, Window};
use crate::value::Value;

/// The plan's digest: it changes with the spec, the schema of the tables touched and looked at, and the statements, and
/// not with statistics, values or the instant.
pub(super) fn digest(
    spec: &serde_json::Value,
    policy: &Policy,
    catalog: &Catalog,
    rules: &[RuleDraft],
    duties: Option<Digest>,
) -> Result<(Digest, PlanParts), DigestError> {
    let looked_at = policy.rules.iter().flat_map(Rule::looked_at);
    let looked_at = looked_at.filter_map(|name| catalog.table(name));
    let mut tables: Vec<_> = rules
        .iter()
        .flat_map(|r| {
            std::iter::once(&r.change.window.table).chain(r.nodes.iter().map(|n| &n.depth.table))
        })
        .chain(looked_at.map(|table| &table.name))
        .collect();
    tables.sort();
    tables.dedup();
    let schema: Vec<_> = tables
        .iter()
        .filter_map(|name| catalog.tables.get(*name))
        .map(|table| {
            let references: Vec<_> = catalog
                .references
                .iter()
                .filter(|r| r.to == table.name || r.from == table.name)
                .collect();
            let mut seen = json!({
                "name": table.name, "kind": table.kind, "engine": table.storage_engine,
                "columns": table.columns, "key": table.primary_key, "triggers": table.triggers,
                "rules": table.rules, "checks": table.checks, "references": references,
                "leaves": leaf_triggers(catalog, table),
            });
            if let Some(key) = walked_otherwise(rules, table) {
                seen["walked"] = json!(key);
            }
            seen
        })
        .collect();
    let statements: Vec<_> = rules.iter().map(statements).collect();
    let parts = PlanParts {
        spec: Digest::of_json(spec)?,
        schema: Digest::of_json(&schema)?,
        statements: Digest::of_json(&statements)?,
        duties,
    };
    let mut all = json!({"spec": spec, "schema": schema, "statements": statements});
    if let Some(duties) = duties {
        // Without any the digest is that of older versions.
        all["duties"] = json!(duties.to_string());
    }
    Ok((Digest::of_json(&all)?, parts))
}

/// The columns by which a table's rows are walked where its primary key does not say it: where a run has come to is
/// told in them.
fn walked_otherwise<'a>(rules: &'a [RuleDraft], table: &Table) -> Option<Vec<&'a Ident>> {
    let rule = rules.iter().find(|r| r.change.window.table == table.name)?;
    let key = rule.change.window.key.iter().map(|column| &column.0.name);
    let key: Vec<_> = key.collect();
    (!table.primary_key.iter().eq(key.iter().copied())).then_some(key)
}

/// The triggers of a table's leaves; `None`: there are none, as in digests of older versions.
fn leaf_triggers(catalog: &Catalog, table: &Table) -> Option<Vec<serde_json::Value>> {
    let TableKind::Partitioned { leaves } = &table.kind else {
        return None;
    };
    let found = leaves
        .iter()
        .filter_map(|leaf| catalog.tables.get(leaf))
        .filter(|leaf| !leaf.triggers.is_empty())
        .map(|leaf| json!({"name": leaf.name, "triggers": leaf.triggers}));
    let found: Vec<_> = found.collect();
    (!found.is_empty()).then_some(found)
}

/// The texts of a rule's effect statements, in the form without bounds.
pub(super) fn statements(rule: &RuleDraft) -> Vec<String> {
    let mut count = rule.count.clone();
    count.eligible.clock = count.eligible.clock.at_no_time();
    let groups = rule.groups.iter();
    let groups = groups.map(|groups| count.groups(&Window::default(), &groups.sql));
    let key = vec![Value::Null; rule.change.window.key.len()];
    let mut change = rule.change.clone();
    change.eligible.clock = change.eligible.clock.at_no_time();
    if let ClockSql::Reached(_, reach) = &mut change.eligible.clock {
        *reach = reach.of_nobody();
    }
    std::iter::once(change.by_window(&Window::default()))
        .chain(groups)
        .chain(change.copy(&Window::default(), &[key], ""))
        .chain(rule.nodes.iter().flat_map(Node::statements))
        .map(|bound| bound.sql.text().to_owned())
        .collect()
}
