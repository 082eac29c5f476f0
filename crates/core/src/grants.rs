//! The least privileges a policy needs, as the statements that give them (SQL.md section 8).

use std::collections::{BTreeMap, BTreeSet};

use crate::catalog::{Catalog, Engine, Privileges};
use crate::name::{Ident, TableName};
use crate::plan::Intent;
use crate::policy::{Action, Policy, RelatedAction, Treatment};
use crate::sql::{Writer, dialect};

/// What is needed on one table.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Needed {
    /// DELETE.
    pub delete: bool,
    /// UPDATE of these columns.
    pub update: BTreeSet<Ident>,
}

/// What a policy needs beyond SELECT, per table as the policy names it. On PostgreSQL choosing
/// rows `FOR UPDATE` needs UPDATE on one column: the clock's, or the reference's.
pub fn needed(policy: &Policy, engine: Engine) -> BTreeMap<TableName, Needed> {
    let mut tables: BTreeMap<TableName, Needed> = BTreeMap::new();
    let update = |needed: &mut Needed, treatments: &[Treatment]| {
        needed
            .update
            .extend(treatments.iter().map(|t| t.column.clone()));
    };
    for rule in &policy.rules {
        let own = tables.entry(rule.table.clone()).or_default();
        match &rule.action {
            Action::Delete => own.delete = true,
            Action::Anonymise(treatments) => update(own, treatments),
        }
        if engine == Engine::Postgres {
            own.update.insert(rule.clock.column.clone());
        }
        for related in &rule.related {
            let own = tables.entry(related.table.clone()).or_default();
            let columns = || related.matches.iter().map(|(column, _)| column.clone());
            match &related.action {
                RelatedAction::Delete => own.delete = true,
                RelatedAction::Anonymise(treatments) => update(own, treatments),
                RelatedAction::Detach => own.update.extend(columns()),
            }
            if engine == Engine::Postgres {
                own.update.extend(columns());
            }
        }
    }
    tables
}

/// The statements that give `user` everything the policy needs.
pub fn statements(policy: &Policy, engine: Engine, user: &str, intent: Intent) -> Vec<String> {
    let mut all = Vec::new();
    let mut schemas = BTreeSet::new();
    for (table, needed) in needed(policy, engine) {
        if engine == Engine::Postgres
            && let Some(schema) = &table.schema
            && schemas.insert(schema.clone())
        {
            let mut w = Writer::new(dialect(engine));
            w.sql("GRANT USAGE ON SCHEMA ").ident(schema);
            all.push(format!("{} TO {user};", w.finish().sql.text()));
        }
        all.push(grant(engine, "SELECT", &BTreeSet::new(), &table, user));
        if intent == Intent::Enforce {
            all.extend(changing(engine, &needed, &table, user));
        }
    }
    if engine.is_innodb() {
        all.push(format!("GRANT PROCESS ON *.* TO {user};"));
        let mut tables: Vec<_> = needed(policy, engine).into_keys().collect();
        tables.dedup();
        for table in tables {
            all.push(grant(engine, "TRIGGER", &BTreeSet::new(), &table, user));
        }
    }
    all
}

fn changing(engine: Engine, needed: &Needed, table: &TableName, user: &str) -> Vec<String> {
    let Needed { delete, update } = needed;
    let mut all = Vec::new();
    if *delete {
        all.push(grant(engine, "DELETE", &BTreeSet::new(), table, user));
    }
    if !update.is_empty() {
        all.push(grant(engine, "UPDATE", update, table, user));
    }
    all
}

fn grant(
    engine: Engine,
    privilege: &'static str,
    columns: &BTreeSet<Ident>,
    table: &TableName,
    user: &str,
) -> String {
    let mut w = Writer::new(dialect(engine));
    w.sql("GRANT ").sql(privilege);
    if !columns.is_empty() {
        w.sql(" (").joined(columns, ", ", |w, c| {
            w.ident(c);
        });
        w.sql(")");
    }
    w.sql(" ON ").table(table);
    format!("{} TO {user};", w.finish().sql.text())
}

/// The grants a user lacks, as far as the catalog tells.
pub fn missing(policy: &Policy, catalog: &Catalog, intent: Intent) -> Vec<String> {
    let mut all = Vec::new();
    for (name, needed) in needed(policy, catalog.engine) {
        let Some(table) = catalog.table(&name) else {
            continue;
        };
        let none = Privileges::default();
        let has = catalog.privileges.get(&table.name).unwrap_or(&none);
        if !has.select {
            all.push(grant(
                catalog.engine,
                "SELECT",
                &BTreeSet::new(),
                &table.name,
                &catalog.user,
            ));
        }
        if intent == Intent::DryRun {
            continue;
        }
        let lacking = Needed {
            delete: needed.delete && !has.delete,
            update: needed.update.difference(&has.update).cloned().collect(),
        };
        all.extend(changing(
            catalog.engine,
            &lacking,
            &table.name,
            &catalog.user,
        ));
    }
    all
}
