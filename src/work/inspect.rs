//! From a job to a plan: catalog, draft, figures. Everything here runs in READ ONLY transactions.

use jiff::{SignedDuration, Timestamp};
use oubliette_core::api::reason::Reason;
use oubliette_core::catalog::Engine;
use oubliette_core::name::TableName;
use oubliette_core::plan::{Draft, Plan, Setting};
use oubliette_core::report::{Phase, Progress};
use oubliette_core::sql::Bound;

use super::batch::count;
use super::job::{Job, JobOutcome, ProgressSender};
use super::measure;
use crate::database::inspect;
use crate::database::{Access, Fault};

/// The operator's clock and the database's may differ by this much (DESIGN section 5).
const SKEW: SignedDuration = SignedDuration::from_mins(5);

/// Plans the job's policy as of an instant.
pub(super) async fn plan(
    job: &Job,
    as_of: Timestamp,
    progress: &ProgressSender,
) -> Result<Plan, JobOutcome> {
    let names = tables(job);
    let mut tx = job
        .database
        .begin(Access::ReadOnly)
        .await
        .map_err(|f| failed(&f))?;
    let found = async {
        let now = count(&mut tx, &server_clock(job.database.engine())).await?;
        Ok::<_, Fault>((now, inspect(&mut tx, &names).await?))
    }
    .await;
    tx.rollback().await;
    let (seconds, catalog) = found.map_err(|f| failed(&f))?;
    check_clock(seconds)?;
    let setting = Setting {
        spec: &job.spec,
        ledger: &job.ledger,
        intent: job.intent,
        as_of,
    };
    let draft =
        Draft::of(&job.rules, &catalog, &setting).map_err(|refusals| JobOutcome::Refused {
            plan: None,
            refusals,
        })?;
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
    Ok(Plan::of(draft, facts))
}

fn tables(job: &Job) -> Vec<TableName> {
    let mut names: Vec<TableName> = job
        .rules
        .rules
        .iter()
        .flat_map(|r| std::iter::once(&r.table).chain(r.related.iter().map(|x| &x.table)))
        .cloned()
        .collect();
    names.sort();
    names.dedup();
    names
}

fn server_clock(engine: Engine) -> Bound {
    match engine {
        Engine::Postgres => Bound::fixed(
            "SELECT extract(epoch FROM clock_timestamp())::bigint",
            Vec::new(),
        ),
        Engine::MySql | Engine::MariaDb => Bound::fixed("SELECT UNIX_TIMESTAMP()", Vec::new()),
    }
}

fn check_clock(seconds: i64) -> Result<(), JobOutcome> {
    let skew = Timestamp::from_second(seconds).map_or(SignedDuration::MAX, |server| {
        server.duration_since(Timestamp::now())
    });
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
