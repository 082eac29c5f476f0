//! `suspend` and `resume`: `spec.suspend` of a policy, a person's request or a database.

use anyhow::anyhow;
use clap::Args;
use clap_complete::engine::ArgValueCandidates;
use oubliette_core::api::approval::TargetKind;
use oubliette_core::api::words::Word as _;
use serde_json::json;

use super::access::{Access, Cluster, Kind};
use super::names;
use super::target::Target;
use crate::resource::{ErasureRequest, RetentionPolicy, TargetDatabase};

/// What is asked of the command.
#[derive(Clone, Debug, Args)]
pub struct Request {
    /// The policy, or `oer/NAME`: a person's request; with --database the TargetDatabase.
    #[arg(add = ArgValueCandidates::new(names::suspendable))]
    pub target: Target,
    /// NAME is a TargetDatabase: all that runs on it.
    #[arg(long)]
    pub database: bool,
    /// Where.
    #[command(flatten)]
    pub access: Access,
}

/// Suspends or resumes, and says what that means.
pub async fn run(request: &Request, suspend: bool) -> anyhow::Result<String> {
    let cluster = request.access.open().await?;
    let Target { kind, name } = &request.target;
    let policy = *kind == TargetKind::RetentionPolicy;
    let (kind, changed) = if request.database {
        let now = |resource: &TargetDatabase| resource.spec.0.suspend;
        ("TargetDatabase", set(&cluster, name, suspend, now).await?)
    } else if policy {
        let now = |resource: &RetentionPolicy| resource.spec.0.suspend;
        (kind.as_str(), set(&cluster, name, suspend, now).await?)
    } else {
        let now = |resource: &ErasureRequest| resource.spec.0.suspend;
        (kind.as_str(), set(&cluster, name, suspend, now).await?)
    };
    let what = match (suspend, changed) {
        (true, true) => "is suspended: what runs stops within one batch and goes on when resumed",
        (true, false) => "was suspended already",
        (false, true) => "is resumed",
        (false, false) => "was not suspended",
    };
    let mut text = format!("{kind} {}/{name} {what}\n", cluster.namespace);
    if !suspend && policy && !request.database {
        text.push_str(&still(&cluster, name).await);
    }
    Ok(text)
}

async fn set<K: Kind>(
    cluster: &Cluster,
    name: &str,
    suspend: bool,
    now: impl Fn(&K) -> Option<bool>,
) -> anyhow::Result<bool> {
    cluster
        .change(name, |resource: &K| {
            if resource.meta().deletion_timestamp.is_some() {
                return Err(anyhow!("{} {name} is being deleted", K::kind(&())));
            }
            let already = now(resource).unwrap_or_default() == suspend;
            Ok((!already).then(|| json!({"spec": {"suspend": suspend}})))
        })
        .await
}

/// What keeps a resumed policy from running all the same. Who may not see it is not told.
async fn still(cluster: &Cluster, name: &str) -> String {
    let Ok(policy) = cluster.get::<RetentionPolicy>(name).await else {
        return String::new();
    };
    match super::run::suspended_database(cluster, &policy).await {
        Some(database) => {
            format!("but TargetDatabase {database} is suspended: nothing runs on it\n")
        }
        None => String::new(),
    }
}
