//! `oubliette coverage`: tables with dates or personal-looking columns about which no rule decides.
//!
//! Reads manifests and the catalog; no row. What looks personal is core's to say.

use std::collections::BTreeSet;
use std::io::Write;
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context, bail};
use clap::Args;
use oubliette_core::api::reason::Reason;
use oubliette_core::coverage::{Coverage, Gap, mapped, qualified, reached};
use oubliette_core::name::{Ident, TableName};
use oubliette_core::target::Target;
use serde::Serialize;

use super::columns::{Cell, grid, wrap};
use super::form;
use super::source::{Given, given, namespace_name};
use super::told::{self, Output};
use crate::database::{Access, Database, survey};
use crate::inputs::files;
use crate::inputs::offline::{Name, Offline, Promise};

/// Columns of a table that are named, of each sort, where people read it.
const NAMED: usize = 4;

/// What is asked of the command.
#[derive(Clone, Debug, Args)]
pub struct Request {
    /// Manifests: files, folders, or `-` for the input; TargetDatabases, their policies, and the
    /// Secrets, ConfigMaps and Namespaces that these name. Left out: all tables of the database of
    /// `--database-url`, of which no rule is known.
    #[arg(short = 'f', long = "filename", value_name = "FILE")]
    pub files: Vec<PathBuf>,
    /// The namespace of resources that name none.
    #[arg(short, long, default_value = "default", value_parser = namespace_name)]
    pub namespace: String,
    /// The database, in place of the connection in its TargetDatabase or of the whole resource.
    #[command(flatten)]
    pub given: Given,
    /// A table that needs no rule, as `schema.table`; may be given several times.
    #[arg(long, value_name = "TABLE")]
    pub except: Vec<TableName>,
    /// How the list is written.
    #[arg(short, long, value_enum, default_value_t)]
    pub output: Output,
}

/// Everything that was found.
#[derive(Debug, Serialize)]
struct Report {
    databases: Vec<Found>,
}

/// What was found in one database.
#[derive(Debug, Serialize)]
struct Found {
    /// The TargetDatabase, by namespace and name.
    #[serde(skip_serializing_if = "Option::is_none")]
    database: Option<String>,
    /// Where it is: host, port and database.
    address: String,
    #[serde(flatten)]
    coverage: Coverage,
}

/// Writes the list. Exit code 0: there is no gap; 2: there are some; 1: an error.
pub async fn run(request: &Request, out: &mut impl Write) -> anyhow::Result<ExitCode> {
    let report = match found(request).await {
        Ok(report) => report,
        Err(error) => {
            let text = told::failed("coverage", &error, request.output);
            out.write_all(text.as_bytes())
                .context("failed to write what is wrong")?;
            return Err(error);
        }
    };
    let text = match request.output {
        Output::Table => table(&report),
        Output::Markdown => markdown(&report),
        Output::Json => form::json(&report)?,
        Output::Yaml => form::yaml(&report)?,
    };
    out.write_all(text.as_bytes())
        .context("failed to write the list")?;
    let open = report.databases.iter().any(Found::has_gaps);
    Ok(ExitCode::from(if open { 2 } else { 0 }))
}

async fn found(request: &Request) -> anyhow::Result<Report> {
    if request.files.is_empty() {
        return Ok(Report {
            databases: vec![without_manifests(request).await?],
        });
    }
    let manifests = files::read(&request.files, &request.namespace)?;
    let url = request.given.database()?;
    let named = given(&request.files);
    if manifests.policies.is_empty() && (url.is_some() || manifests.databases.is_empty()) {
        bail!(
            "no RetentionPolicy in {named}: give its file with -f, or leave -f out to list what \
             a database has"
        );
    }
    let (mut offline, promises) = Offline::new(manifests, url)?;
    let listed = listed(request, &mut offline, &promises).await;
    offline.close().await;
    Ok(Report { databases: listed? })
}

/// The database of the URL, about which nobody has decided anything.
async fn without_manifests(request: &Request) -> anyhow::Result<Found> {
    let Some((target, database)) = request.given.connect().await? else {
        bail!("no database: give manifests with -f, or a database with --database-url");
    };
    let found = look(&database, &target, BTreeSet::new(), request).await;
    database.close().await;
    Ok(Found {
        database: None,
        address: target.address(),
        coverage: found?,
    })
}

