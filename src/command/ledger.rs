//! `oubliette ledger`: prints the ledger's tables for an administrator, and hands a ledger over.

use std::io::Write;
use std::path::PathBuf;

use anyhow::{Context, bail};
use clap::{Args, Subcommand};
use kube::{Api, Client, ResourceExt};
use oubliette_core::catalog::Engine;
use oubliette_core::grants::account;
use oubliette_core::ledger::{Ledger, Owner, printed};
use oubliette_core::target::{EngineName, Target};

use crate::inputs::cluster::{Cluster, DatabaseInput};
use crate::inputs::files;
use crate::ledger::Store;
use crate::resource::TargetDatabase;

/// What is to be done with a ledger.
#[derive(Clone, Debug, Subcommand)]
pub enum Request {
    /// Prints the SQL that creates the ledger, for users who may not create it themselves.
    Print(Print),
    /// Makes a TargetDatabase of the current cluster the owner of the ledger that stands in its
    /// database: after the resource was made anew, or the cluster replaced. The former owner's
    /// operator must not run any more.
    Adopt(Adopt),
}

/// What is to be printed.
#[derive(Clone, Debug, Args)]
pub struct Print {
    /// Manifests: files, folders, or `-` for the input, with the TargetDatabase among them.
    #[arg(short = 'f', long = "filename", value_name = "FILE", required = true)]
    pub files: Vec<PathBuf>,
    /// The database user; on MySQL and MariaDB `name@host`, where the host is `%` unless given.
    #[arg(long)]
    pub user: String,
}

/// Whose the ledger shall be.
#[derive(Clone, Debug, Args)]
pub struct Adopt {
    /// The TargetDatabase.
    pub name: String,
    /// Its namespace.
    #[arg(short, long, default_value = "default")]
    pub namespace: String,
}

/// Does what is asked.
pub async fn run(request: &Request) -> anyhow::Result<String> {
    match request {
        Request::Print(request) => print(request),
        Request::Adopt(request) => adopt(request).await,
    }
}

/// Writes what `run` returned.
pub fn write(text: &str, out: &mut impl Write) -> anyhow::Result<()> {
    out.write_all(text.as_bytes())
        .context("failed to write the answer")
}

fn print(request: &Print) -> anyhow::Result<String> {
    let manifests = files::read(&request.files, "default")?;
    let mut text = String::new();
    for database in &manifests.databases {
        let target = parsed(&database.name, &database.spec)?;
        let engine = match target.engine {
            EngineName::PostgreSQL => Engine::Postgres,
            EngineName::MySQL => Engine::MySql,
        };
        let ledger = Ledger {
            engine,
            place: target.ledger,
        };
        text.push_str(&printed(&ledger, &account(engine, &request.user)));
    }
    if text.is_empty() {
        bail!("no TargetDatabase among the manifests: its file says where the ledger is");
    }
    Ok(text)
}

async fn adopt(request: &Adopt) -> anyhow::Result<String> {
    let Adopt { name, namespace } = request;
    let client = Client::try_default()
        .await
        .context("failed to reach the cluster")?;
    let resources: Api<TargetDatabase> = Api::namespaced(client.clone(), namespace);
    let resource = resources
        .get(name)
        .await
        .with_context(|| format!("failed to get TargetDatabase {namespace}/{name}"))?;
    let target = parsed(name, &resource.spec.0)?;
    let cluster = Cluster::new(client);
    let input = DatabaseInput {
        namespace: namespace.clone(),
        uid: resource.uid().context("the TargetDatabase has no UID")?,
        generation: resource.metadata.generation.unwrap_or_default(),
        target,
    };
    let owner = Owner {
        cluster: cluster.uid().await?,
        database: input.uid.clone(),
    };
    let database = cluster.connect(&input).await?;
    let ledger = Ledger {
        engine: database.engine(),
        place: input.target.ledger.clone(),
    };
    let store = Store::unchecked(&database, ledger);
    if !store.is_present().await? {
        bail!("there is no ledger in this database: the operator creates one by itself");
    }
    let Some((_, before)) = store.meta().await? else {
        bail!("the ledger is nobody's: the operator claims it by itself");
    };
    if before == owner {
        return Ok(format!(
            "the ledger belongs to TargetDatabase {namespace}/{name} already\n"
        ));
    }
    store.adopt(&owner).await?;
    Ok(format!(
        "the ledger of TargetDatabase {} of cluster {} now belongs to TargetDatabase {} \
         ({namespace}/{name}) of cluster {}\n",
        before.database, before.cluster, owner.database, owner.cluster
    ))
}

fn parsed(
    name: &str,
    spec: &oubliette_core::api::target_database::TargetDatabaseSpec,
) -> anyhow::Result<Target> {
    Target::parse(spec).map_err(|faults| {
        let all: Vec<String> = faults.iter().map(ToString::to_string).collect();
        anyhow::anyhow!("{name}: {}", all.join("; "))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_printed_ledger_has_every_table_and_the_users_grants() {
        let place = oubliette_core::name::Ident::new("oubliette").unwrap();
        for engine in [Engine::Postgres, Engine::MySql] {
            let ledger = Ledger {
                engine,
                place: place.clone(),
            };
            let text = printed(&ledger, &account(engine, "retention"));
            for table in oubliette_core::ledger::TABLES {
                assert!(text.contains(table), "{table}: {text}");
            }
            assert_eq!(
                text.matches("GRANT SELECT, INSERT, UPDATE ON").count(),
                6,
                "{text}"
            );
        }
    }
}
