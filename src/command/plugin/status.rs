//! `status`: the whole picture of a namespace, read and never decided from.
//!
//! Owns the shape of its JSON and YAML. The parts of a resource's status stand in it as the resource
//! has them.

mod table;
#[cfg(test)]
mod tests;

use clap::Args;
use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use kube::ResourceExt;
use oubliette_core::api::condition::{APPROVED, FALLING_BEHIND, READY};
use oubliette_core::api::reason::{Reason, Standing};
use oubliette_core::api::retention_policy::{KeepUpStatus, OpenRun, PastRun, ProgressStatus};
use oubliette_core::api::words::Choice;
use serde::Serialize;

use super::Output;
use super::access::Access;
use crate::command::columns::coloured;
use crate::resource::{DataMap, ErasureRequest, LegalHold, RetentionPolicy, TargetDatabase};

pub(super) use table::waits;

/// What is asked of the command.
#[derive(Clone, Debug, Args)]
pub struct Request {
    /// Where.
    #[command(flatten)]
    pub access: Access,
    /// All namespaces.
    #[arg(short = 'A', long, conflicts_with = "namespace")]
    pub all_namespaces: bool,
    /// How the picture is written.
    #[arg(short, long, value_enum, default_value_t)]
    pub output: Output,
}

/// Everything there is to see.
#[derive(Debug, Default, PartialEq, Serialize)]
pub struct Picture {
    /// The TargetDatabases, by namespace and name.
    pub databases: Vec<DatabaseTold>,
    /// The RetentionPolicies, by namespace and name.
    pub policies: Vec<PolicyTold>,
    /// The ErasureRequests, by namespace and name.
    pub requests: Vec<RequestTold>,
    /// What does not go on by itself or not yet, and why.
    pub waiting: Vec<Waiting>,
}

/// A TargetDatabase.
#[derive(Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct DatabaseTold {
    /// Its namespace.
    pub namespace: String,
    /// Its name.
    pub name: String,
    /// The engine that answered.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub engine: Option<String>,
    /// Its version.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub version: Option<String>,
    /// True, False or Unknown.
    pub ready: String,
    /// Why.
    pub reason: String,
    /// Whether all that runs on it is suspended.
    pub suspended: bool,
    /// Runs of the policies shown that have not come to their end, by their ids in the ledger.
    pub open_runs: Vec<String>,
}

/// A RetentionPolicy.
#[derive(Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct PolicyTold {
    /// Its namespace.
    pub namespace: String,
    /// Its name.
    pub name: String,
    /// The TargetDatabase, by namespace and name.
    pub database: String,
    /// DryRun or Enforce.
    pub mode: String,
    /// Whether it is suspended by itself.
    pub suspended: bool,
    /// True, False or Unknown.
    pub ready: String,
    /// Why.
    pub reason: String,
    /// Digest of the plan that stands in its status: what an Approval is of. Left out where that plan is
    /// of the spec as it was before.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub plan: Option<String>,
    /// Whether that plan is approved: the reason of the condition Approved, where somebody is asked.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub approval: Option<String>,
    /// When it runs next.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub next_run_at: Option<Timestamp>,
    /// The last run.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_run: Option<PastRun>,
    /// Rows that are expired and not yet changed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub overdue_rows: Option<i64>,
    /// When the oldest of them fell due.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub oldest_overdue_at: Option<Timestamp>,
    /// Why it falls behind: the reason of the condition FallingBehind, where that is True.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub falling_behind: Option<String>,
    /// When it will have caught up.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub keep_up: Option<KeepUpStatus>,
    /// When the next of the database's windows opens, while something waits for it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub window_opens_at: Option<Timestamp>,
    /// The run that has not come to its end.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub open_run: Option<OpenRun>,
    /// The plan or run under way.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub progress: Option<ProgressStatus>,
}

/// An ErasureRequest.
#[derive(Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct RequestTold {
    /// Its namespace.
    pub namespace: String,
    /// Its name.
    pub name: String,
    /// The case's number elsewhere.
    pub case: String,
    /// How far it is.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub state: Option<String>,
    /// How it came out.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub outcome: Option<String>,
    /// The last day on which the person may be answered.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub due_on: Option<String>,
    /// Whether the person was answered.
    pub answered: bool,
    /// Whether it is suspended.
    pub suspended: bool,
    /// True, False or Unknown.
    pub ready: String,
    /// Why.
    pub reason: String,
    /// Digest of its plan: what an Approval is of.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub plan: Option<String>,
}

