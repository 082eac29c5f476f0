//! From a job to a plan: catalog, draft, figures. Everything here runs in READ ONLY transactions.

use std::collections::BTreeSet;

use jiff::{SignedDuration, Timestamp};
use oubliette_core::api::reason::Reason;
use oubliette_core::catalog::Catalog;
use oubliette_core::hmac::hmac_hex;
use oubliette_core::hold::Holds;
use oubliette_core::ledger::{HoldRow, Ledger};
use oubliette_core::name::TableName;
use oubliette_core::plan::{Draft, Facts, InForce, Intent, Plan, Refusal, Setting};
use oubliette_core::report::{Phase, Progress};

use secrecy::ExposeSecret;

use super::holds::{in_force, names, typed};
use super::job::{Job, JobOutcome, ProgressSender};
use super::measure;
use super::run::refused;
use crate::database::{Access, Fault, ServerFacts, Tx, inspect, readers};
use crate::ledger::{LedgerFault, Store};

/// The operator's clock and the database's may differ by this much (DESIGN section 5).
const SKEW: SignedDuration = SignedDuration::from_mins(5);

/// Plans the job's policy as of an instant.
pub async fn plan(
    job: &Job,
    as_of: Timestamp,
    progress: &ProgressSender,
) -> Result<Plan, JobOutcome> {
    Box::pin(plan_after(None, job, as_of, progress)).await
}

/// The same after a plan of a moment ago: what is counted by the same statements is not counted again.
pub(super) async fn plan_after(
    planned: Option<Plan>,
    job: &Job,
    as_of: Timestamp,
    progress: &ProgressSender,
) -> Result<Plan, JobOutcome> {
    let seen = Box::pin(see(job)).await?;
    let draft = seen.draft(job, as_of)?;
    let facts = match planned.and_then(|planned| planned.figures_for(&draft)) {
        Some(facts) => facts,
        None => measure(job, &draft, progress)
            .await
            .map_err(|f| failed(&f))?,
    };
    // Read after the holds: one that was released meanwhile is at least told.
    let loosened = releases(job).await.map_err(|f| refused(&f))?;
    let loosened = draft.loosened(&loosened, seen.ahead);
    let plan = Plan::of(draft, facts).after(loosened);
    if plan.is_partial() {
        // Its figures are not those of the table.
        return Err(JobOutcome::Refused {
            plan: None,
            refusals: plan.refusals().to_vec(),
        });
    }
    Ok(plan)
}

/// Counts, and shows which rule is being counted.
async fn measure(job: &Job, draft: &Draft, progress: &ProgressSender) -> Result<Facts, Fault> {
    measure::measure(&job.database, draft, job.pacing.reading(), |rule| {
        progress.send_modify(|p| {
            *p = Progress {
                phase: Phase::Planning,
                rule: Some(rule.to_owned()),
                ..p.clone()
            };
        });
    })
    .await
}

/// What is seen of a database before anything is drafted: the same for every job on it.
pub(super) struct Sight {
    server: ServerFacts,
    /// The server's clock minus ours.
    pub(super) ahead: SignedDuration,
    holds: InForce,
    catalog: Catalog,
    warnings: Vec<String>,
}

/// Looks at a job's database.
pub(super) async fn see(job: &Job) -> Result<Sight, JobOutcome> {
    let server = job.database.probe().await.map_err(|f| failed(&f))?;
    let ahead = server.clock.duration_since(Timestamp::now());
    check_clock(ahead)?;
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
    let holds = Box::pin(typed(job, &catalog, holds)).await;
    Ok(Sight {
        server,
        ahead,
        holds: holds.map_err(|f| refused(&f))?,
        catalog,
        warnings,
    })
}

