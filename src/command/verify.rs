//! `oubliette verify`: whether a certificate is as it was issued, and whether a database's evidence chain
//! holds together.
//!
//! Owns what is compared and how it is told; changes nothing. A certificate is looked at without a
//! database or a cluster.

mod certificate;
mod ledger;

use std::io::Write;
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Context;
use clap::Args;
use oubliette_core::api::reason::Standing;
use oubliette_core::digest::Digest;
use oubliette_core::name::Ident;
use serde::Serialize;

use super::columns::{Cell, coloured, grid, painted, wrap};
use super::plugin::Output;
use super::source::{Given, namespace_name};

/// What is asked of the command.
#[derive(Clone, Debug, Args)]
pub struct Request {
    /// The certificate, as it was handed out.
    #[arg(value_name = "CERTIFICATE", required_unless_present = "ledger")]
    pub certificate: Option<PathBuf>,
    /// The public key that certificates are signed with (PEM); may be given several times, for keys that
    /// followed each other.
    #[arg(long = "key", value_name = "FILE", requires = "certificate")]
    pub keys: Vec<PathBuf>,
    /// Leaves signatures unchecked: whoever can write the file can then have written anything into it.
    #[arg(long, conflicts_with = "keys", requires = "certificate")]
    pub unsigned: bool,
    /// Derives the evidence chain of a database's ledger anew, from its first entry to its head, and
    /// looks for the certificate's heads in it. Needs SELECT on the ledger's tables, and changes nothing.
    ///
    /// NAME: with --database-url, the ledger's schema; on MySQL and MariaDB the prefix of its tables.
    #[arg(
        long,
        value_name = "NAME",
        num_args = 0..=1,
        require_equals = true,
        default_missing_value = "oubliette"
    )]
    pub ledger: Option<Ident>,
    /// A head of the chain that is remembered elsewhere, such as in the status of a policy or request:
    /// it must be in the chain. May be given several times.
    #[arg(long = "head", value_name = "DIGEST", requires = "ledger")]
    pub heads: Vec<Digest>,
    /// With --ledger, manifests: files, folders, or `-` for the input; TargetDatabases, and the Secrets
    /// and ConfigMaps that these name. The ledgers of all of them are looked at.
    #[arg(
        short = 'f',
        long = "filename",
        value_name = "FILE",
        requires = "ledger"
    )]
    pub files: Vec<PathBuf>,
    /// The namespace of resources that name none.
    #[arg(short, long, default_value = "default", value_parser = namespace_name)]
    pub namespace: String,
    /// The database itself, with --ledger.
    #[command(flatten)]
    pub given: Given,
    /// How the answer is written.
    #[arg(short, long, value_enum, default_value_t)]
    pub output: Output,
}

/// Everything that was looked at.
#[derive(Debug, Serialize)]
struct Report {
    /// Whether all of it is as it has to be.
    verified: bool,
    /// The certificate first, then ledgers.
    checked: Vec<Checked>,
}

/// One file or ledger.
#[derive(Debug, Serialize)]
struct Checked {
    /// The file, or the database.
    name: String,
    /// Whether all of it is as it has to be.
    verified: bool,
    /// What it says of itself, where it reads as a certificate.
    #[serde(skip_serializing_if = "Option::is_none")]
    certificate: Option<certificate::About>,
    /// What was compared.
    checks: Vec<Check>,
}

/// One comparison.
#[derive(Debug, PartialEq, Eq, Serialize)]
struct Check {
    /// What was compared.
    name: &'static str,
    /// What came of it.
    outcome: Outcome,
    /// What was found.
    detail: String,
}

/// What came of a comparison.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
enum Outcome {
    /// It is as it has to be.
    Fits,
    /// It is not.
    Differs,
    /// Nobody can tell, and so it is not verified.
    NotChecked,
    /// It was not asked for.
    LeftOut,
}

impl Outcome {
    fn text(self) -> &'static str {
        match self {
            Self::Fits => "fits",
            Self::Differs => "differs",
            Self::NotChecked => "not checked",
            Self::LeftOut => "left out",
        }
    }

    fn standing(self) -> Standing {
        match self {
            Self::Fits => Standing::Well,
            Self::Differs => Standing::Stalled,
            Self::NotChecked | Self::LeftOut => Standing::Waiting,
        }
    }
}

impl Check {
    fn new(name: &'static str, outcome: Outcome, detail: impl Into<String>) -> Self {
        Self {
            name,
            outcome,
            detail: detail.into(),
        }
    }

    fn fits(name: &'static str, detail: impl Into<String>) -> Self {
        Self::new(name, Outcome::Fits, detail)
    }

    fn differs(name: &'static str, detail: impl Into<String>) -> Self {
        Self::new(name, Outcome::Differs, detail)
    }
}

impl Checked {
    fn new(name: String, about: Option<certificate::About>, checks: Vec<Check>) -> Self {
        let passes = |check: &Check| matches!(check.outcome, Outcome::Fits | Outcome::LeftOut);
        Self {
            name,
            verified: checks.iter().all(passes),
            certificate: about,
            checks,
        }
    }
}

/// Writes what was found. Exit code 0: all of it is as it has to be; 1: it is not, or an error.
pub async fn run(request: &Request, out: &mut impl Write) -> anyhow::Result<ExitCode> {
    let mut checked = Vec::new();
    let mut document = None;
    if let Some(file) = &request.certificate {
        let looked = certificate::look(file, &request.keys, request.unsigned)?;
        checked.push(looked.0);
        document = looked.1;
    }
    if let Some(place) = &request.ledger {
        // Heads are looked for where the file says what they are.
        let sought = ledger::Sought {
            heads: &request.heads,
            given: request.certificate.is_some(),
            document: document.as_ref(),
        };
        checked.extend(ledger::look(request, place, &sought).await?);
    }
    let report = Report {
        verified: checked.iter().all(|checked| checked.verified),
        checked,
    };
    let text = request.output.text(&report, || table(&report))?;
    out.write_all(text.as_bytes())
        .context("failed to write the answer")?;
    Ok(if report.verified {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}

fn table(report: &Report) -> String {
    let colours = coloured();
    let mut lines = Vec::new();
    for Checked {
        name,
        verified,
        certificate,
        checks,
    } in &report.checked
    {
        let (said, standing) = if *verified {
            ("verified", Standing::Well)
        } else {
            ("not verified", Standing::Stalled)
        };
        lines.push(format!(
            "{name}: {}",
            painted(said, Some(standing), colours)
        ));
        if let Some(about) = certificate {
            wrap(&mut lines, "  ", &about.sentence());
        }
        let row = |check: &Check| {
            let outcome = check.outcome;
            [
                Cell::from(check.name),
                Cell::standing(outcome.text(), Some(outcome.standing())),
            ]
        };
        let rows: Vec<[Cell; 2]> = checks.iter().map(row).collect();
        let heads = grid(&rows, [false; 2], &[], colours);
        for (head, check) in heads.iter().zip(checks) {
            lines.push(head.clone());
            wrap(&mut lines, "    ", &check.detail);
        }
    }
    lines.push(String::new());
    lines.join("\n")
}
