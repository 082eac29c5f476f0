//! What is watched: all namespaces, or each of some. A scope is one watch of all kinds with what it
//! has seen; everything that asks for "all policies" asks all scopes.
//!
//! Watch events reach the jobs here, as they come in and before any reconcile: a job must know
//! before its next batch that its policy is suspended, changed or gone.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use futures::channel::mpsc::{UnboundedReceiver, UnboundedSender, unbounded};
use futures::{Stream, StreamExt, TryStreamExt};
use kube::core::{ApiResource, DynamicObject};
use kube::runtime::reflector::store::Writer;
use kube::runtime::reflector::{ObjectRef, Store};
use kube::runtime::{Controller, WatchStreamExt, watcher};
use kube::{Api, Client, ResourceExt};
use oubliette_core::decide::conflict::stands;
use oubliette_core::decide::job::StopWhy;
use oubliette_core::policy::Mandate;
use oubliette_core::report::Loosened;
use serde_json::Value;
use tokio_util::sync::CancellationToken;

use super::approvals;
use super::memory::Memory;
use super::retention_policy::{read_spec, read_status};
use super::target_database::parse;
use super::watched::Watched;
use super::{Context, Kinds, Name, after_error, controller_config, object_ref, reconcile};
use crate::metrics::Kind;
use crate::work::job::RememberedHold;

/// One watch of all kinds.
pub(super) struct Scope {
    /// `None`: every namespace.
    namespace: Option<String>,
    policies: Store<DynamicObject>,
    databases: Store<DynamicObject>,
    holds: Store<DynamicObject>,
    maps: Store<DynamicObject>,
    approvals: Store<DynamicObject>,
    to_policies: UnboundedSender<ObjectRef<DynamicObject>>,
    to_databases: UnboundedSender<ObjectRef<DynamicObject>>,
    to_holds: UnboundedSender<ObjectRef<DynamicObject>>,
    to_maps: UnboundedSender<ObjectRef<DynamicObject>>,
    policies_known: CancellationToken,
    databases_known: CancellationToken,
    holds_known: CancellationToken,
    maps_known: CancellationToken,
    approvals_known: CancellationToken,
}

/// The moving parts of a scope, until they run.
pub(super) struct Watch {
    policies: Api<Watched>,
    databases: Api<Watched>,
    holds: Api<Watched>,
    maps: Api<Watched>,
    policy_writer: Writer<DynamicObject>,
    database_writer: Writer<DynamicObject>,
    hold_writer: Writer<DynamicObject>,
    map_writer: Writer<DynamicObject>,
    for_policies: UnboundedReceiver<ObjectRef<DynamicObject>>,
    for_databases: UnboundedReceiver<ObjectRef<DynamicObject>>,
    for_holds: UnboundedReceiver<ObjectRef<DynamicObject>>,
    for_maps: UnboundedReceiver<ObjectRef<DynamicObject>>,
    policies_known: CancellationToken,
    databases_known: CancellationToken,
    holds_known: CancellationToken,
    maps_known: CancellationToken,
    approvals: approvals::Watch,
}

/// Everything that is watched.
pub(super) struct Scopes {
    scopes: Vec<Scope>,
    kinds: Kinds,
}

