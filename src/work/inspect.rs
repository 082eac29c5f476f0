//! From a job to a plan: catalog, draft, figures. Everything here runs in READ ONLY transactions.

use std::collections::BTreeSet;

use jiff::{SignedDuration, Timestamp};
use oubliette_core::api::reason::Reason;
use oubliette_core::catalog::Catalog;
use oubliette_core::hmac::hmac_hex;
use oubliette_core::hold::Hold;
use oubliette_core::ledger::Ledger;
use oubliette_core::name::TableName;
use oubliette_core::plan::{Draft, Intent, Plan, Setting};
use oubliette_core::report::{Phase, Progress};

use secrecy::ExposeSecret;

use super::holds::{in_force, names};
use super::job::{Job, JobOutcome, ProgressSender};
use super::measure;
use super::run::refused;
use crate::database::{Access, Fault, ServerFacts, Tx, inspect, readers};
use crate::ledger::Store;

/// The operator's clock and the database's may differ by this much (DESIGN section 5).
const SKEW: SignedDuration = SignedDuration::from_mins(5);

/// Plans the job's policy as of an instant.
pub async fn plan(
    job: &Job,
    as_of: Timestamp,
    progress: &ProgressSender,
) -> Result<Plan, JobOutcome> {
    let server = job.database.probe().await.map_err(|f| failed(&f))?;
    check_clock(server.clock)?;
    if let Some(why) = server.read_only.filter(|_| job.intent == Intent::Enforce) {
        return Err(JobOutcome::Failed {
            reason: Reason::UnsafeSetting,
            message: why.to_owned(),
            passing: true,
        });
    }
    let mut warnings = Vec::new();
    let holds = Box::pin(holds(job, &mut warnings)).await?;
    let mut tx = job
        .database
        .begin(Access::ReadOnly)
        .await
        .map_err(|f| failed(&f))?;
    let catalog = Box::pin(seen(job, &holds, &mut tx)).await;
    tx.rollback().await;
    let catalog = catalog.map_err(|f| failed(&f))?;
    let spec = digested(job);
    let setting = Setting {
        spec: &spec,
        ledger: &job.ledger,
        intent: job.intent,
        as_of,
    };
    let mut draft =
        Draft::of(&job.rules, &catalog, &setting).map_err(|refusals| JobOutcome::Refused {
            plan: None,
            refusals,
        })?;
    draft.warnings.append(&mut warnings);
    draft.rules = draft
        .rules_under(&holds, None)
        .map_err(|refusals| JobOutcome::Refused {
            plan: None,
            refusals,
        })?;
    if draft.keyed {
        check_key(job.intent, &server, &catalog.user, &mut draft.warnings)?;
    }
    draft
        .warnings
        .extend(server.warnings.iter().map(ToString::to_string));
    let facts = measure::measure(&job.database, &draft, !job.pacing.backlog, |rule| {
        progress.send_modify(|p| {
            *p = Progress {
                phase: Phase::Planning,
                rule: Some(rule.to_owned()),
                ..p.clone()
            };
        });
    })
    .await
    .map_err(|f| failed(&f))?;
    let plan = Plan::of(draft, facts);
    if plan.is_partial() {
        // Its figures are not those of the table.
        return Err(JobOutcome::Refused {
            plan: None,
            refusals: plan.refusals().to_vec(),
        });
    }
    Ok(plan)
}

/// What the database says of the tables, and who may read those into which rows are sealed.
async fn seen(job: &Job, holds: &[Hold], tx: &mut Tx) -> Result<Catalog, Fault> {
    let mut catalog = inspect(tx, &names(job, holds)).await?;
    let rules = job.rules.rules.iter();
    let sealed = rules.flat_map(|rule| rule.sealed().map(|(table, seal)| seal.of(table)));
    let mut sealed: Vec<TableName> = sealed.filter(|t| catalog.tables.contains_key(t)).collect();
    sealed.sort();
    sealed.dedup();
    catalog.readers = readers(tx, &sealed).await?;
    Ok(catalog)
}

/// What the plan's digest is made of beside schema and statements. A keyed check value stands for the
/// key of pseudonyms: one run must not give one person two of them.
fn digested(job: &Job) -> serde_json::Value {
    let key = job
        .pseudonym_key
        .as_ref()
        .map(|key| hmac_hex(key.expose_secret(), b"oubliette key check v1"));
    serde_json::json!({"spec": job.spec, "key": key.as_deref().and_then(|k| k.get(..16))})
}

/// The holds under which the policy is planned, and what is to be said of them.
async fn holds(job: &Job, warnings: &mut Vec<String>) -> Result<Vec<Hold>, JobOutcome> {
    let ledger = Ledger {
        engine: job.database.engine(),
        place: job.ledger.clone(),
    };
    let store = Store::unchecked(&job.database, ledger);
    if job.intent == Intent::DryRun && store.is_hidden().await.map_err(|f| refused(&f))? {
        // A user for dry runs need not see the ledger, and nothing is changed.
        warnings.push(
            "legal holds are not taken into account: this user may not read the ledger".to_owned(),
        );
        return Ok(Vec::new());
    }
    in_force(job, &store).await.map_err(|f| refused(&f))
}

/// A key in a log is one that must be given up: nothing keyed runs while the server would write it.
fn check_key(
    intent: Intent,
    server: &ServerFacts,
    user: &str,
    warnings: &mut Vec<String>,
) -> Result<(), JobOutcome> {
    let shows = server.warnings.iter().filter(|w| w.shows_key);
    let (settings, cures): (Vec<String>, BTreeSet<String>) = shows
        .map(|w| {
            (
                format!("{} is {}", w.setting, w.value),
                w.cure(server.engine, user),
            )
        })
        .unzip();
    if settings.is_empty() {
        return Ok(());
    }
    let message = format!(
        "the server would write the key of the pseudonyms into its log ({}); as an administrator \
         run:\n{}",
        settings.join(", "),
        cures.into_iter().collect::<Vec<_>>().join("\n")
    );
    if intent == Intent::DryRun {
        warnings.push(format!("before mode Enforce: {message}"));
        return Ok(());
    }
    Err(JobOutcome::Failed {
        reason: Reason::UnsafeSetting,
        message,
        passing: true,
    })
}

fn check_clock(server: Timestamp) -> Result<(), JobOutcome> {
    let skew = server.duration_since(Timestamp::now());
    if skew.abs() <= SKEW {
        return Ok(());
    }
    Err(JobOutcome::Failed {
        reason: Reason::ClockSkew,
        message: format!(
            "the database's clock and the operator's differ by {} seconds, 300 are allowed: \
             synchronise them; until then nothing runs, because cutoffs would be wrong",
            skew.as_secs()
        ),
        passing: true,
    })
}

/// A fault outside a batch as the job's outcome.
pub(super) fn failed(fault: &Fault) -> JobOutcome {
    JobOutcome::Failed {
        reason: fault.reason(),
        message: fault.to_string(),
        passing: fault.is_retryable(),
    }
}
