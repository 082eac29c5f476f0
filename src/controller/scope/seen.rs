//! What follows from an event of a watch, as it comes in and before any reconcile: a job must know before
//! its next batch that its policy is suspended, changed or gone.

use std::collections::{BTreeMap, BTreeSet};

use kube::ResourceExt;
use kube::core::DynamicObject;
use kube::runtime::watcher;
use oubliette_core::decide::conflict::stands;
use oubliette_core::decide::job::StopWhy;
use oubliette_core::policy::Mandate;
use serde_json::Value;

use super::{database_of, databases_of_hold};
use crate::controller::retention_policy::{read_spec, read_status};
use crate::controller::runs::Ticket;
use crate::controller::stored::Shown;
use crate::controller::target_database::parse;
use crate::controller::{Context, Name};
use crate::metrics::Kind;

/// A policy appeared, changed or went.
pub(super) fn saw_policy(event: &Shown, context: &Context) {
    match event {
        watcher::Event::Apply(policy) => {
            tell_job(policy, context);
            let another = context.memory.saw_generation(policy);
            if saw_stands(policy, context) || another {
                nudge_neighbours(policy, context);
            }
            if another && let Some(database) = database_of(policy) {
                // They tell whom they bind.
                context.scopes.nudge_maps(&database);
            }
        }
        watcher::Event::InitApply(policy) => {
            tell_job(policy, context);
            context.memory.saw_generation(policy);
            saw_stands(policy, context);
        }
        watcher::Event::Delete(policy) => {
            if let Some(uid) = policy.uid() {
                context.runs.orphan(&uid);
                context.memory.forget(&uid);
            }
            let Name { namespace, name } = Name::of(policy);
            context.metrics.forget_policy(&namespace, &name);
            nudge_neighbours(policy, context);
            // Its database's ledger may have an open run, which nobody goes on with.
            if let Some(database) = database_of(policy) {
                context.scopes.nudge_maps(&database);
                if let Some(uid) = context.scopes.database_uid(&database) {
                    context.look_again_at(&uid, &database);
                }
            }
        }
        watcher::Event::Init => {}
        watcher::Event::InitDone => {
            // What was deleted while nobody watched.
            let seen: BTreeSet<String> =
                context.scopes.policies().filter_map(|p| p.uid()).collect();
            context.runs.orphan_unless(|ticket| {
                !context.scopes.covers(&ticket.policy.namespace) || seen.contains(&ticket.uid)
            });
        }
    }
}

/// Whether a policy has begun, or ceased, to stand in others' way.
fn saw_stands(policy: &DynamicObject, context: &Context) -> bool {
    let stands = stands(policy.metadata.generation, &read_status(policy));
    context.memory.saw_stands(policy, stands)
}

/// A job must not go on with what is no longer wanted.
fn tell_job(policy: &DynamicObject, context: &Context) {
    let Some(uid) = policy.uid() else { return };
    if policy.metadata.deletion_timestamp.is_some() {
        context.runs.stop(&uid, StopWhy::Deleted);
    } else if policy.data.pointer("/spec/suspend") == Some(&Value::Bool(true)) {
        context.runs.stop(&uid, StopWhy::Suspended);
    } else if context.runs.stage(&uid).is_some()
        && !read_spec(policy).is_ok_and(|spec| Mandate::alone(&spec).is_ok())
    {
        context.runs.stop(&uid, StopWhy::SpecInvalid);
    }
    // What else a new spec means, the reconcile finds out: it follows at once.
}

/// Other policies of the same database, whatever it is called for them, may conflict with it now, or
/// no longer.
fn nudge_neighbours(policy: &DynamicObject, context: &Context) {
    let Some(database) = database_of(policy) else {
        return;
    };
    let place_of = |name: &Name| context.scopes.place_of(name);
    let place = place_of(&database);
    let mut same: BTreeMap<Name, bool> = BTreeMap::from([(database, true)]);
    for other in context.scopes.policies() {
        let Some(theirs) = database_of(&other).filter(|_| other.uid() != policy.uid()) else {
            continue;
        };
        let one = *same
            .entry(theirs)
            .or_insert_with_key(|name| place.is_some() && place_of(name) == place);
        if one {
            context.scopes.nudge_policy(&Name::of(&other));
        }
    }
}