/// What waits.
#[derive(Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Waiting {
    /// TargetDatabase, RetentionPolicy, ErasureRequest, LegalHold or DataMap.
    pub kind: &'static str,
    /// Its namespace.
    pub namespace: String,
    /// Its name.
    pub name: String,
    /// The class, as docs/reasons.md explains it.
    pub reason: String,
    /// What happens next: "stalled until changed", "tried again by itself"; left out for a reason
    /// that this version does not know.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub stands: Option<&'static str>,
    /// What the resource says.
    pub message: String,
    /// What to do.
    pub remedy: String,
}

/// Reads and shows.
pub async fn run(request: &Request) -> anyhow::Result<String> {
    let cluster = request.access.open().await?;
    let everywhere = request.all_namespaces;
    let databases = cluster.list(everywhere).await?;
    let policies = cluster.list(everywhere).await?;
    let requests = cluster.list(everywhere).await?;
    let holds = cluster.list(everywhere).await?;
    let maps = cluster.list(everywhere).await?;
    let picture = Picture::of(&databases, &policies, &requests, &holds, &maps);
    request.output.text(&picture, || {
        let place = if everywhere {
            "any namespace".to_owned()
        } else {
            format!("namespace {}", cluster.namespace)
        };
        table::text(&picture, &place, Timestamp::now(), coloured())
    })
}

impl Picture {
    /// What these resources say.
    pub fn of(
        databases: &[TargetDatabase],
        policies: &[RetentionPolicy],
        requests: &[ErasureRequest],
        holds: &[LegalHold],
        maps: &[DataMap],
    ) -> Self {
        let mut picture = Self {
            policies: policies.iter().map(policy).collect(),
            requests: requests.iter().map(request).collect(),
            ..Self::default()
        };
        picture.databases = databases
            .iter()
            .map(|resource| database(resource, &picture.policies))
            .collect();
        let of_databases = databases.iter().filter_map(|resource| {
            let status = resource.status.as_ref();
            waiting("TargetDatabase", resource, status.map(|s| &*s.conditions))
        });
        let of_policies = policies.iter().filter_map(|resource| {
            let status = resource.status.as_ref();
            waiting("RetentionPolicy", resource, status.map(|s| &*s.conditions))
        });
        let of_requests = requests.iter().filter_map(|resource| {
            let status = resource.status.as_ref();
            waiting("ErasureRequest", resource, status.map(|s| &*s.conditions))
        });
        // What they keep may go while they are not in force.
        let of_holds = holds.iter().filter_map(|resource| {
            let status = resource.status.as_ref();
            waiting("LegalHold", resource, status.map(|s| &*s.conditions))
        });
        let of_maps = maps.iter().filter_map(|resource| {
            let status = resource.status.as_ref();
            waiting("DataMap", resource, status.map(|s| &*s.conditions))
        });
        let protected = of_holds.chain(of_maps);
        let decided = of_databases.chain(of_policies).chain(of_requests);
        picture.waiting = decided.chain(protected).collect();
        picture
    }
}

fn database(resource: &TargetDatabase, policies: &[PolicyTold]) -> DatabaseTold {
    let status = resource.status.clone().unwrap_or_default();
    let (ready, reason) = ready_of(&status.conditions);
    let (namespace, name) = place(resource);
    let own = format!("{namespace}/{name}");
    let open = policies.iter().filter(|policy| policy.database == own);
    DatabaseTold {
        open_runs: open
            .filter_map(|policy| policy.open_run.as_ref())
            .map(|open| open.run.clone())
            .collect(),
        namespace,
        name,
        engine: status.engine,
        version: status.version,
        ready,
        reason,
        suspended: resource.spec.0.suspend.unwrap_or_default(),
    }
}

