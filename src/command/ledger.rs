//! `oubliette ledger`: prints the ledger's tables for an administrator, and hands a ledger over.

use std::io::Write;
use std::path::PathBuf;

use anyhow::{Context, bail};
use clap::{Args, Subcommand};
use kube::ResourceExt;
use oubliette_core::catalog::Engine;
use oubliette_core::grants::account;
use oubliette_core::ledger::{Ledger, Owner, printed, uuid};
use oubliette_core::name::Ident;
use oubliette_core::target::{EngineName, Target};

use super::plugin::{self, access::Access};
use super::source::{Given, Source, given, user_name};
use crate::database::Database;
use crate::inputs::cluster::{Cluster, DatabaseInput};
use crate::inputs::files;
use crate::resource::TargetDatabase;
use crate::work::owned::{self, HandedOver};

/// What is to be done with a ledger.
#[derive(Clone, Debug, Subcommand)]
pub enum Request {
    /// Prints the SQL that creates the ledger, for users who may not create it themselves.
    Print(Print),
    /// Makes a TargetDatabase of the current cluster the owner of the ledger that stands in its
    /// database: after the resource was made anew, or the cluster replaced. Or, with -f,
    /// `oubliette apply` without a cluster. The former owner must not be at work any more.
    Adopt(Adopt),
}

/// What is to be printed.
#[derive(Clone, Debug, Args)]
pub struct Print {
    /// Manifests: files, folders, or `-` for the input, with the TargetDatabase among them.
    #[arg(short = 'f', long = "filename", value_name = "FILE", required = true)]
    pub files: Vec<PathBuf>,
    /// The database user; on MySQL and MariaDB `name@host`, where the host is `%` unless given.
    #[arg(long, value_parser = user_name)]
    pub user: String,
}

/// Whose the ledger shall be.
#[derive(Clone, Debug, Args)]
pub struct Adopt {
    /// The TargetDatabase of the current cluster.
    #[arg(required_unless_present = "files", conflicts_with = "files")]
    pub name: Option<String>,
    /// The manifests that `oubliette apply` is given: it becomes the owner of their ledgers.
    #[arg(short = 'f', long = "filename", value_name = "FILE")]
    pub files: Vec<PathBuf>,
    /// The database itself, with -f.
    #[command(flatten)]
    pub given: Given,
    /// The cluster and the TargetDatabase's namespace; with -f, the namespace of resources that name
    /// none.
    #[command(flatten)]
    pub access: Access,
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
        bail!(
            "no TargetDatabase in {}: its file says where the ledger is",
            given(&request.files)
        );
    }
    Ok(text)
}

async fn adopt(request: &Adopt) -> anyhow::Result<String> {
    match &request.name {
        Some(name) => adopt_in_cluster(&request.access, name).await,
        None => adopt_without_cluster(request).await,
    }
}

async fn adopt_in_cluster(access: &Access, name: &str) -> anyhow::Result<String> {
    let place = access.open().await?;
    let named = format!("{}/{name}", place.namespace);
    let (database, input, owner) = in_cluster(place, name).await?;
    handed_over(&database, &input.target.ledger, &owner, &named).await
}

/// Connects to the database of a TargetDatabase, with the Secrets that it names. Whose its ledger is
/// there.
pub(super) async fn in_cluster(
    place: plugin::access::Cluster,
    name: &str,
) -> anyhow::Result<(Database, DatabaseInput, Owner)> {
    let resource: TargetDatabase = place.get(name).await?;
    let target = parsed(name, &resource.spec.0)?;
    let cluster = Cluster::new(place.client);
    let input = DatabaseInput {
        namespace: place.namespace,
        uid: resource.uid().context("the TargetDatabase has no UID")?,
        generation: resource.metadata.generation.unwrap_or_default(),
        target,
    };
    let owner = Owner {
        cluster: cluster.uid().await?,
        database: input.uid.clone(),
    };
    let database = cluster.connect(&input).await?;
    Ok((database, input, owner))
}

async fn adopt_without_cluster(request: &Adopt) -> anyhow::Result<String> {
    let access = &request.access;
    let source = Source {
        files: request.files.clone(),
        namespace: access.namespace.clone().unwrap_or("default".to_owned()),
        given: request.given.clone(),
    };
    let (mut offline, promises) = source.open()?;
    let mut text = String::new();
    for (name, target) in offline.databases(&promises) {
        let database = offline.connect_to(&name, &target).await?;
        let owner = Owner::without_cluster(uuid(rand::random()));
        text += &handed_over(&database, &target.ledger, &owner, &name.to_string()).await?;
    }
    offline.close().await;
    Ok(text)
}

/// Hands the ledger over, and says so. `named`: the TargetDatabase, for people.
async fn handed_over(
    database: &Database,
    place: &Ident,
    owner: &Owner,
    named: &str,
) -> anyhow::Result<String> {
    Ok(match owned::hand_over(database, place, owner).await? {
        HandedOver::Already if owner.is_without_cluster() => {
            format!("the ledger of {named} belongs to `oubliette apply` already\n")
        }
        HandedOver::Already => {
            format!("the ledger belongs to TargetDatabase {named} already\n")
        }
        HandedOver::From(before, ended) => {
            let ended = ended.iter().map(|run| {
                let run = &run.run;
                format!("the run {run} was ended, with its counts\n")
            });
            let ended: String = ended.collect();
            format!("the ledger of {named} belonged to {before}, now to {owner}\n{ended}")
        }
    })
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
                text.matches("GRANT SELECT, INSERT, UPDATE").count(),
                oubliette_core::ledger::TABLES.len(),
                "{text}"
            );
        }
    }
}
