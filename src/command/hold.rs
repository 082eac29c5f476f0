//! `oubliette hold`: what is held in a database, also by holds whose objects are gone, and their
//! release.
//!
//! It shows no value of a hold: the ledger is not asked for one.

use std::fmt::Write as _;
use std::io::Write;
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context, bail};
use clap::{Args, Subcommand};
use kube::{Api, ResourceExt};
use oubliette_core::api::parse::is_reference;
use oubliette_core::hold::Release;
use oubliette_core::ledger::HoldRow;
use tokio_util::sync::CancellationToken;

use super::ask;
use super::ledger::in_cluster;
use super::plugin::access::Access;
use super::source::{Given, Source};
use crate::database::Database;
use crate::ledger::Store;
use crate::resource::LegalHold;
use crate::work::hold;

/// What is to be done with holds.
#[derive(Clone, Debug, Subcommand)]
pub enum Request {
    /// Lists the holds of a database: those in force, and those that were released.
    List(List),
    /// Releases a hold whose LegalHold is gone; one that is there is released by its `spec.release`.
    ///
    /// Asks on a terminal first. From then on runs may take the rows; the ledger forgets the values
    /// and keeps who released the hold.
    Release(Released),
}

/// Where the holds are.
#[derive(Clone, Debug, Args)]
pub struct Where {
    /// The TargetDatabase of the current cluster.
    #[arg(required_unless_present = "files", conflicts_with = "files")]
    pub database: Option<String>,
    /// The manifests that `oubliette apply` is given.
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

/// What is listed.
#[derive(Clone, Debug, Args)]
pub struct List {
    /// Where the holds are.
    #[command(flatten)]
    pub place: Where,
}

/// What is released.
#[derive(Clone, Debug, Args)]
pub struct Released {
    /// The hold's id, which `oubliette hold list` prints: several holds may have had one name.
    #[arg(long)]
    pub id: String,
    /// The reference of the decision, such as `LIT-2026-014/closed`: no name of a person.
    #[arg(long)]
    pub reason: String,
    /// Who decides. It is recorded as it is given.
    #[arg(long)]
    pub by: String,
    /// Does not ask.
    #[arg(long)]
    pub yes: bool,
    /// Where the hold is.
    #[command(flatten)]
    pub place: Where,
}

/// Does what is asked.
pub async fn run(request: &Request, out: &mut impl Write) -> anyhow::Result<ExitCode> {
    let (text, code) = match request {
        Request::List(request) => (list(&request.place).await?, ExitCode::SUCCESS),
        Request::Release(request) => release(request).await?,
    };
    out.write_all(text.as_bytes())
        .context("failed to write the answer")?;
    Ok(code)
}

/// A database's ledger and the holds in it.
struct Held {
    /// The TargetDatabase, for people.
    named: String,
    store: Option<Store>,
    holds: Vec<HoldRow>,
}

impl Where {
    async fn held(&self) -> anyhow::Result<Vec<Held>> {
        if let Some(name) = &self.database {
            let place = self.access.open().await?;
            let named = format!("{}/{name}", place.namespace);
            let (database, input, _) = in_cluster(place, name).await?;
            return Ok(vec![held(&database, &input.target.ledger, named).await?]);
        }
        let source = Source {
            files: self.files.clone(),
            namespace: self
                .access
                .namespace
                .clone()
                .unwrap_or("default".to_owned()),
            given: self.given.clone(),
        };
        let (mut offline, promises) = source.open()?;
        let mut all: Vec<Held> = Vec::new();
        for (name, target) in offline.databases(&promises) {
            let database = offline.connect_to(&name, &target).await?;
            all.push(held(&database, &target.ledger, name.to_string()).await?);
        }
        Ok(all)
    }
}

async fn held(
    database: &Database,
    place: &oubliette_core::name::Ident,
    named: String,
) -> anyhow::Result<Held> {
    let (store, holds) = hold::list(database, place).await?.unzip();
    Ok(Held {
        named,
        store,
        holds: holds.unwrap_or_default(),
    })
}

async fn list(place: &Where) -> anyhow::Result<String> {
    let mut text = String::new();
    for held in place.held().await? {
        if held.holds.is_empty() {
            writeln!(text, "{}: nothing is or was held", held.named)?;
        }
        for row in &held.holds {
            writeln!(text, "{}", line(&held.named, row))?;
        }
    }
    Ok(text)
}

/// A hold in one line.
fn line(database: &str, row: &HoldRow) -> String {
    let HoldRow {
        id,
        name,
        table: _,
        reason,
        placed_by,
        accepted_at,
        released,
    } = row;
    let end = match released {
        None => "in force".to_owned(),
        Some(end) => format!("released {} by {} ({})", end.at, end.by, end.reason),
    };
    format!(
        "{database}: {name} on {}, {reason}, placed by {placed_by}, since {accepted_at}: {end}; id {id}",
        row.on()
    )
}

async fn release(request: &Released) -> anyhow::Result<(String, ExitCode)> {
    if !is_reference(&request.reason) {
        bail!("--reason is a reference, not a text: such as `LIT-2026-014/closed`");
    }
    let all = request.place.held().await?;
    let found = all.iter().find_map(|held| {
        let row = held.holds.iter().find(|row| row.id == request.id)?;
        Some((held, row))
    });
    let Some((held, row)) = found else {
        bail!(
            "no hold has the id {}: see `oubliette hold list`",
            request.id
        );
    };
    if row.released.is_some() {
        return Ok((format!("{}\n", line(&held.named, row)), ExitCode::SUCCESS));
    }
    if request.place.database.is_some() {
        no_object(&request.place.access, row).await?;
    }
    if !request.yes {
        if !ask::possible() {
            bail!("nobody can be asked here: look with `oubliette hold list`, then give --yes");
        }
        let question = "Release it? Runs may then take its rows.";
        let stop = CancellationToken::new();
        let agreed = ask::agreed(&line(&held.named, row), question, &stop).await?;
        if agreed != Some(true) {
            let text = "nothing was released: the answer was not yes\n";
            return Ok((text.to_owned(), ExitCode::from(2)));
        }
    }
    let store = held.store.as_ref().context("there is no ledger")?;
    let release = Release {
        reason: request.reason.clone(),
        by: request.by.clone(),
    };
    let row = hold::release(store, &request.id, &release).await?;
    let row = row.context("the hold is gone from the ledger")?;
    Ok((format!("{}\n", line(&held.named, &row)), ExitCode::SUCCESS))
}

/// Refuses a hold whose object is there: by that, the admission policy sees who releases it.
async fn no_object(access: &Access, row: &HoldRow) -> anyhow::Result<()> {
    let (namespace, name) = row.name.split_once('/').unwrap_or_default();
    let holds: Api<LegalHold> = Api::namespaced(access.open().await?.client, namespace);
    let object = holds
        .get_opt(name)
        .await
        .with_context(|| format!("failed to look for the LegalHold {}", row.name))?;
    if object.and_then(|object| object.uid()) == Some(row.id.clone()) {
        bail!(
            "the LegalHold {} is there: release it by its spec.release, such as\nkubectl patch olh {name} \
             -n {namespace} --type=merge -p '{{\"spec\":{{\"release\":{{\"reason\":\"…\",\"by\":\"YOU\"}}}}}}'",
            row.name
        );
    }
    Ok(())
}