impl Scopes {
    pub(super) fn new(client: &Client, kinds: &Kinds, namespaces: &[String]) -> (Self, Vec<Watch>) {
        let mut wanted: Vec<Option<String>> = namespaces.iter().cloned().map(Some).collect();
        wanted.sort();
        wanted.dedup();
        if wanted.is_empty() {
            wanted.push(None);
        }
        let mut scopes = Vec::new();
        let mut watches = Vec::new();
        for namespace in wanted {
            let api = |kind: &ApiResource| match &namespace {
                Some(namespace) => Api::namespaced_with(client.clone(), namespace, kind),
                None => Api::all_with(client.clone(), kind),
            };
            let policy_writer = Writer::new(kinds.policy.clone());
            let database_writer = Writer::new(kinds.database.clone());
            let hold_writer = Writer::new(kinds.hold.clone());
            let map_writer = Writer::new(kinds.map.clone());
            let (to_policies, for_policies) = unbounded();
            let (to_databases, for_databases) = unbounded();
            let (to_holds, for_holds) = unbounded();
            let (to_maps, for_maps) = unbounded();
            let (policies, databases) = (api(&kinds.policy), api(&kinds.database));
            let (holds, maps) = (api(&kinds.hold), api(&kinds.map));
            let (policies_known, databases_known) =
                (CancellationToken::new(), CancellationToken::new());
            let (holds_known, maps_known) = (CancellationToken::new(), CancellationToken::new());
            let approvals = approvals::Watch {
                approvals: api(&kinds.approval),
                writer: Writer::new(kinds.approval.clone()),
                known: CancellationToken::new(),
            };
            scopes.push(Scope {
                namespace,
                policies: policy_writer.as_reader(),
                databases: database_writer.as_reader(),
                holds: hold_writer.as_reader(),
                maps: map_writer.as_reader(),
                approvals: approvals.writer.as_reader(),
                to_policies,
                to_databases,
                to_holds,
                to_maps,
                policies_known: policies_known.clone(),
                databases_known: databases_known.clone(),
                holds_known: holds_known.clone(),
                maps_known: maps_known.clone(),
                approvals_known: approvals.known.clone(),
            });
            watches.push(Watch {
                policies,
                databases,
                holds,
                maps,
                policy_writer,
                database_writer,
                hold_writer,
                map_writer,
                for_policies,
                for_databases,
                for_holds,
                for_maps,
                policies_known,
                databases_known,
                holds_known,
                maps_known,
                approvals,
            });
        }
        let kinds = kinds.clone();
        (Self { scopes, kinds }, watches)
    }

    /// Until every object of every scope was seen once.
    ///
    /// Not by `Store::wait_until_ready`: it wakes only the last of several who wait (kube-runtime
    /// 5.0, `DelayedInit`), and the store's own controller is one of them.
    pub(super) async fn wait_until_known(&self) {
        for scope in &self.scopes {
            scope.policies_known.cancelled().await;
            scope.databases_known.cancelled().await;
            scope.holds_known.cancelled().await;
            // So could a duty.
            scope.maps_known.cancelled().await;
            // One that was not seen yet could be a rejection.
            scope.approvals_known.cancelled().await;
        }
    }

    /// All policies that were seen.
    pub(super) fn policies(&self) -> impl Iterator<Item = Arc<DynamicObject>> {
        self.scopes.iter().flat_map(|scope| scope.policies.state())
    }

    /// Whether there is a policy of that name and UID.
    pub(super) fn has_policy(&self, name: &Name, uid: &str) -> bool {
        let reference = object_ref(name, &self.kinds.policy);
        let scope = self.scope(&name.namespace);
        let policy = scope.and_then(|scope| scope.policies.get(&reference));
        policy.is_some_and(|policy| policy.uid().as_deref() == Some(uid))
    }

    /// All databases that were seen.
    fn databases(&self) -> impl Iterator<Item = Arc<DynamicObject>> {
        self.scopes.iter().flat_map(|scope| scope.databases.state())
    }

    /// Whether there is a database of that name and UID.
    pub(super) fn has_database(&self, name: &Name, uid: &str) -> bool {
        let database = self.database(name);
        database.is_some_and(|database| database.uid().as_deref() == Some(uid))
    }

    /// All holds that were seen.
    fn holds(&self) -> impl Iterator<Item = Arc<DynamicObject>> {
        self.scopes.iter().flat_map(|scope| scope.holds.state())
    }

    /// The holds on a database that are in force by the word of their objects.
    pub(super) fn remembered_holds(&self, database: &Name) -> Vec<RememberedHold> {
        let holds = self.holds_on(database).filter(|hold| {
            let has = |path| hold.data.pointer(path).is_some();
            has("/status/acceptedAt") && !has("/status/released")
        });
        holds
            .filter_map(|hold| {
                Some(RememberedHold {
                    uid: hold.uid()?,
                    name: Name::of(&hold).to_string(),
                })
            })
            .collect()
    }

