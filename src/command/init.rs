//! `oubliette init`: proposes a TargetDatabase and a RetentionPolicy from what a database's catalog says.
//!
//! Reads the catalog, counts rows and looks for the month of the oldest date of the tables that it
//! proposes: no other value of a row leaves the database, and none is printed.

mod manifest;

use std::io::Write;
use std::process::ExitCode;

use anyhow::{Context, bail};
use clap::Args;
use jiff::Timestamp;
use oubliette_core::api::rule::MAX_RULES;
use oubliette_core::catalog::Catalog;
use oubliette_core::name::TableName;
use oubliette_core::propose::{Proposal, Proposed};
use oubliette_core::sql::{CountSql, Window};
use oubliette_core::target::Target;

use self::manifest::{Extent, Page};
use super::source::{Given, namespace_name, object_name};
use crate::database::{Access, Database, Fault, inspect, tables};

/// Tables with more rows than this, as the server estimates them, are not counted.
const COUNTED: u64 = 1_000_000;

/// What is asked of the command.
#[derive(Clone, Debug, Args)]
pub struct Request {
    /// The database whose catalog is read. SELECT is enough; on MySQL and MariaDB also PROCESS and
    /// TRIGGER, as for every plan.
    #[command(flatten)]
    pub given: Given,
    /// The name of both resources. Default: made of the database's.
    #[arg(long, value_parser = object_name)]
    pub name: Option<String>,
    /// The namespace of both resources.
    #[arg(short, long, default_value = "default", value_parser = namespace_name)]
    pub namespace: String,
    /// Only this table; may be given several times. Default: all of them, the largest first.
    #[arg(long = "table", value_name = "TABLE")]
    pub tables: Vec<TableName>,
    /// Most rules that are proposed.
    #[arg(long, value_name = "COUNT", default_value_t = 20)]
    pub most: usize,
}

/// Prints the proposal. Exit code 1: there is nothing that could be proposed; the comments say why.
pub async fn run(request: &Request, out: &mut impl Write) -> anyhow::Result<ExitCode> {
    if request.most == 0 || request.most > MAX_RULES {
        bail!("--most must be between 1 and {MAX_RULES}, the most rules of a policy");
    }
    let Some((target, database)) = request.given.connect().await? else {
        bail!("{}", super::NO_DATABASE);
    };
    let gathered = gathered(&database, &target, request).await;
    database.close().await;
    let (text, proposed) = gathered?;
    out.write_all(text.as_bytes())
        .context("failed to write the proposal")?;
    if !proposed {
        bail!("no rule can be proposed for any table; the comments say why");
    }
    Ok(ExitCode::SUCCESS)
}

/// The text, and whether it has a rule.
async fn gathered(
    database: &Database,
    target: &Target,
    request: &Request,
) -> anyhow::Result<(String, bool)> {
    let (wanted, catalog) = read(database, &request.tables).await?;
    if let Some(missing) = catalog.missing.first() {
        bail!(
            "--table {missing}: it does not exist in database {}, or user {} may not see it",
            catalog.database,
            catalog.user
        );
    }
    let now = Timestamp::now();
    let proposal = Proposal::of(&catalog, &wanted, &target.ledger, request.most, now);
    let mut extents = Vec::new();
    for proposed in &proposal.rules {
        extents.push(extent(database, proposed).await);
    }
    let page = Page {
        catalog: &catalog,
        target,
        name: request.name.as_deref(),
        namespace: &request.namespace,
        proposal: &proposal,
        extents: &extents,
    };
    Ok((page.text(), !proposal.rules.is_empty()))
}

/// The tables that are asked for, all of them where none is, and the catalog about them.
async fn read(
    database: &Database,
    asked: &[TableName],
) -> Result<(Vec<TableName>, Catalog), Fault> {
    let mut tx = database.begin(Access::ReadOnly).await?;
    let wanted = if asked.is_empty() {
        tables(&mut tx).await
    } else {
        Ok(asked.to_vec())
    };
    let found = match wanted {
        Ok(wanted) => inspect(&mut tx, &wanted).await.map(|found| (wanted, found)),
        Err(fault) => Err(fault),
    };
    tx.rollback().await;
    found
}

/// How many rows a table has and how far back they go; only what is not too large is asked.
async fn extent(database: &Database, proposed: &Proposed<'_>) -> Extent {
    let about = proposed.table.estimated_rows;
    if about > COUNTED {
        return Extent::About(about);
    }
    match counted(database, &proposed.extent).await {
        Ok(Some(extent)) => extent,
        // It is a comment; the plan will say what is wrong.
        Ok(None) | Err(_) => Extent::About(about),
    }
}

async fn counted(database: &Database, count: &CountSql) -> Result<Option<Extent>, Fault> {
    let mut tx = database.begin(Access::ReadOnly).await?;
    let rows = tx.rows(&count.counts(&Window::default())).await;
    tx.rollback().await;
    let rows = rows?;
    let counted = rows.first().and_then(|row| CountSql::counted(row));
    Ok(counted.map(|counted| Extent::counted(&counted)))
}
