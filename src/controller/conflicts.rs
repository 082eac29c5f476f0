//! Which policies stand in each other's way: those of one database, whatever TargetDatabases they
//! reach it by. Whether their rules overlap is core's to say.

use std::collections::BTreeMap;

use kube::ResourceExt;
use kube::core::DynamicObject;
use oubliette_core::api::reason::Reason;
use oubliette_core::decide::conflict::{Conflicts, Rules, stands};
use oubliette_core::decide::retention_policy::Database;
use oubliette_core::policy::Mandate;
use oubliette_core::target::{Target, UsableFrom};

use super::retention_policy::{read_spec, read_status, standing};
use super::runs::Stage;
use super::scope::database_of;
use super::{Context, Name, target_database};
use crate::inputs::cluster::DatabaseInput;

/// A sentence for each other policy that may reach the same rows, as far as they are told. Policies
/// that may not use the database cannot stand in anybody's way.
pub(super) async fn conflicts(
    policy: &DynamicObject,
    mandate: &Mandate,
    database: Option<&DatabaseInput>,
    context: &Context,
) -> Vec<String> {
    let (Some(wanted), Some(input)) = (database_of(policy), database) else {
        return Vec::new();
    };
    let own = Name::of(policy);
    let rules = Rules::of(&mandate.policy);
    let mut found = Conflicts::default();
    // In their order by name: else each look would name others.
    let others: BTreeMap<Name, _> = context
        .scopes
        .policies()
        .map(|other| (Name::of(&other), other))
        .collect();
    for (name, other) in others {
        if other.uid() == policy.uid() || other.metadata.deletion_timestamp.is_some() {
            continue;
        }
        let Some(theirs) = database_of(&other) else {
            continue;
        };
        let way = if theirs == wanted {
            Some(input.clone())
        } else {
            other_way(&theirs, input, &other, context)
        };
        let Some(way) = way else { continue };
        let parsed = context.memory.parsed(&other, Some(way.version()), || {
            Mandate::parse(&read_spec(&other)?, &way.target)
        });
        let Ok(parsed) = parsed.as_ref() else {
            continue;
        };
        let overlap = rules.overlap(&parsed.policy);
        // Whatever somebody wrote there to compare with, others have their turn in between.
        tokio::task::yield_now().await;
        let Some(overlap) = overlap else { continue };
        // Asked last, since it may cost a call; an answer that did not come is no permission to run.
        let usable = usable(&way.target, &theirs, &name.namespace, context).await;
        if matches!(usable, Err(Database::NotUsable(_))) {
            continue;
        }
        found.add(|| {
            if name.namespace == own.namespace {
                overlap.with(&name)
            } else {
                overlap.with_foreign(&name)
            }
        });
    }
    found.told()
}

/// Another TargetDatabase of the same address, by which the other policy has shown that it can reach
/// what it names, or is just doing so: a manifest alone proves nothing, or anybody could stop
/// everybody's policies.
fn other_way(
    name: &Name,
    input: &DatabaseInput,
    policy: &DynamicObject,
    context: &Context,
) -> Option<DatabaseInput> {
    // One state of it: it may be moved while it is looked at.
    let stored = context.scopes.stored_database(name)?;
    if *stored.place()? != input.target.place() {
        return None;
    }
    let database = stored.object();
    let target = target_database::parse(&database).ok()?;
    let running = || {
        let stage = policy.uid().and_then(|uid| context.runs.stage(&uid));
        matches!(stage, Some((_, Stage::Running(_))))
    };
    let can = || {
        matches!(standing(&database, name), Database::Ready(_))
            && stands(policy.metadata.generation, &read_status(policy))
    };
    let reached = running() || can();
    reached.then(|| target_database::input(&database, &target))
}

/// Whether the owner allows the use of a database from a namespace.
pub(super) async fn usable(
    target: &Target,
    database: &Name,
    from: &str,
    context: &Context,
) -> Result<(), Database> {
    if database.namespace == from {
        return Ok(());
    }
    let labels = match &target.usable_from {
        UsableFrom::Same | UsableFrom::All => BTreeMap::new(),
        // Fails closed: labels that cannot be read allow nothing.
        UsableFrom::Selector(_) => context
            .cluster
            .labels(from)
            .await
            .map_err(|fault| Database::NotReady(fault.to_string()))?,
    };
    if target
        .usable_from
        .allows(&database.namespace, from, &labels)
    {
        return Ok(());
    }
    Err(Database::NotUsable(format!(
        "the TargetDatabase {database} may not be used from the namespace {from}. {}",
        Reason::DatabaseNotUsable.remedy()
    )))
}
