//! `approve` and `reject`: an Approval of the plan that stands in the status of a policy or a person's
//! request, in the name of whoever asks. It shows what it is about and asks first.

use anyhow::{Context, anyhow, bail};
use clap::Args;
use clap_complete::engine::ArgValueCandidates;
use kube::ResourceExt;
use oubliette_core::api::approval::{ApprovalSpec, ApprovalTargetSpec, Decision, TargetKind};
use oubliette_core::api::words::{Choice, Word};
use oubliette_core::digest::Digest;
use oubliette_core::report::{PlanReport, RulePlan};

use super::access::{Access, Cluster};
use super::names;
use super::show;
use super::target::Target;
use crate::command::ask;
use crate::command::told::words::rows;
use crate::resource::{Approval, ApprovalBody, ErasureRequest, RetentionPolicy};
use crate::shutdown;

/// Most of a target's name that an Approval's name begins with; the API server adds to it.
const NAMED: usize = 200;

/// What is asked of the command.
#[derive(Clone, Debug, Args)]
pub struct Request {
    /// The policy, or `oer/NAME`: a person's request.
    #[arg(add = ArgValueCandidates::new(names::decidable))]
    pub target: Target,
    /// Where the reasons are kept: the number of a ticket or record.
    #[arg(long, value_name = "REFERENCE")]
    pub ground: Option<String>,
    /// Does not ask. Needed where there is no terminal.
    #[arg(long)]
    pub yes: bool,
    /// Where.
    #[command(flatten)]
    pub access: Access,
}

/// What is asked of `approve`.
#[derive(Clone, Debug, Args)]
pub struct ApproveRequest {
    /// What every decision needs.
    #[command(flatten)]
    pub request: Request,
    /// Most rows that each run may change. Default: as many as the plan changes now; must be given where
    /// a run has ended since they were counted. A run that comes every night needs room for the rows of
    /// busier days.
    #[arg(long, value_name = "ROWS", value_parser = clap::value_parser!(i64).range(0..))]
    pub max_rows: Option<i64>,
}

/// What is asked of `reject`.
#[derive(Clone, Debug, Args)]
pub struct RejectRequest {
    /// What every decision needs.
    #[command(flatten)]
    pub request: Request,
    /// Asks for changes instead: the same hold, in another word.
    #[arg(long)]
    pub request_changes: bool,
}

/// Approves a plan.
pub async fn approve(request: &ApproveRequest) -> anyhow::Result<String> {
    decide(&request.request, Decision::Approve, request.max_rows).await
}

/// Rejects a plan.
pub async fn reject(request: &RejectRequest) -> anyhow::Result<String> {
    let decision = if request.request_changes {
        Decision::RequestChanges
    } else {
        Decision::Reject
    };
    decide(&request.request, decision, None).await
}

async fn decide(
    request: &Request,
    decision: Decision,
    most: Option<i64>,
) -> anyhow::Result<String> {
    if !request.yes && !ask::possible() {
        bail!(
            "it shows the plan and asks, and there is no terminal to ask on: read the plan (of a policy \
             its `status.plan`, of a request `show`), then give --yes"
        );
    }
    let cluster = request.access.open().await?;
    let Target { kind, name } = &request.target;
    let full = format!("{} {}/{name}", kind.as_str(), cluster.namespace);
    let plan = match kind {
        TargetKind::RetentionPolicy => of_policy(&cluster, name, &full).await?,
        TargetKind::ErasureRequest => of_request(&cluster, name, &full, !request.yes).await?,
    };
    if decision == Decision::Approve
        && most.is_none()
        && let Some(since) = &plan.since
    {
        bail!("{full}: {since}; say by --max-rows how many a run may change");
    }
    let most = most.unwrap_or(plan.rows);
    if decision == Decision::Approve && most < plan.rows {
        bail!(
            "{full}: its plan changes {} and --max-rows allows {most}",
            rows(plan.rows)
        );
    }
    if !request.yes {
        let stop = shutdown::on_signal().context("failed to listen for signals")?;
        let question = question(decision, most);
        let mut shown = plan.shown.clone();
        if let Some(since) = &plan.since {
            shown = format!("{shown}  {since}\n");
        }
        let answer = ask::agreed(&shown, &question, &stop).await?;
        if answer != Some(true) {
            return Ok("nothing was decided: the answer was not yes\n".to_owned());
        }
    }
    let spec = ApprovalSpec {
        target_ref: Some(ApprovalTargetSpec {
            kind: Some(Choice::Known(*kind)),
            name: Some(name.clone()),
            uid: plan.uid,
            ..ApprovalTargetSpec::default()
        }),
        decision: Some(Choice::Known(decision)),
        ground: request.ground.clone(),
        plan_digest: Some(plan.digest.to_string()),
        max_rows: (decision == Decision::Approve).then_some(most),
        by: Some(cluster.who().await?),
        ..ApprovalSpec::default()
    };
    let mut approval = Approval::new("", ApprovalBody(spec));
    approval.metadata.name = None;
    let begin: String = name.chars().take(NAMED).collect();
    approval.metadata.generate_name = Some(format!("{begin}-"));
    let made = cluster.create(&approval).await?;
    Ok(format!(
        "{full}: Approval {} ({}) of the plan {}{}\n",
        made.name_any(),
        decision.as_str(),
        plan.digest,
        if decision == Decision::Approve {
            format!(", at most {} a run", rows(most))
        } else {
            String::new()
        }
    ))
}