/// A database appeared, changed or went.
pub(super) fn saw_database(event: &Shown, context: &Context) {
    let (database, gone) = match event {
        watcher::Event::Apply(database) | watcher::Event::InitApply(database) => (database, false),
        watcher::Event::Delete(database) => (database, true),
        watcher::Event::Init => return,
        watcher::Event::InitDone => return forget_unseen_databases(context),
    };
    let ends = gone || database.metadata.deletion_timestamp.is_some();
    let suspended = database.data.pointer("/spec/suspend") == Some(&Value::Bool(true));
    let Some(uid) = database.uid() else { return };
    let why = if ends {
        Some(StopWhy::Deleted)
    } else if suspended {
        Some(StopWhy::Suspended)
    } else if parse(database).is_err() {
        Some(StopWhy::SpecInvalid)
    } else {
        None
    };
    if why.is_some() {
        let stopped = |ticket: &Ticket| why.filter(|_| ticket.databases.contains(&uid));
        context.runs.stop_where(stopped);
        context.erasures.stop_where(stopped);
    }
    if context.memory.saw_acceptance(database) {
        context.memory.look_again(&uid);
    }
    let changed = context.memory.saw_standing(database);
    let name = Name::of(database);
    for policy in context.scopes.policies() {
        if database_of(&policy).as_ref() == Some(&name) {
            if changed && let Some(uid) = policy.uid() {
                context.memory.try_again(&uid);
            }
            context.scopes.nudge_policy(&Name::of(&policy));
        } else if changed && !matches!(event, watcher::Event::InitApply(_)) {
            // It may have come to another one's address, or left it: conflicts come and go with that.
            context.scopes.nudge_policy(&Name::of(&policy));
        }
    }
    if changed {
        context.scopes.look_again_at_holds(&name, &context.memory);
        context.scopes.look_again_at_maps(&name, &context.memory);
    }
    // Last: what is asked above remembers it again.
    if gone {
        let Name { namespace, name } = &name;
        context
            .metrics
            .stands(Kind::TargetDatabase, namespace, name, None);
        context.metrics.uncovered(namespace, name, None);
        context.metrics.reappeared(namespace, name, None);
        context.forget_database(&uid);
    }
}

/// A hold appeared, changed or went. One that went stays in force: its database tells so.
pub(super) fn saw_hold(event: &Shown, context: &Context) {
    let (hold, gone) = match event {
        watcher::Event::Apply(hold) | watcher::Event::InitApply(hold) => (hold, false),
        watcher::Event::Delete(hold) => (hold, true),
        watcher::Event::Init | watcher::Event::InitDone => return,
    };
    let new = context.memory.saw_generation(hold);
    if gone {
        if let Some(uid) = hold.uid() {
            context.memory.forget(&uid);
        }
        let Name { namespace, name } = Name::of(hold);
        context
            .metrics
            .stands(Kind::LegalHold, &namespace, &name, None);
    }
    // What was approved before may be void.
    if hold.data.pointer("/status/released").is_some() {
        let databases = databases_of_hold(hold);
        for policy in context.scopes.policies() {
            if database_of(&policy).is_some_and(|database| databases.contains(&database)) {
                context.scopes.nudge_policy(&Name::of(&policy));
            }
        }
    }
    // Not at the start: then all databases are looked at.
    if (new || gone) && !matches!(event, watcher::Event::InitApply(_)) {
        for database in databases_of_hold(hold) {
            if let Some(uid) = context.scopes.database_uid(&database) {
                context.look_again_at(&uid, &database);
            }
        }
    }
}

/// A map appeared, changed or went: what its policies may do is another matter now.
pub(super) fn saw_map(event: &Shown, context: &Context) {
    let (map, gone) = match event {
        watcher::Event::Apply(map) => (map, false),
        watcher::Event::Delete(map) => (map, true),
        // What was seen before it is not complete.
        watcher::Event::Init | watcher::Event::InitApply(_) => return,
        watcher::Event::InitDone => {
            // One may have gone while nobody watched.
            for policy in context.scopes.policies() {
                context.scopes.nudge_policy(&Name::of(&policy));
            }
            return;
        }
    };
    context.memory.saw_generation(map);
    if gone {
        if let Some(uid) = map.uid() {
            context.memory.forget(&uid);
        }
        let Name { namespace, name } = Name::of(map);
        context
            .metrics
            .stands(Kind::DataMap, &namespace, &name, None);
    }
    context.scopes.look_again_at_requests(&context.memory);
    if !gone && context.memory.saw_ways(map) {
        context.scopes.search_again_for_held(&context.memory);
    }
    // Also where its generation is known: whoever writes its status may have read it before this event.
    let database = database_of(map);
    for policy in context.scopes.policies() {
        // Which database it is about may not be readable.
        if database.is_none() || database_of(&policy) == database {
            if let Some(uid) = policy.uid() {
                context.memory.try_again(&uid);
            }
            context.scopes.nudge_policy(&Name::of(&policy));
        }
    }
}

/// What was deleted while nobody watched.
fn forget_unseen_databases(context: &Context) {
    let databases = context.scopes.databases();
    let seen: BTreeSet<String> = databases.filter_map(|database| database.uid()).collect();
    let exists = |uid: &str| seen.contains(uid);
    let gone = |ticket: &Ticket| {
        let lacks = ticket.databases.iter().any(|uid| !exists(uid));
        lacks.then_some(StopWhy::Deleted)
    };
    context.runs.stop_where(gone);
    context.erasures.stop_where(gone);
    context.memory.forget_databases_unless(exists);
    context.cluster.forget_unless(exists);
    context.metrics.keep_databases(|namespace, name| {
        let name = Name::new(namespace, name);
        context.scopes.database_uid(&name).is_some()
    });
    for policy in context.scopes.policies() {
        if database_of(&policy).is_some_and(|name| context.scopes.database_uid(&name).is_none()) {
            context.scopes.nudge_policy(&Name::of(&policy));
        }
    }
}