impl Sight {
    /// The draft of a job on the database, under the holds in force. `job`: the one that it was looked at
    /// for, or one with the same tables.
    pub(super) fn draft(&self, job: &Job, as_of: Timestamp) -> Result<Draft, JobOutcome> {
        let Self {
            server,
            ahead: _,
            holds,
            catalog,
            warnings,
        } = self;
        let spec = digested(job);
        let setting = Setting {
            spec: &spec,
            ledger: &job.ledger,
            intent: job.intent,
            as_of,
        };
        let mut draft =
            Draft::of(&job.rules, catalog, &setting).map_err(|refusals| JobOutcome::Refused {
                plan: None,
                refusals,
            })?;
        draft.warnings.extend_from_slice(warnings);
        draft.rules = draft
            .rules_under(holds, None)
            .map_err(|refusals| JobOutcome::Refused {
                plan: None,
                refusals,
            })?;
        if draft.keyed {
            has_key(job)?;
            check_key(job.intent, server, &catalog.user, &mut draft.warnings)?;
        }
        draft
            .warnings
            .extend(server.warnings.iter().map(ToString::to_string));
        Ok(draft)
    }
}

/// What the database says of the tables, and who may read those into which rows are sealed.
async fn seen(job: &Job, holds: &Holds, tx: &mut Tx) -> Result<Catalog, Fault> {
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

fn ledger(job: &Job) -> Ledger {
    Ledger {
        engine: job.database.engine(),
        place: job.ledger.clone(),
    }
}

/// The holds under which the policy is planned, and what is to be said of them.
async fn holds(job: &Job, warnings: &mut Vec<String>) -> Result<Holds, JobOutcome> {
    let store = Store::unchecked(&job.database, ledger(job));
    if job.intent == Intent::DryRun && store.is_hidden().await.map_err(|f| refused(&f))? {
        // A user for dry runs need not see the ledger, and nothing is changed.
        warnings.push(
            "legal holds are not taken into account: this user may not read the ledger".to_owned(),
        );
        return Ok(Holds::default());
    }
    in_force(job, &store).await.map_err(|f| refused(&f))
}

/// The holds that there were, released ones among them, where releases matter.
pub(super) async fn releases(job: &Job) -> Result<Vec<HoldRow>, LedgerFault> {
    let store = Store::unchecked(&job.database, ledger(job));
    if !job.approval || store.is_hidden().await? || !store.is_present().await? {
        return Ok(Vec::new());
    }
    store.holds().await
}

/// A policy whose own rules are keyed has named its key; what a DataMap says of columns may need one,
/// too.
fn has_key(job: &Job) -> Result<(), JobOutcome> {
    if job.pseudonym_key.is_some() {
        return Ok(());
    }
    let message = "a DataMap treats columns of rows that are kept in part by the strategy Pseudonym, \
                   and the policy has no key";
    let refusal = Refusal::whole(Reason::InvalidSpec, message.to_owned())
        .remedy("pseudonymKey: {secretRef: {name: …, key: …}}   # in the policy");
    Err(JobOutcome::Refused {
        plan: None,
        refusals: vec![refusal],
    })
}

/// A key in a log is one that must be given up: nothing keyed runs while the server would write it.
fn check_key(
    intent: Intent,
    server: &ServerFacts,
    user: &str,
    warnings: &mut Vec<String>,
) -> Result<(), JobOutcome> {
    let Some(message) = shows_key(server, user, "the key of the pseudonyms") else {
        return Ok(());
    };
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

/// What is to be done so that the server does not write a key into its log; `None`: it does not.
pub(super) fn shows_key(server: &ServerFacts, user: &str, key: &str) -> Option<String> {
    let shows = server.warnings.iter().filter(|w| w.shows_key);
    let (settings, cures): (Vec<String>, BTreeSet<String>) = shows
        .map(|w| {
            (
                format!("{} is {}", w.setting, w.value),
                w.cure(server.engine, user),
            )
        })
        .unzip();
    (!settings.is_empty()).then(|| {
        format!(
            "the server would write {key} into its log ({}); as an administrator run:\n{}",
            settings.join(", "),
            cures.into_iter().collect::<Vec<_>>().join("\n")
        )
    })
}

fn check_clock(skew: SignedDuration) -> Result<(), JobOutcome> {
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