/// What there is to decide about.
struct Planned {
    uid: Option<String>,
    digest: Digest,
    rows: i64,
    shown: String,
    /// That the rows are no longer those that there are.
    since: Option<String>,
}

async fn of_policy(cluster: &Cluster, name: &str, full: &str) -> anyhow::Result<Planned> {
    let policy: RetentionPolicy = cluster.get(name).await?;
    let (plan, planned) = current_plan(&policy).with_context(|| full.to_owned())?;
    Ok(Planned {
        uid: policy.uid(),
        digest: plan.digest,
        rows: planned,
        shown: shown(full, plan, planned),
        since: ran_since(&policy, plan),
    })
}

/// `look`: somebody is asked, and must see what about.
async fn of_request(
    cluster: &Cluster,
    name: &str,
    full: &str,
    look: bool,
) -> anyhow::Result<Planned> {
    let request: ErasureRequest = cluster.get(name).await?;
    let plan = request.status.as_ref().and_then(|s| s.plan.as_ref());
    let plan = plan.with_context(|| {
        format!(
            "{full}: it has no plan yet: `kubectl oubliette show {name}` says what it waits for"
        )
    })?;
    let shown = if look {
        show::plan_for(cluster, &request).await?
    } else {
        String::new()
    };
    Ok(Planned {
        uid: request.uid(),
        digest: plan.digest,
        rows: plan.rows(),
        shown,
        since: None,
    })
}

/// The plan that there is to decide about, and the rows that it changes.
fn current_plan(policy: &RetentionPolicy) -> anyhow::Result<(&PlanReport, i64)> {
    let status = policy.status.as_ref();
    let current = |generation: Option<i64>| generation == policy.metadata.generation;
    let planned = status.filter(|status| current(status.plan_generation));
    let status = planned.ok_or_else(|| {
        anyhow!(
            "it is not planned as it is now: wait for its plan, or see \
             `kubectl oubliette status` for what is in the way"
        )
    })?;
    let plan = status.plan.as_ref().context("it has no plan")?;
    Ok((plan, status.planned_rows.unwrap_or_else(|| plan.rows())))
}

/// That the plan's rows are no longer those that there are: a run has ended since they were counted.
fn ran_since(policy: &RetentionPolicy, plan: &PlanReport) -> Option<String> {
    let status = policy.status.as_ref()?;
    let ended = status.last_run.as_ref()?.finished_at;
    let overdue = status.overdue_rows.map_or_else(String::new, |count| {
        format!(", and {} are overdue after it", rows(count))
    });
    (ended >= plan.as_of).then(|| {
        format!(
            "the plan's rows were counted as of {}; a run has ended at {ended}{overdue}",
            plan.as_of
        )
    })
}

