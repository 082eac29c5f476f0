//! `oubliette discover`: proposes a DataMap of persons from what a database's catalog says.
//!
//! Reads the catalog and no row of a table. What is proposed, and what it says, is core's.

use std::io::Write;
use std::process::ExitCode;

use anyhow::{Context, bail};
use clap::Args;
use oubliette_core::catalog::Catalog;
use oubliette_core::discover::{Discovery, Ground};
use oubliette_core::name::TableName;

use super::source::{Given, namespace_name, object_name};
use crate::database::{Access, Database, Fault, inspect, tables};
use crate::inputs::offline::target_of;
use crate::inputs::secrets;

/// What is asked of the command.
#[derive(Clone, Debug, Args)]
pub struct Request {
    /// The database whose catalog is read. SELECT is enough; on MySQL and MariaDB all foreign keys are
    /// seen with PROCESS only.
    #[command(flatten)]
    pub given: Given,
    /// A table in which a person has a row, as `schema.table`; may be given several times, once for
    /// each role. Left out: an error that lists the tables that look like it.
    #[arg(long = "subject-table", value_name = "TABLE")]
    pub subject_tables: Vec<TableName>,
    /// The name of the `DataMap` and of its `TargetDatabase`. Default: made of the database's.
    #[arg(long, value_parser = object_name)]
    pub name: Option<String>,
    /// The namespace of the map.
    #[arg(short, long, default_value = "default", value_parser = namespace_name)]
    pub namespace: String,
}

/// Prints the map. Exit code 1: nothing was proposed; the error says why.
pub async fn run(request: &Request, out: &mut impl Write) -> anyhow::Result<ExitCode> {
    let Some((url, login)) = request.given.database()? else {
        bail!("{}", super::NO_DATABASE);
    };
    let target = target_of(&url)?;
    let database = secrets::connect(&target, login, None).await?;
    let catalog = read(&database).await;
    database.close().await;
    let catalog = catalog?;
    let ground = Ground::of(&catalog);
    let discovery = Discovery::of(&ground, &request.subject_tables)?;
    let text = discovery.text(request.name.as_deref(), &request.namespace);
    out.write_all(text.as_bytes())
        .context("failed to write the proposal")?;
    Ok(ExitCode::SUCCESS)
}

/// What the catalog says of all tables.
async fn read(database: &Database) -> Result<Catalog, Fault> {
    let mut tx = database.begin(Access::ReadOnly).await?;
    let found = match tables(&mut tx).await {
        Ok(all) => inspect(&mut tx, &all).await,
        Err(fault) => Err(fault),
    };
    tx.rollback().await;
    found
}
