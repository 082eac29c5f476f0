//! The least privileges a policy needs, as the statements that give them (SQL.md section 8).

mod people;

pub use people::needed_by_people;

use std::collections::{BTreeMap, BTreeSet};

use crate::catalog::{Catalog, Engine, Privileges};
use crate::duty::DataMap;
use crate::name::{Ident, TableName};
use crate::plan::Intent;
use crate::policy::{Action, Expiry, Partitions, Policy, Related, RelatedAction, Rule, Treatment};
use crate::sql::partition::aside;
use crate::sql::{SEALED_AT, Writer, dialect};

/// What is needed on one table.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Needed {
    /// DELETE.
    pub delete: bool,
    /// INSERT.
    pub insert: bool,
    /// UPDATE of these columns.
    pub update: BTreeSet<Ident>,
    /// A column to give UPDATE of where no other is given: rows are chosen `FOR UPDATE` (PostgreSQL).
    pub lock: Option<Ident>,
    /// What it takes to exchange its partitions, where they are to go as a whole.
    pub whole: bool,
}

impl Needed {
    fn add(&mut self, other: Self) {
        let Self {
            delete,
            insert,
            update,
            lock,
            whole,
        } = other;
        self.delete |= delete;
        self.insert |= insert;
        self.update.extend(update);
        self.lock = self.lock.take().or(lock);
        self.whole |= whole;
    }

    /// The columns of which UPDATE is given, beside those of which it is.
    fn columns(&self, given: &BTreeSet<Ident>) -> BTreeSet<Ident> {
        let lock = self.lock.iter();
        let lock = lock.filter(|_| self.update.is_empty() && given.is_empty());
        let lacking = self.update.difference(given);
        lacking.chain(lock).cloned().collect()
    }
}

/// What a policy needs beyond SELECT, per table as the policy names it. On PostgreSQL choosing
/// rows `FOR UPDATE` needs UPDATE on one column: the clock's, or a reference's.
pub fn needed(policy: &Policy, engine: Engine) -> BTreeMap<TableName, Needed> {
    let mut tables: BTreeMap<TableName, Needed> = BTreeMap::new();
    let update = |needed: &mut Needed, treatments: &[Treatment]| {
        needed
            .update
            .extend(treatments.iter().map(|t| t.column.clone()));
    };
    let entries = || policy.maps.iter().flat_map(|named| &named.map.tables);
    for entry in entries() {
        // Looked at in every plan: a duty must not vanish with its table.
        tables.entry(entry.table.clone()).or_default();
    }
    for rule in &policy.rules {
        let own = tables.entry(rule.table.clone()).or_default();
        let in_part = entries()
            .filter(|entry| entry.table == rule.table && entry.keeps_parts(policy.against));
        for entry in in_part.filter(|_| matches!(rule.action, Action::Delete)) {
            update(own, &entry.treatments().collect::<Vec<_>>());
        }
        match &rule.action {
            Action::Delete => own.delete = true,
            Action::Anonymise(treatments) => update(own, treatments),
        }
        if engine == Engine::Postgres {
            own.update.extend(rule.own_column().cloned());
            if let Expiry::Reached(reach) = &rule.expiry {
                own.lock = own.lock.take().or_else(|| reach.column().cloned());
            }
        }
        own.whole |= rule.partitions == Partitions::Whole;
        for (table, seal) in rule.sealed() {
            tables.entry(seal.of(table)).or_default().insert = true;
        }
        for looked_at in rule.looked_at() {
            tables.entry(looked_at.clone()).or_default();
        }
        for related in &rule.related {
            let own = tables.entry(related.table.clone()).or_default();
            let columns = || related.matches.iter().map(|(column, _)| column.clone());
            match &related.action {
                RelatedAction::Delete | RelatedAction::Seal => own.delete = true,
                RelatedAction::Anonymise(treatments) => update(own, treatments),
                RelatedAction::Detach => own.update.extend(columns()),
            }
            if engine == Engine::Postgres || lets_go(rule, related) {
                own.update.extend(columns());
            }
        }
    }
    tables
}