/// What is decided about.
fn shown(full: &str, plan: &PlanReport, planned: i64) -> String {
    let rule = |rule: &RulePlan| {
        let own = (rule.table.as_str(), rule.effect, rule.eligible);
        let related = rule.related.iter();
        let tables = std::iter::once(own)
            .chain(related.map(|t| (t.table.as_str(), t.effect, t.rows)))
            .map(|(table, effect, count)| format!("{} {} of {table}", effect.verb(), rows(count)));
        format!("  {}: {}", rule.rule, tables.collect::<Vec<_>>().join(", "))
    };
    let mut lines = vec![format!(
        "{full}, plan {} as of {}:",
        plan.digest, plan.as_of
    )];
    lines.extend(plan.rules.iter().map(rule));
    lines.extend(plan.warnings.iter().map(|w| format!("  warning: {w}")));
    lines.push(format!("  in all: {}", rows(planned)));
    lines.join("\n") + "\n"
}

fn question(decision: Decision, most: i64) -> String {
    match decision {
        Decision::Approve => format!("Approve it, for at most {} a run?", rows(most)),
        Decision::Reject => "Reject it?".to_owned(),
        Decision::RequestChanges => "Ask for changes to it?".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn policy(status: &Value) -> RetentionPolicy {
        serde_json::from_value(json!({
            "apiVersion": "oubliette.dev/v1alpha1", "kind": "RetentionPolicy",
            "metadata": {"name": "p", "namespace": "crm", "uid": "u", "generation": 2},
            "spec": {}, "status": status,
        }))
        .unwrap()
    }

    fn status(generation: i64) -> Value {
        let at = "2026-01-10T12:00:00Z";
        json!({
            "planGeneration": generation, "plannedRows": 17,
            "plan": {
                "digest": format!("sha256:{}", "0".repeat(64)), "asOf": at,
                "warnings": ["somebody should know"],
                "rules": [{
                    "rule": "enquiries", "table": "public.enquiries", "effect": "Deleted", "cutoff": at,
                    "eligible": 12, "total": 40, "clockNull": 0, "implausible": 0, "walk": "id",
                    "related": [{"table": "public.notes", "effect": "Detached", "rows": 5}],
                }],
            },
        })
    }

    #[test]
    fn only_the_plan_of_the_present_spec_is_decided_about() {
        assert!(current_plan(&policy(&json!({}))).is_err());
        let error = current_plan(&policy(&status(1))).unwrap_err();
        assert!(error.to_string().contains("not planned as it is now"));
        let planned = policy(&status(2));
        assert_eq!(current_plan(&planned).unwrap().1, 17);
    }

    #[test]
    fn rows_that_were_counted_before_a_run_are_told_to_be_so() {
        let ended = |at: &str| {
            let mut status = status(2);
            status["overdueRows"] = json!(3);
            status["lastRun"] = json!({
                "run": "u/a", "plan": format!("sha256:{}", "0".repeat(64)), "asOf": at,
                "startedAt": at, "finishedAt": at, "outcome": "Completed", "rules": [],
            });
            let planned = policy(&status);
            let (plan, _) = current_plan(&planned).unwrap();
            ran_since(&planned, plan)
        };
        assert_eq!(ended("2026-01-10T11:59:59Z"), None);
        assert_eq!(
            ended("2026-01-10T12:00:05Z").as_deref(),
            Some(
                "the plan's rows were counted as of 2026-01-10T12:00:00Z; a run has ended at \
                 2026-01-10T12:00:05Z, and 3 rows are overdue after it"
            )
        );
    }

    #[test]
    fn what_is_decided_about_is_shown_whole() {
        let planned = policy(&status(2));
        let (plan, rows) = current_plan(&planned).unwrap();
        let digest = "0".repeat(64);
        assert_eq!(
            shown("RetentionPolicy crm/p", plan, rows),
            format!(
                "RetentionPolicy crm/p, plan sha256:{digest} as of 2026-01-10T12:00:00Z:\n\
                 \x20 enquiries: delete 12 rows of public.enquiries, detach 5 rows of public.notes\n\
                 \x20 warning: somebody should know\n\
                 \x20 in all: 17 rows\n"
            )
        );
    }
}