fn policy(resource: &RetentionPolicy) -> PolicyTold {
    let spec = &resource.spec.0;
    let status = resource.status.clone().unwrap_or_default();
    let (ready, reason) = ready_of(&status.conditions);
    let (namespace, name) = place(resource);
    let approval = status.conditions.iter().find(|c| c.type_ == APPROVED);
    let is_behind = |c: &&Condition| c.type_ == FALLING_BEHIND && c.status == "True";
    let behind = status.conditions.iter().find(is_behind);
    PolicyTold {
        database: database_of(resource)
            .map_or_else(String::new, |(ns, name)| format!("{ns}/{name}")),
        namespace,
        name,
        mode: spec.mode.as_ref().map_or("DryRun", Choice::text).to_owned(),
        suspended: spec.suspend.unwrap_or_default(),
        ready,
        reason,
        plan: status
            .plan
            .as_ref()
            .filter(|_| status.plan_generation == resource.metadata.generation)
            .map(|plan| plan.digest.to_string()),
        approval: approval.map(|condition| condition.reason.clone()),
        next_run_at: status.next_run_at,
        last_run: last_run(&status),
        overdue_rows: status.overdue_rows,
        oldest_overdue_at: status.oldest_overdue_at,
        falling_behind: behind.map(|condition| condition.reason.clone()),
        keep_up: status.keep_up,
        window_opens_at: status.window_opens_at,
        open_run: status.open_run,
        progress: status.progress,
    }
}

fn request(resource: &ErasureRequest) -> RequestTold {
    let spec = &resource.spec.0;
    let status = resource.status.clone().unwrap_or_default();
    let (ready, reason) = ready_of(&status.conditions);
    let (namespace, name) = place(resource);
    let word = |text: &str| text.to_owned();
    RequestTold {
        namespace,
        name,
        case: spec.case_ref.clone().unwrap_or_default(),
        state: status.state.as_ref().map(|state| word(state.text())),
        outcome: status.outcome.as_ref().map(|outcome| word(outcome.text())),
        due_on: status.due_on,
        answered: spec.reply.is_some(),
        suspended: spec.suspend.unwrap_or_default(),
        ready,
        reason,
        plan: status.plan.as_ref().map(|plan| plan.digest.to_string()),
    }
}

fn last_run(
    status: &oubliette_core::api::retention_policy::RetentionPolicyStatus,
) -> Option<PastRun> {
    let first = status.history.first().cloned();
    first.or_else(|| status.last_run.as_ref().map(PastRun::from))
}

/// Namespace and name of the database that a policy is about.
pub(super) fn database_of(resource: &RetentionPolicy) -> Option<(String, String)> {
    let reference = resource.spec.0.database_ref.as_ref()?;
    let namespace = reference.namespace.clone();
    Some((
        namespace.unwrap_or_else(|| place(resource).0),
        reference.name.clone()?,
    ))
}

fn place(resource: &impl ResourceExt) -> (String, String) {
    (
        resource.namespace().unwrap_or_default(),
        resource.name_any(),
    )
}

/// Status and reason of the condition Ready.
fn ready_of(conditions: &[Condition]) -> (String, String) {
    ready(conditions).map_or_else(
        || ("Unknown".to_owned(), Reason::Pending.as_str().to_owned()),
        |ready| (ready.status.clone(), ready.reason.clone()),
    )
}

/// The condition Ready.
pub(super) fn ready(conditions: &[Condition]) -> Option<&Condition> {
    conditions.iter().find(|c| c.type_ == READY)
}

/// What a resource waits for, where it waits. One that the operator has not looked at as it is now
/// waits for that, whatever its status says of what it was.
pub(super) fn waiting(
    kind: &'static str,
    resource: &impl ResourceExt,
    conditions: Option<&[Condition]>,
) -> Option<Waiting> {
    let condition = ready(conditions.unwrap_or_default());
    let behind = condition
        .is_none_or(|condition| condition.observed_generation != resource.meta().generation);
    let (reason, message) = match condition {
        Some(condition) if !behind => (condition.reason.as_str(), condition.message.as_str()),
        Some(_) | None => (
            Reason::Pending.as_str(),
            "the operator has not looked at it as it is now",
        ),
    };
    let known = Reason::named(reason);
    let waits = known.is_none_or(|reason| {
        let waits = [Reason::Pending, Reason::Suspended, Reason::WindowClosed];
        reason.is_failure() || reason.is_waiting() || waits.contains(&reason)
    });
    let (namespace, name) = place(resource);
    waits.then(|| Waiting {
        kind,
        namespace,
        name,
        reason: reason.to_owned(),
        stands: known.map(|reason| reason.standing().describe()),
        message: message.to_owned(),
        remedy: known
            .map_or(
                "A newer version of the program gave this reason: ask that one to explain it.",
                Reason::remedy,
            )
            .to_owned(),
    })
}

/// How things stand with whoever gives a reason, where this version knows it.
fn standing(reason: &str) -> Option<Standing> {
    Reason::named(reason).map(Reason::standing)
}