/// Whether rows may have to let go of those that they refer to before they go: entries lead from them
/// back to themselves, or they go over another reference.
fn lets_go(rule: &Rule, related: &Related) -> bool {
    let mut below = vec![&related.table];
    let mut at = 0;
    while let Some(table) = below.get(at).copied() {
        at += 1;
        for entry in rule.related.iter().filter(|entry| entry.of == *table) {
            if !below.contains(&&entry.table) {
                below.push(&entry.table);
            }
        }
    }
    let deletes =
        |entry: &Related| matches!(entry.action, RelatedAction::Delete | RelatedAction::Seal);
    let mut entries = rule.related.iter();
    let gone = matches!(rule.action, Action::Delete) && rule.table == related.table
        || entries.any(|entry| entry.table == related.table && deletes(entry));
    below.contains(&&related.of) || gone && !deletes(related)
}

/// Who is to be given what, where.
#[derive(Clone, Copy, Debug)]
pub struct Grantee<'a> {
    /// The engine.
    pub engine: Engine,
    /// The database; on MySQL unqualified tables are in it.
    pub database: &'a Ident,
    /// The ledger's schema, or on MySQL its table prefix.
    pub ledger: &'a Ident,
    /// The user as grants name it, quoted (see `account`).
    pub user: &'a str,
}

/// A user's name as grants name it. On MySQL `name@host`, where the host is `%` unless given.
pub fn account(engine: Engine, name: &str) -> String {
    let d = dialect(engine);
    let mut quoted = String::new();
    if engine == Engine::Postgres {
        d.quote(&mut quoted, name);
        return quoted;
    }
    let (name, host) = name.rsplit_once('@').unwrap_or((name, "%"));
    d.quote(&mut quoted, name);
    quoted.push('@');
    d.quote(&mut quoted, host);
    quoted
}

/// What lets a user connect to a database that does not admit it.
pub fn admission(engine: Engine, database: &str, user: &str) -> String {
    let user = account(engine, user);
    let mut quoted = String::new();
    dialect(engine).quote(&mut quoted, database);
    if engine == Engine::Postgres {
        return format!("GRANT CONNECT ON DATABASE {quoted} TO {user};");
    }
    // Any privilege in it admits; of a database that does not exist, the server says the same.
    format!(
        "there is no database {quoted}, or {user} has no privilege in it: correct \
         connection.database, or grant what `oubliette grants -f FILE` prints"
    )
}

/// The statements that give a user everything that policies, and requests of the persons in maps, need: to
/// look, and with `Intent::Enforce` to change rows and to keep the ledger.
pub fn statements(
    policies: &[Policy],
    maps: &[&DataMap],
    to: &Grantee<'_>,
    intent: Intent,
) -> Vec<String> {
    let Grantee {
        engine,
        database,
        ledger: _,
        user,
    } = *to;
    let mut tables: BTreeMap<TableName, Needed> = BTreeMap::new();
    let by_policies = policies.iter().flat_map(|p| needed(p, engine));
    let by_people = maps.iter().flat_map(|map| needed_by_people(map, engine));
    for (mut table, found) in by_policies.chain(by_people) {
        if engine.is_innodb() && table.schema.is_none() {
            table.schema = Some(database.clone());
        }
        tables.entry(table).or_default().add(found);
    }
    let mut all = Vec::new();
    if engine == Engine::Postgres {
        let schemas: BTreeSet<_> = tables.keys().filter_map(|t| t.schema.as_ref()).collect();
        for schema in schemas {
            let mut w = Writer::new(dialect(engine));
            w.sql("GRANT USAGE ON SCHEMA ").ident(schema);
            all.push(format!("{} TO {user};", w.finish().sql.text()));
        }
    } else {
        // To see every foreign key; without it a cascade could stay hidden (SQL.md section 3).
        all.push(format!("GRANT PROCESS ON *.* TO {user};"));
        let mut rules = policies.iter().flat_map(|policy| &policy.rules);
        if rules.any(|rule| rule.seal.is_some()) {
            all.extend(seeing_readers(user));
        }
    }
    for (table, needed) in &tables {
        all.push(grant(engine, "SELECT", &BTreeSet::new(), table, user));
        if engine.is_innodb() {
            all.push(grant(engine, "TRIGGER", &BTreeSet::new(), table, user));
        }
        if intent == Intent::Enforce {
            all.extend(changing(engine, needed, table, user));
            // On PostgreSQL partitions are granted one by one: the plan names those that are not.
            if needed.whole
                && engine.is_innodb()
                && let Ok(aside) = aside(to.ledger, table)
            {
                all.extend(exchanging(engine, table, &aside, user));
            }
        }
    }
    if intent == Intent::Enforce {
        all.extend(for_ledger(to));
    }
    all
}