async fn listed(
    request: &Request,
    offline: &mut Offline,
    promises: &[Promise],
) -> anyhow::Result<Vec<Found>> {
    let mut databases = Vec::new();
    for (name, target) in offline.targets() {
        let failed = || format!("TargetDatabase {name}");
        let database = offline
            .connect_to(&name, &target)
            .await
            .with_context(failed)?;
        let policies = promises.iter().filter(|promise| decides(promise, &name));
        let decided = policies.flat_map(|promise| reached(&promise.mandate.policy));
        let decided = decided.chain(mapped(offline.maps(&name))).collect();
        databases.push(Found {
            database: Some(name.to_string()),
            address: target.address(),
            coverage: look(&database, &target, decided, request)
                .await
                .with_context(failed)?,
        });
    }
    Ok(databases)
}

/// Whether the policy is about the database, and may be.
fn decides(promise: &Promise, database: &Name) -> bool {
    let mut hindrances = promise.hindrances.iter();
    promise.database == *database
        && !hindrances.any(|refusal| refusal.reason == Reason::DatabaseNotUsable)
}

/// Weighs the tables of a database.
async fn look(
    database: &Database,
    target: &Target,
    mut decided: BTreeSet<TableName>,
    request: &Request,
) -> anyhow::Result<Coverage> {
    let mut tx = database.begin(Access::ReadOnly).await?;
    let seen = survey(&mut tx).await;
    tx.rollback().await;
    decided.extend(request.except.iter().cloned());
    let place = Ident::new(target.connection.database.clone())?;
    let engine = database.engine();
    Ok(Coverage::of(
        engine,
        &seen?,
        &qualified(decided, engine, &place),
    ))
}

impl Found {
    fn has_gaps(&self) -> bool {
        !self.coverage.gaps.is_empty()
    }

    /// The database and what was found, in one line.
    fn head(&self) -> String {
        let name = self.database.as_deref().unwrap_or(&self.address);
        format!("{name}: {}", self.outcome())
    }

    fn outcome(&self) -> String {
        let Coverage { tables, gaps } = &self.coverage;
        match gaps.len() {
            0 => format!("no gap in {tables} tables"),
            open => format!(
                "{open} of {tables} tables hold dates or look personal, and no rule decides about them"
            ),
        }
    }
}

fn table(report: &Report) -> String {
    let mut lines = Vec::new();
    for found in &report.databases {
        wrap(&mut lines, "", &found.head());
        if !found.has_gaps() {
            continue;
        }
        let mut rows = vec![["TABLE", "LOOKS PERSONAL", "DATES"].map(Cell::from)];
        for Gap {
            table,
            personal,
            dates,
        } in &found.coverage.gaps
        {
            let cells = [table.to_string(), some(personal), some(dates)];
            rows.push(cells.map(Cell::from));
        }
        lines.push(String::new());
        lines.extend(grid(&rows, [false; 3], &[1, 2, 0], false));
        lines.push(String::new());
    }
    let mut text = lines.join("\n");
    text.truncate(text.trim_end().len());
    text.push('\n');
    text
}

/// The first of some names, and how many more there are.
fn some(names: &[String]) -> String {
    let text = names[..names.len().min(NAMED)].join(", ");
    match names.len().saturating_sub(NAMED) {
        0 => text,
        more => format!("{text} and {more} more"),
    }
}

fn markdown(report: &Report) -> String {
    let open: usize = report.databases.iter().map(|f| f.coverage.gaps.len()).sum();
    let mut lines = vec![match open {
        0 => "## Retention coverage: no gap".to_owned(),
        1 => "## Retention coverage: 1 table without a decision".to_owned(),
        _ => format!("## Retention coverage: {open} tables without a decision"),
    }];
    for found in &report.databases {
        let name = found.database.as_deref().unwrap_or(&found.address);
        lines.push(format!("\n### {}\n", told::plain(name)));
        lines.push(format!("{}.", told::plain(&found.outcome())));
        if found.has_gaps() {
            lines.push("\n| Table | Looks personal | Dates |\n|---|---|---|".to_owned());
        }
        for Gap {
            table,
            personal,
            dates,
        } in &found.coverage.gaps
        {
            lines.push(format!(
                "| {} | {} | {} |",
                told::code(&table.to_string()),
                told::plain(&some(personal)),
                told::plain(&some(dates)),
            ));
        }
    }
    lines.push(String::new());
    lines.join("\n")
}
