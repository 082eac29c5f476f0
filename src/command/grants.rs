//! `oubliette grants`: the least privileges that policies need, as the statements that give them.

use std::collections::BTreeMap;
use std::io::Write;
use std::path::PathBuf;

use anyhow::{Context, bail};
use clap::Args;
use oubliette_core::api::target_database::TargetDatabaseSpec;
use oubliette_core::catalog::Engine;
use oubliette_core::grants::{Grantee, account, statements};
use oubliette_core::name::Ident;
use oubliette_core::plan::Intent;
use oubliette_core::policy::Policy;
use oubliette_core::target::{EngineName, Target};

use super::source::{given, namespace_name, user_name};
use crate::inputs::data_maps;
use crate::inputs::files::{self, Manifests, Written};
use crate::inputs::offline::Name;

/// What is asked of the command.
#[derive(Clone, Debug, Args)]
pub struct Request {
    /// Manifests: files, folders, or `-` for the input. The TargetDatabase must be among them.
    #[arg(short = 'f', long = "filename", value_name = "FILE", required = true)]
    pub files: Vec<PathBuf>,
    /// The namespace of resources that name none.
    #[arg(short, long, default_value = "default", value_parser = namespace_name)]
    pub namespace: String,
    /// The database user; on MySQL and MariaDB `name@host`, where the host is `%` unless given.
    #[arg(long, value_parser = user_name)]
    pub user: String,
    /// Only what a dry run needs.
    #[arg(long)]
    pub dry_run: bool,
}

/// Prints the statements, per database.
pub fn run(request: &Request, out: &mut impl Write) -> anyhow::Result<()> {
    let manifests = files::read(&request.files, &request.namespace)?;
    let text = print(&manifests, request)?;
    out.write_all(text.as_bytes())
        .context("failed to write the statements")
}

fn print(manifests: &Manifests, request: &Request) -> anyhow::Result<String> {
    if manifests.databases.is_empty() {
        bail!(
            "no TargetDatabase in {}: add its file, so that engine and database are known",
            given(&request.files)
        );
    }
    let intent = if request.dry_run {
        Intent::DryRun
    } else {
        Intent::Enforce
    };
    let mut text = String::new();
    let name_of = |database: &Written<TargetDatabaseSpec>| Name {
        namespace: database.namespace.clone(),
        name: database.name.clone(),
    };
    let mut targets = BTreeMap::new();
    for database in &manifests.databases {
        let target =
            Target::parse(&database.spec).map_err(|faults| told(&database.name, &faults))?;
        targets.insert(name_of(database), target);
    }
    let maps = data_maps::gather(manifests, &targets)?;
    for database in &manifests.databases {
        let name = name_of(database);
        let Some(target) = targets.get(&name) else {
            continue;
        };
        let maps = maps.get(&name).cloned().unwrap_or_default();
        let policies = manifests
            .policies
            .iter()
            .filter(|policy| {
                let reference = policy.spec.database_ref.as_ref();
                let name = reference.and_then(|r| r.name.as_deref());
                let namespace = reference.and_then(|r| r.namespace.as_deref());
                name == Some(database.name.as_str())
                    && namespace.unwrap_or(&policy.namespace) == database.namespace
            })
            .map(|policy| {
                let policy = Policy::parse(&policy.spec, target)
                    .map_err(|faults| told(&policy.name, &faults))?;
                let maps = maps.clone();
                Ok(Policy { maps, ..policy })
            })
            .collect::<anyhow::Result<Vec<_>>>()?;
        let engine = match target.engine {
            EngineName::PostgreSQL => Engine::Postgres,
            EngineName::MySQL => Engine::MySql,
        };
        let name = Ident::new(target.connection.database.clone())
            .with_context(|| format!("TargetDatabase {}: connection.database", database.name))?;
        let user = account(engine, &request.user);
        let to = Grantee {
            engine,
            database: &name,
            ledger: &target.ledger,
            user: &user,
        };
        for piece in [
            "-- TargetDatabase ",
            &database.namespace,
            "/",
            &database.name,
            "\n",
        ] {
            text.push_str(piece);
        }
        let maps: Vec<_> = maps.iter().map(|named| &named.map).collect();
        for statement in statements(&policies, &maps, &to, intent) {
            text.push_str(&statement);
            text.push('\n');
        }
    }
    Ok(text)
}

fn told(name: &str, faults: &[impl ToString]) -> anyhow::Error {
    let all: Vec<String> = faults.iter().map(ToString::to_string).collect();
    anyhow::anyhow!("{name}: {}", all.join("; "))
}

#[cfg(test)]
mod tests {
    use super::*;

    const MANIFESTS: &str = "
apiVersion: oubliette.dev/v1alpha1
kind: TargetDatabase
metadata: {name: crm}
spec:
  engine: ENGINE
  connection:
    host: crm
    database: crm
    credentials: {secretRef: {name: crm}}
---
apiVersion: oubliette.dev/v1alpha1
kind: RetentionPolicy
metadata: {name: enquiries}
spec:
  databaseRef: {name: crm}
  schedule: 30 2 * * *
  rules:
  - name: old
    basis: the notice
    table: SCHEMA.enquiries
    expireAfter: P6M
    since: {column: created_at}
    action: {type: Delete}
    related:
    - table: SCHEMA.notes
      of: SCHEMA.enquiries
      match: [{column: enquiry_id, equals: id}]
      action: {type: Detach}
";