/// What lets the operator create and keep its ledger's tables by itself. On PostgreSQL in a schema
/// that an administrator creates: with CREATE on the database its user could make others, and so
/// could whoever finds a way to run code as that user.
pub fn for_ledger(to: &Grantee<'_>) -> Vec<String> {
    let Grantee {
        engine,
        database,
        ledger,
        user,
    } = *to;
    if engine == Engine::Postgres {
        let mut schema = Writer::new(dialect(engine));
        schema.sql("CREATE SCHEMA IF NOT EXISTS ").ident(ledger);
        let mut use_it = Writer::new(dialect(engine));
        use_it.sql("GRANT USAGE, CREATE ON SCHEMA ").ident(ledger);
        return vec![
            format!("{};", schema.finish().sql.text()),
            format!("{} TO {user};", use_it.finish().sql.text()),
        ];
    }
    crate::ledger::TABLES
        .iter()
        .map(|table| {
            let mut w = Writer::new(dialect(engine));
            // What has ended goes.
            w.sql(if *table == "erased" {
                "GRANT CREATE, SELECT, INSERT, UPDATE, DELETE ON "
            } else {
                "GRANT CREATE, SELECT, INSERT, UPDATE ON "
            });
            w.ident(database).sql(".");
            w.prefixed(ledger, table);
            format!("{} TO {user};", w.finish().sql.text())
        })
        .collect()
}

