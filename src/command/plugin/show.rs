//! `show`: a person's request for people: its clock, what is planned table by table, and what waits for
//! whom. The person is not in it.

mod table;

use anyhow::bail;
use clap::Args;
use clap_complete::engine::ArgValueCandidates;
use jiff::Timestamp;
use kube::ResourceExt;
use oubliette_core::api::erasure_plan::ErasurePlanSpec;
use oubliette_core::api::erasure_request::{ErasureRequestSpec, ErasureRequestStatus};
use oubliette_core::erasure::duplicates::sentence;
use serde::Serialize;

pub(in crate::command) use self::table::{plan as planned, residue};
use super::access::{Access, Cluster};
use super::status::{Waiting, waiting};
use super::target::request_name;
use super::{Output, names};
use crate::command::columns::coloured;
use crate::resource::{ErasurePlan, ErasureRequest};

/// What is asked of the command.
#[derive(Clone, Debug, Args)]
pub struct Request {
    /// The request.
    #[arg(value_parser = request_name, add = ArgValueCandidates::new(names::requests))]
    pub name: String,
    /// Where.
    #[command(flatten)]
    pub access: Access,
    /// How it is written.
    #[arg(short, long, value_enum, default_value_t)]
    pub output: Output,
}

/// A request with its plan. Spec, status and plan look as the resources have them.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Told {
    namespace: String,
    name: String,
    spec: ErasureRequestSpec,
    status: ErasureRequestStatus,
    /// What it waits for, where it waits.
    #[serde(skip_serializing_if = "Option::is_none")]
    waiting: Option<Waiting>,
    #[serde(skip_serializing_if = "Option::is_none")]
    plan: Option<ErasurePlanSpec>,
    /// Why the plan is not here.
    #[serde(skip_serializing_if = "Option::is_none")]
    plan_not_shown: Option<String>,
}

/// Shows it.
pub async fn run(request: &Request) -> anyhow::Result<String> {
    let cluster = request.access.open().await?;
    let object: ErasureRequest = cluster.get(&request.name).await?;
    let told = told(&cluster, object).await;
    request
        .output
        .text(&told, || table::text(&told, Timestamp::now(), coloured()))
}

async fn told(cluster: &Cluster, request: ErasureRequest) -> Told {
    // Who may see the request need not see what is planned for the person.
    let (plan, plan_not_shown) = match current(cluster, &request).await {
        Ok(plan) => (plan, None),
        Err(error) => (None, Some(format!("{error:#}"))),
    };
    let status = request.status.as_ref();
    let waiting = waiting("ErasureRequest", &request, status.map(|s| &*s.conditions));
    Told {
        namespace: cluster.namespace.clone(),
        name: request.name_any(),
        spec: request.spec.0,
        status: request.status.unwrap_or_default(),
        waiting,
        plan,
        plan_not_shown,
    }
}

/// The plan that the request's status speaks of. `None`: there is none yet.
async fn current(
    cluster: &Cluster,
    request: &ErasureRequest,
) -> anyhow::Result<Option<ErasurePlanSpec>> {
    let status = request.status.as_ref();
    let Some(figures) = status.and_then(|status| status.plan.as_ref()) else {
        return Ok(None);
    };
    let plan: ErasurePlan = cluster.get(&request.name_any()).await?;
    let plan = plan.spec.0;
    if plan.digest != figures.digest || Some(&plan.request_ref.uid) != request.uid().as_ref() {
        bail!(
            "the ErasurePlan is of another plan than the request's status: try again in a moment"
        );
    }
    Ok(Some(plan))
}

/// What somebody decides about.
pub(super) async fn plan_for(
    cluster: &Cluster,
    request: &ErasureRequest,
) -> anyhow::Result<String> {
    let name = request.name_any();
    let Some(plan) = current(cluster, request).await? else {
        bail!(
            "ErasureRequest {}/{name} has no plan yet",
            cluster.namespace
        );
    };
    let mut lines = vec![format!("ErasureRequest {}/{name}", cluster.namespace)];
    table::plan(&mut lines, &plan, false);
    let duplicates = request.status.as_ref().map(|status| &*status.duplicates);
    if let Some(others) = sentence(duplicates.unwrap_or_default()) {
        lines.extend([String::new(), others]);
    }
    Ok(lines.join("\n") + "\n")
}