    fn printed(engine: &str, schema: &str, dry_run: bool) -> String {
        let text = MANIFESTS
            .replace("ENGINE", engine)
            .replace("SCHEMA", schema);
        let manifests = files::read_text("x.yaml", &text, "default").unwrap();
        let request = Request {
            files: Vec::new(),
            namespace: "default".to_owned(),
            user: "retention".to_owned(),
            dry_run,
        };
        print(&manifests, &request).unwrap()
    }

    #[test]
    fn a_dry_run_on_postgresql_needs_select_only() {
        insta::assert_snapshot!(printed("PostgreSQL", "public", true), @r#"
        -- TargetDatabase default/crm
        GRANT USAGE ON SCHEMA "public" TO "retention";
        GRANT SELECT ON "public"."enquiries" TO "retention";
        GRANT SELECT ON "public"."notes" TO "retention";
        "#);
    }

    #[test]
    fn enforcing_on_postgresql_needs_each_change_and_update_of_one_column_to_lock_rows() {
        insta::assert_snapshot!(printed("PostgreSQL", "public", false), @r#"
        -- TargetDatabase default/crm
        GRANT USAGE ON SCHEMA "public" TO "retention";
        GRANT SELECT ON "public"."enquiries" TO "retention";
        GRANT DELETE ON "public"."enquiries" TO "retention";
        GRANT UPDATE ("created_at") ON "public"."enquiries" TO "retention";
        GRANT SELECT ON "public"."notes" TO "retention";
        GRANT UPDATE ("enquiry_id") ON "public"."notes" TO "retention";
        CREATE SCHEMA IF NOT EXISTS "oubliette";
        GRANT USAGE, CREATE ON SCHEMA "oubliette" TO "retention";
        "#);
    }

    #[test]
    fn on_mysql_references_and_triggers_must_be_visible_and_the_ledger_is_table_by_table() {
        let text = printed("MySQL", "crm", false);
        assert!(
            text.contains("GRANT PROCESS ON *.* TO `retention`@`%`;"),
            "{text}"
        );
        assert!(
            text.contains("GRANT TRIGGER ON `crm`.`notes` TO `retention`@`%`;"),
            "{text}"
        );
        assert!(
            text.contains(
                "GRANT CREATE, SELECT, INSERT, UPDATE ON `crm`.`oubliette_checkpoint` TO `retention`@`%`;"
            ),
            "{text}"
        );
        assert!(
            !text.contains("`enquiries` TO `retention`@`%`;\nGRANT UPDATE"),
            "{text}"
        );
    }

    #[test]
    fn sealing_needs_to_add_to_and_delete_from_the_sealed_table_and_on_mysql_to_see_its_readers() {
        let sealing = |engine: &str, schema: &str| {
            let text = MANIFESTS
                .replace("ENGINE", &format!("{engine}\n  seal: {{schema: sealed}}"))
                .replace("SCHEMA", schema)
                .replace("{type: Delete}", "{type: Delete}\n    grace: P14D");
            let manifests = files::read_text("x.yaml", &text, "default").unwrap();
            let request = Request {
                files: Vec::new(),
                namespace: "default".to_owned(),
                user: "retention".to_owned(),
                dry_run: false,
            };
            let printed = print(&manifests, &request).unwrap();
            let about = printed.lines().filter(|line| {
                line.contains("sealed") || line.contains("mysql.") && !line.contains("crm")
            });
            about.collect::<Vec<_>>().join("\n")
        };
        insta::assert_snapshot!(sealing("PostgreSQL", "public"), @r#"
        GRANT USAGE ON SCHEMA "sealed" TO "retention";
        GRANT SELECT ON "sealed"."enquiries" TO "retention";
        GRANT INSERT ON "sealed"."enquiries" TO "retention";
        GRANT DELETE ON "sealed"."enquiries" TO "retention";
        GRANT UPDATE ("sealed_at") ON "sealed"."enquiries" TO "retention";
        "#);
        insta::assert_snapshot!(sealing("MySQL", "crm"), @r"
        GRANT SELECT (User, Host, Select_priv, Update_priv, Delete_priv, Super_priv) ON mysql.user TO `retention`@`%`;
        GRANT SELECT ON mysql.db TO `retention`@`%`;
        GRANT SELECT ON mysql.tables_priv TO `retention`@`%`;
        GRANT SELECT ON `sealed`.`enquiries` TO `retention`@`%`;
        GRANT TRIGGER ON `sealed`.`enquiries` TO `retention`@`%`;
        GRANT INSERT ON `sealed`.`enquiries` TO `retention`@`%`;
        GRANT DELETE ON `sealed`.`enquiries` TO `retention`@`%`;
        ");
    }
}