    /// The holds on a database that were released by the word of their objects, each with its table.
    pub(super) fn released_holds(&self, database: &Name) -> Vec<(String, Loosened)> {
        let text = |hold: &DynamicObject, path| {
            let text = hold.data.pointer(path).and_then(Value::as_str);
            text.map(str::to_owned)
        };
        self.holds_on(database)
            .filter_map(|hold| {
                let loosened = Loosened {
                    hold: Name::of(&hold).to_string(),
                    at: text(&hold, "/status/released/at")?.parse().ok()?,
                };
                Some((text(&hold, "/spec/rows/table")?, loosened))
            })
            .collect()
    }

    /// Has the ledger asked for the holds on a database as soon as possible.
    pub(super) fn look_again_at_holds(&self, database: &Name, memory: &Memory) {
        for hold in self.holds_on(database) {
            if let Some(uid) = hold.uid() {
                memory.look_again(&uid);
            }
            self.nudge_hold(&Name::of(&hold));
        }
    }

    fn holds_on(&self, database: &Name) -> impl Iterator<Item = Arc<DynamicObject>> {
        self.holds()
            .filter(move |hold| database_of_hold(hold).as_ref() == Some(database))
    }

    /// All DataMaps that were seen.
    pub(super) fn maps(&self) -> impl Iterator<Item = Arc<DynamicObject>> {
        self.scopes.iter().flat_map(|scope| scope.maps.state())
    }

    /// Has the maps of a database held against it as soon as possible.
    pub(super) fn look_again_at_maps(&self, database: &Name, memory: &Memory) {
        for map in self.maps_on(database) {
            if let Some(uid) = map.uid() {
                memory.look_again(&uid);
            }
        }
        self.nudge_maps(database);
    }

    /// Brings the controller to look at the maps of a database.
    fn nudge_maps(&self, database: &Name) {
        for map in self.maps_on(database) {
            let name = Name::of(&map);
            if let Some(scope) = self.scope(&name.namespace) {
                let map = object_ref(&name, &self.kinds.map);
                let _ = scope.to_maps.unbounded_send(map);
            }
        }
    }

    fn maps_on(&self, database: &Name) -> impl Iterator<Item = Arc<DynamicObject>> {
        self.maps()
            .filter(move |map| database_of(map).as_ref() == Some(database))
    }

    /// Whether there is a hold of that UID.
    pub(super) fn has_hold(&self, uid: &str) -> bool {
        self.holds().any(|hold| hold.uid().as_deref() == Some(uid))
    }

    /// The database of that name.
    pub(super) fn database(&self, name: &Name) -> Option<Arc<DynamicObject>> {
        let reference = object_ref(name, &self.kinds.database);
        self.scope(&name.namespace)?.databases.get(&reference)
    }

    /// The Approvals of a namespace.
    pub(super) fn approvals(&self, namespace: &str) -> impl Iterator<Item = Arc<DynamicObject>> {
        let scope = self.scope(namespace).into_iter();
        let all = scope.flat_map(|scope| scope.approvals.state());
        all.filter(move |approval| approval.metadata.namespace.as_deref() == Some(namespace))
    }

    /// The heads of a ledger's evidence chain that the status of its database and of the policies
    /// remember, sorted.
    pub(super) fn remembered(&self, database: &Name) -> Vec<String> {
        let of = |object: &DynamicObject, path| {
            let head = object.data.pointer(path).and_then(Value::as_str);
            head.map(str::to_owned)
        };
        let policies = self
            .policies()
            .filter(|policy| database_of(policy).as_ref() == Some(database));
        let mut heads: Vec<String> = policies
            .filter_map(|policy| of(&policy, "/status/ledgerHead"))
            .chain(
                self.database(database)
                    .and_then(|object| of(&object, "/status/ledger/head")),
            )
            .collect();
        heads.sort();
        heads.dedup();
        heads
    }

    /// Whether objects of that namespace are seen at all.
    pub(super) fn covers(&self, namespace: &str) -> bool {
        self.scope(namespace).is_some()
    }