fn changing(engine: Engine, needed: &Needed, table: &TableName, user: &str) -> Vec<String> {
    let Needed {
        delete,
        insert,
        update: _,
        lock: _,
        whole: _,
    } = needed;
    let update = &needed.columns(&BTreeSet::new());
    let mut all = Vec::new();
    if *insert {
        all.push(grant(engine, "INSERT", &BTreeSet::new(), table, user));
    }
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

/// What lets a user exchange partitions of a table for the table aside, and put their rows back (InnoDB).
pub fn exchanging(engine: Engine, table: &TableName, aside: &TableName, user: &str) -> Vec<String> {
    let none = BTreeSet::new();
    vec![
        grant(engine, "ALTER, CREATE, DROP, INSERT", &none, table, user),
        grant(engine, ASIDE, &none, aside, user),
    ]
}

/// The privileges on the table aside.
const ASIDE: &str = "ALTER, CREATE, DELETE, DROP, INSERT, SELECT";

/// What lets the connected user see the triggers of one table (MySQL). Never for a whole database:
/// there `_` and `%` of its name would stand for any character.
pub fn seeing_triggers(catalog: &Catalog, table: &TableName) -> String {
    grant(
        catalog.engine,
        "TRIGGER",
        &BTreeSet::new(),
        table,
        &catalog.user,
    )
}

/// What lets a user see who may read a table (MySQL and MariaDB): who has what, and nothing of anybody's
/// password.
pub fn seeing_readers(user: &str) -> Vec<String> {
    [
        "SELECT (User, Host, Select_priv, Update_priv, Delete_priv, Super_priv) ON mysql.user",
        "SELECT ON mysql.db",
        "SELECT ON mysql.tables_priv",
    ]
    .map(|what| format!("GRANT {what} TO {user};"))
    .to_vec()
}

/// What lets a user seal rows into a table, and end them there. `user`: as grants name it, on PostgreSQL
/// not quoted.
pub fn for_sealed(engine: Engine, table: &TableName, user: &str) -> Vec<String> {
    let needed = Needed {
        delete: true,
        insert: true,
        update: Ident::new(SEALED_AT)
            .ok()
            .filter(|_| engine == Engine::Postgres)
            .into_iter()
            .collect(),
        lock: None,
        whole: false,
    };
    let mut all = Vec::new();
    if let Some(schema) = table.schema.as_ref().filter(|_| engine == Engine::Postgres) {
        let mut w = Writer::new(dialect(engine));
        w.sql("GRANT USAGE ON SCHEMA ").ident(schema);
        all.push(format!("{} TO {user};", w.finish().sql.text()));
    }
    all.push(grant(engine, "SELECT", &BTreeSet::new(), table, user));
    if engine.is_innodb() {
        all.push(grant(engine, "TRIGGER", &BTreeSet::new(), table, user));
    }
    all.extend(changing(engine, &needed, table, user));
    all
}

/// The grants a user lacks, as far as the catalog tells.
pub fn missing(policy: &Policy, catalog: &Catalog, intent: Intent) -> Vec<String> {
    let mut all = Vec::new();
    for (name, needed) in needed(policy, catalog.engine) {
        let Some(table) = catalog.table(&name) else {
            continue;
        };
        // InnoDB: columns that change by themselves are assigned their own value, to stay as they are.
        let mut needed = needed;
        if !needed.update.is_empty() {
            let kept = table.columns.iter().filter(|c| c.on_update_now);
            needed.update.extend(kept.map(|c| c.name.clone()));
        }
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
            insert: needed.insert && !has.insert,
            update: needed.columns(&has.update),
            lock: None,
            // Without these rows go one by one, and the plan says why.
            whole: false,
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

#[cfg(test)]
mod tests {
    use super::*;

    fn ident(name: &str) -> Ident {
        Ident::new(name).unwrap()
    }

    #[test]
    fn an_account_without_host_is_that_of_any_host() {
        assert_eq!(account(Engine::MySql, "retention"), "`retention`@`%`");
        assert_eq!(account(Engine::MariaDb, "a@b@10.0.0.%"), "`a@b`@`10.0.0.%`");
        assert_eq!(account(Engine::Postgres, "o\"x"), "\"o\"\"x\"");
    }

    #[test]
    fn what_admits_a_user_is_a_statement_where_there_is_one() {
        assert_eq!(
            admission(Engine::Postgres, "crm", "u"),
            "GRANT CONNECT ON DATABASE \"crm\" TO \"u\";"
        );
        let told = admission(Engine::MySql, "crm", "u");
        assert!(
            told.starts_with("there is no database `crm`, or `u`@`%`"),
            "{told}"
        );
    }

    #[test]
    fn without_rules_enforcing_needs_only_the_ledger() {
        let (database, ledger) = (ident("crm"), ident("oubliette"));
        let to = Grantee {
            engine: Engine::Postgres,
            database: &database,
            ledger: &ledger,
            user: "\"u\"",
        };
        assert_eq!(
            statements(&[], &[], &to, Intent::DryRun),
            Vec::<String>::new()
        );
        assert_eq!(
            statements(&[], &[], &to, Intent::Enforce),
            [
                "CREATE SCHEMA IF NOT EXISTS \"oubliette\";",
                "GRANT USAGE, CREATE ON SCHEMA \"oubliette\" TO \"u\";"
            ]
        );
    }
}