    /// Brings the controller to look at a policy.
    pub(super) fn nudge_policy(&self, name: &Name) {
        if let Some(scope) = self.scope(&name.namespace) {
            // Nobody listens once the controller has ended.
            let _ = scope
                .to_policies
                .unbounded_send(object_ref(name, &self.kinds.policy));
        }
    }

    /// Brings the controller to look at a database.
    pub(super) fn nudge_database(&self, name: &Name) {
        if let Some(scope) = self.scope(&name.namespace) {
            let _ = scope
                .to_databases
                .unbounded_send(object_ref(name, &self.kinds.database));
        }
    }

    /// Brings the controller to look at a hold.
    fn nudge_hold(&self, name: &Name) {
        if let Some(scope) = self.scope(&name.namespace) {
            let _ = scope
                .to_holds
                .unbounded_send(object_ref(name, &self.kinds.hold));
        }
    }

    fn scope(&self, namespace: &str) -> Option<&Scope> {
        self.scopes
            .iter()
            .find(|s| s.namespace.as_ref().is_none_or(|n| n == namespace))
    }
}

/// Which database a policy or map is about.
pub(super) fn database_of(object: &DynamicObject) -> Option<Name> {
    referred(object, "/spec/databaseRef")
}

/// Which database a hold is about.
fn database_of_hold(hold: &DynamicObject) -> Option<Name> {
    referred(hold, "/spec/rows/databaseRef")
}

fn referred(object: &DynamicObject, path: &str) -> Option<Name> {
    let reference = object.data.pointer(path)?;
    let name = reference.get("name")?.as_str()?;
    let namespace = reference.get("namespace").and_then(Value::as_str);
    let own = object.metadata.namespace.as_deref()?;
    Some(Name::new(namespace.unwrap_or(own), name))
}

/// Runs the controllers of one scope until the token is cancelled and their reconciles have ended.
pub(super) async fn run(watch: Watch, context: Arc<Context>, stop: CancellationToken) {
    let Watch {
        policies,
        databases,
        holds,
        maps,
        policy_writer,
        database_writer,
        hold_writer,
        map_writer,
        for_policies,
        for_databases,
        for_holds,
        for_maps,
        policies_known,
        databases_known,
        holds_known,
        maps_known,
        approvals,
    } = watch;
    let seeing = context.clone();
    let policies = part(
        Kind::RetentionPolicy,
        policies,
        policy_writer,
        for_policies,
        context.clone(),
        stop.clone(),
        move |event| {
            saw_policy(event, &seeing);
            note_known(event, &policies_known);
        },
    );
    let approving = context.clone();
    let approvals = approvals::run(approvals, &approving, stop.clone());
    let seeing = context.clone();
    let databases = part(
        Kind::TargetDatabase,
        databases,
        database_writer,
        for_databases,
        context.clone(),
        stop.clone(),
        move |event| {
            saw_database(event, &seeing);
            note_known(event, &databases_known);
        },
    );
    let seeing = context.clone();
    let holds = part(
        Kind::LegalHold,
        holds,
        hold_writer,
        for_holds,
        context.clone(),
        stop.clone(),
        move |event| {
            saw_hold(event, &seeing);
            note_known(event, &holds_known);
        },
    );
    let seeing = context.clone();
    let maps = part(
        Kind::DataMap,
        maps,
        map_writer,
        for_maps,
        context,
        stop,
        move |event| {
            saw_map(event, &seeing);
            note_known(event, &maps_known);
        },
    );
    futures::future::join5(policies, databases, holds, maps, approvals).await;
}

pub(super) fn note_known(event: &watcher::Event<DynamicObject>, known: &CancellationToken) {
    if matches!(event, watcher::Event::InitDone) {
        known.cancel();
    }
}

async fn part(
    kind: Kind,
    api: Api<Watched>,
    writer: Writer<DynamicObject>,
    nudges: UnboundedReceiver<ObjectRef<DynamicObject>>,
    context: Arc<Context>,
    stop: CancellationToken,
    saw: impl Fn(&watcher::Event<DynamicObject>) + Send + 'static,
) {
    let resource = match kind {
        Kind::RetentionPolicy => context.kinds.policy.clone(),
        Kind::TargetDatabase => context.kinds.database.clone(),
        Kind::LegalHold => context.kinds.hold.clone(),
        Kind::DataMap => context.kinds.map.clone(),
    };
    let reader = writer.as_reader();
    let changes = changes(&resource.kind, api, writer, saw).applied_objects();
    Controller::for_stream_with(changes, reader, resource)
        .with_config(controller_config())
        .reconcile_on(nudges)
        .graceful_shutdown_on(stop.cancelled_owned())
        .run(
            move |object, context| reconcile(kind, object, context),
            move |object, error, context| after_error(kind, &object, error, &context),
            context,
        )
        .for_each(async |_| {})
        .await;
}

/// A watch that goes on whatever happens; what it brings is in the store before it is shown.
pub(super) fn changes<S>(
    kind: &str,
    api: Api<Watched>,
    writer: Writer<DynamicObject>,
    saw: S,
) -> impl Stream<Item = watcher::Result<watcher::Event<DynamicObject>>> + Send + use<S>
where
    S: Fn(&watcher::Event<DynamicObject>) + Send,
{
    let kind = kind.to_owned();
    watcher(api, watcher::Config::default())
        .map_ok(Watched::plain)
        .default_backoff()
        .modify(|object| {
            // Nobody reads them, and they are half of an object.
            object.managed_fields_mut().clear();
        })
        .reflect(writer)
        .inspect_ok(saw)
        .inspect_err(move |error| {
            // Its text names what was asked for, and the status that was answered; objects are not in it.
            tracing::warn!(
                kind,
                error = watch_problem(error),
                "a watch stumbled; it goes on"
            );
        })
}

fn watch_problem(error: &watcher::Error) -> &'static str {
    match error {
        watcher::Error::InitialListFailed(_) => "the first list failed",
        watcher::Error::WatchStartFailed(_) => "it could not be started",
        watcher::Error::WatchError(_) => "the API server ended it",
        watcher::Error::WatchFailed(_) => "it broke off",
        watcher::Error::NoResourceVersion => "an object came without a version",
    }
}

/// A policy appeared, changed or went.
fn saw_policy(event: &watcher::Event<DynamicObject>, context: &Context) {
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
                let known = context.scopes.database(&database);
                if let Some(uid) = known.and_then(|database| database.uid()) {
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
    let place_of = |name: &Name| {
        let database = context.scopes.database(name)?;
        Some(parse(&database).ok()?.place())
    };
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
fn saw_database(event: &watcher::Event<DynamicObject>, context: &Context) {
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
        context
            .runs
            .stop_where(|ticket| if ticket.database == uid { why } else { None });
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
        context.forget_database(&uid);
    }
}

/// A hold appeared, changed or went. One that went stays in force: its database tells so.
fn saw_hold(event: &watcher::Event<DynamicObject>, context: &Context) {
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
        let database = database_of_hold(hold);
        for policy in context.scopes.policies() {
            if database.is_some() && database_of(&policy) == database {
                context.scopes.nudge_policy(&Name::of(&policy));
            }
        }
    }
    // Not at the start: then all databases are looked at.
    if (new || gone)
        && !matches!(event, watcher::Event::InitApply(_))
        && let Some(database) = database_of_hold(hold)
        && let Some(uid) = context.scopes.database(&database).and_then(|d| d.uid())
    {
        context.look_again_at(&uid, &database);
    }
}

/// A map appeared, changed or went: what its policies may do is another matter now.
fn saw_map(event: &watcher::Event<DynamicObject>, context: &Context) {
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
    context
        .runs
        .stop_where(|ticket| (!exists(&ticket.database)).then_some(StopWhy::Deleted));
    context.memory.forget_databases_unless(exists);
    context.cluster.forget_unless(exists);
    context.metrics.keep_databases(|namespace, name| {
        let name = Name::new(namespace, name);
        context.scopes.database(&name).is_some()
    });
    for policy in context.scopes.policies() {
        if database_of(&policy).is_some_and(|name| context.scopes.database(&name).is_none()) {
            context.scopes.nudge_policy(&Name::of(&policy));
        }
    }
}
