//! What is watched: all namespaces, or each of some. A scope is one watch of all kinds with what it
//! has seen; everything that asks for "all policies" asks all scopes.

mod requests;
mod seen;

use std::sync::Arc;

use futures::channel::mpsc::{UnboundedReceiver, UnboundedSender, unbounded};
use futures::{Stream, StreamExt, TryStreamExt};
use kube::core::{ApiResource, DynamicObject};
use kube::runtime::reflector::store::Writer;
use kube::runtime::reflector::{ObjectRef, Store};
use kube::runtime::{Controller, WatchStreamExt, watcher};
use kube::{Api, Client, ResourceExt};
use oubliette_core::report::Loosened;
use oubliette_core::target::Place;
use serde_json::Value;
use tokio_util::sync::CancellationToken;

use self::seen::{saw_database, saw_hold, saw_map, saw_policy};
use super::approvals;
use super::erasure_request::{self, Ended};
use super::memory::Memory;
use super::stored::{Shown, Stored, form_of, map_event, object_ref, store};
use super::watched::Watched;
use super::{Context, Kinds, Name, after_error, controller_config, reconcile};
use crate::metrics::Kind;
use crate::work::job::{RememberedHold, RememberedHolds};

/// One watch of all kinds.
pub(super) struct Scope {
    /// `None`: every namespace.
    namespace: Option<String>,
    policies: Store<Stored>,
    databases: Store<Stored>,
    holds: Store<Stored>,
    maps: Store<Stored>,
    /// Those that have not ended.
    requests: Store<Stored>,
    /// The others.
    ended: Arc<Ended>,
    approvals: Store<Stored>,
    to_policies: UnboundedSender<ObjectRef<Stored>>,
    to_databases: UnboundedSender<ObjectRef<Stored>>,
    to_holds: UnboundedSender<ObjectRef<Stored>>,
    to_maps: UnboundedSender<ObjectRef<Stored>>,
    to_requests: UnboundedSender<ObjectRef<Stored>>,
    policies_known: CancellationToken,
    databases_known: CancellationToken,
    holds_known: CancellationToken,
    maps_known: CancellationToken,
    requests_known: CancellationToken,
    approvals_known: CancellationToken,
}

/// The moving parts of a scope, until they run.
pub(super) struct Watch {
    policies: Api<Watched>,
    databases: Api<Watched>,
    holds: Api<Watched>,
    maps: Api<Watched>,
    requests: Api<Watched>,
    ended: Arc<Ended>,
    policy_writer: Writer<Stored>,
    database_writer: Writer<Stored>,
    hold_writer: Writer<Stored>,
    map_writer: Writer<Stored>,
    request_writer: Writer<Stored>,
    for_policies: UnboundedReceiver<ObjectRef<Stored>>,
    for_databases: UnboundedReceiver<ObjectRef<Stored>>,
    for_holds: UnboundedReceiver<ObjectRef<Stored>>,
    for_maps: UnboundedReceiver<ObjectRef<Stored>>,
    for_requests: UnboundedReceiver<ObjectRef<Stored>>,
    policies_known: CancellationToken,
    databases_known: CancellationToken,
    holds_known: CancellationToken,
    maps_known: CancellationToken,
    requests_known: CancellationToken,
    approvals: approvals::Watch,
}

/// The holds on a database that are in force by the word of their objects, whenever they are asked for.
pub(super) fn remembered_holds(scopes: &Arc<Scopes>, database: Name) -> RememberedHolds {
    let scopes = scopes.clone();
    RememberedHolds::by(move || scopes.remembered_holds(&database))
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
            let request_writer = Writer::new(kinds.request.clone());
            let (to_policies, for_policies) = unbounded();
            let (to_databases, for_databases) = unbounded();
            let (to_holds, for_holds) = unbounded();
            let (to_maps, for_maps) = unbounded();
            let (to_requests, for_requests) = unbounded();
            let (policies, databases) = (api(&kinds.policy), api(&kinds.database));
            let (holds, maps) = (api(&kinds.hold), api(&kinds.map));
            let requests = api(&kinds.request);
            let requests_known = CancellationToken::new();
            let ended = Arc::<Ended>::default();
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
                requests: request_writer.as_reader(),
                ended: ended.clone(),
                approvals: approvals.writer.as_reader(),
                to_policies,
                to_databases,
                to_holds,
                to_maps,
                to_requests,
                policies_known: policies_known.clone(),
                databases_known: databases_known.clone(),
                holds_known: holds_known.clone(),
                maps_known: maps_known.clone(),
                requests_known: requests_known.clone(),
                approvals_known: approvals.known.clone(),
            });
            watches.push(Watch {
                policies,
                databases,
                holds,
                maps,
                requests,
                ended,
                policy_writer,
                database_writer,
                hold_writer,
                map_writer,
                request_writer,
                for_policies,
                for_databases,
                for_holds,
                for_maps,
                for_requests,
                policies_known,
                databases_known,
                holds_known,
                maps_known,
                requests_known,
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
            scope.requests_known.cancelled().await;
            // One that was not seen yet could be a rejection.
            scope.approvals_known.cancelled().await;
        }
    }

    /// All policies that were seen.
    pub(super) fn policies(&self) -> impl Iterator<Item = Arc<DynamicObject>> {
        self.scopes
            .iter()
            .flat_map(|scope| objects(&scope.policies))
    }

    /// Whether there is a policy of that name and UID.
    pub(super) fn has_policy(&self, name: &Name, uid: &str) -> bool {
        let reference = object_ref(name, &self.kinds.policy);
        let scope = self.scope(&name.namespace);
        let policy = scope.and_then(|scope| scope.policies.get(&reference));
        policy.is_some_and(|policy| policy.uid().as_deref() == Some(uid))
    }

    /// All databases that were seen.
    pub(super) fn databases(&self) -> impl Iterator<Item = Arc<Stored>> {
        self.scopes.iter().flat_map(|scope| scope.databases.state())
    }

    /// Whether there is a database of that name and UID.
    pub(super) fn has_database(&self, name: &Name, uid: &str) -> bool {
        self.database_uid(name).as_deref() == Some(uid)
    }

    /// The UID of the database of that name, where there is one.
    pub(super) fn database_uid(&self, name: &Name) -> Option<String> {
        self.stored_database(name)?.uid()
    }

    /// All holds that were seen.
    fn holds(&self) -> impl Iterator<Item = Arc<DynamicObject>> {
        self.scopes.iter().flat_map(|scope| objects(&scope.holds))
    }

    /// The holds on a database that are in force now by the word of their objects.
    fn remembered_holds(&self, database: &Name) -> Vec<RememberedHold> {
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

    /// The holds on a database that were released by the word of their objects, each with its table;
    /// `None`: it was on a person, and may have been about any.
    pub(super) fn released_holds(&self, database: &Name) -> Vec<(Option<String>, Loosened)> {
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
                Some((text(&hold, "/spec/rows/table"), loosened))
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

    /// Has every held person looked for as soon as possible, because maps lead elsewhere than before.
    fn search_again_for_held(&self, memory: &Memory) {
        let on_persons = |hold: &Arc<DynamicObject>| hold.data.pointer("/spec/subject").is_some();
        for hold in self.holds().filter(on_persons) {
            if let Some(uid) = hold.uid() {
                memory.search_again(&uid);
            }
            self.nudge_hold(&Name::of(&hold));
        }
    }

    fn holds_on(&self, database: &Name) -> impl Iterator<Item = Arc<DynamicObject>> {
        self.holds()
            .filter(move |hold| databases_of_hold(hold).contains(database))
    }

    /// All DataMaps that were seen.
    pub(super) fn maps(&self) -> impl Iterator<Item = Arc<DynamicObject>> {
        self.scopes.iter().flat_map(|scope| objects(&scope.maps))
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

    /// The hold of that name.
    pub(super) fn hold(&self, name: &Name) -> Option<Arc<DynamicObject>> {
        let reference = object_ref(name, &self.kinds.hold);
        let stored = self.scope(&name.namespace)?.holds.get(&reference)?;
        Some(stored.object())
    }

    /// The database of that name.
    pub(super) fn database(&self, name: &Name) -> Option<Arc<DynamicObject>> {
        Some(self.stored_database(name)?.object())
    }

    /// Where the database of that name is.
    pub(super) fn place_of(&self, name: &Name) -> Option<Place> {
        self.stored_database(name)?.place().cloned()
    }

    /// The same, before it is read.
    pub(super) fn stored_database(&self, name: &Name) -> Option<Arc<Stored>> {
        let reference = object_ref(name, &self.kinds.database);
        self.scope(&name.namespace)?.databases.get(&reference)
    }

    /// The Approvals of a namespace.
    pub(super) fn approvals(&self, namespace: &str) -> impl Iterator<Item = Arc<DynamicObject>> {
        let scope = self.scope(namespace).into_iter();
        let all = scope.flat_map(|scope| objects(&scope.approvals));
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
        let here = database.to_string();
        self.each_request(|request| heads.extend(request.of.heads(&here)));
        heads.sort();
        heads.dedup();
        heads
    }

    /// Whether a database, by namespace and name, was restored to an instant before erasures that are not
    /// applied again yet.
    pub(super) fn is_restored(&self, database: &str) -> bool {
        let name = database.split_once('/');
        let name = name.map(|(namespace, name)| Name::new(namespace, name));
        let stored = name.and_then(|name| self.stored_database(&name));
        stored.is_some_and(|stored| stored.is_restored())
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

fn objects(store: &Store<Stored>) -> impl Iterator<Item = Arc<DynamicObject>> + use<> {
    store.state().into_iter().map(|stored| stored.object())
}

/// Which database a policy or map is about.
pub(super) fn database_of(object: &DynamicObject) -> Option<Name> {
    referred(object, "/spec/databaseRef")
}

/// Which databases a hold is about: that of its rows, or those that know the person.
fn databases_of_hold(hold: &DynamicObject) -> Vec<Name> {
    let known = hold.data.pointer("/status/databases");
    let known = known.and_then(Value::as_array).into_iter().flatten();
    let known = known.filter_map(|name| name.as_str()?.split_once('/'));
    let known = known.map(|(namespace, name)| Name::new(namespace, name));
    let of_rows = referred(hold, "/spec/rows/databaseRef");
    of_rows.into_iter().chain(known).collect()
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
        requests,
        ended,
        policy_writer,
        database_writer,
        hold_writer,
        map_writer,
        request_writer,
        for_policies,
        for_databases,
        for_holds,
        for_maps,
        for_requests,
        policies_known,
        databases_known,
        holds_known,
        maps_known,
        requests_known,
        approvals,
    } = watch;
    let seeing = context.clone();
    let policies = part(
        Kind::RetentionPolicy,
        (policies, policy_writer),
        for_policies,
        context.clone(),
        stop.clone(),
        Some,
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
        (databases, database_writer),
        for_databases,
        context.clone(),
        stop.clone(),
        Some,
        move |event| {
            saw_database(event, &seeing);
            note_known(event, &databases_known);
        },
    );
    let seeing = context.clone();
    let holds = part(
        Kind::LegalHold,
        (holds, hold_writer),
        for_holds,
        context.clone(),
        stop.clone(),
        Some,
        move |event| {
            saw_hold(event, &seeing);
            note_known(event, &holds_known);
        },
    );
    let seeing = context.clone();
    let maps = part(
        Kind::DataMap,
        (maps, map_writer),
        for_maps,
        context.clone(),
        stop.clone(),
        Some,
        move |event| {
            saw_map(event, &seeing);
            note_known(event, &maps_known);
        },
    );
    let (seeing, sorting) = (context.clone(), context.clone());
    let sorted = ended.clone();
    let requests = part(
        Kind::ErasureRequest,
        (requests, request_writer),
        for_requests,
        context,
        stop,
        move |event| sorted.before(event, &sorting),
        move |event| {
            ended.after(event);
            erasure_request::saw(event, &seeing);
            note_known(event, &requests_known);
        },
    );
    let all = futures::future::join5(policies, databases, holds, maps, approvals);
    futures::future::join(all, requests).await;
}

pub(super) fn note_known(event: &Shown, known: &CancellationToken) {
    if matches!(event, watcher::Event::InitDone) {
        known.cancel();
    }
}

async fn part(
    kind: Kind,
    (api, writer): (Api<Watched>, Writer<Stored>),
    nudges: UnboundedReceiver<ObjectRef<Stored>>,
    context: Arc<Context>,
    stop: CancellationToken,
    sort: impl Fn(watcher::Event<DynamicObject>) -> Option<watcher::Event<DynamicObject>>
    + Send
    + 'static,
    saw: impl Fn(&Shown) + Send + 'static,
) {
    let resource = match kind {
        Kind::RetentionPolicy => context.kinds.policy.clone(),
        Kind::TargetDatabase => context.kinds.database.clone(),
        Kind::LegalHold => context.kinds.hold.clone(),
        Kind::DataMap => context.kinds.map.clone(),
        Kind::ErasureRequest => context.kinds.request.clone(),
    };
    let reader = writer.as_reader();
    let form = form_of(kind);
    let changes = changes(&resource.kind, api, sort, form, writer, saw).applied_objects();
    Controller::for_stream_with(changes, reader, resource)
        .with_config(controller_config())
        .reconcile_on(nudges)
        .graceful_shutdown_on(stop.cancelled_owned())
        .run(
            move |object, context| reconcile(kind, object.object(), context),
            move |object, error, context| after_error(kind, &object.name(), error, &context),
            context,
        )
        .for_each(async |_| {})
        .await;
}

/// Objects that a list brings at once. A page is held several times while it is read, as text and as what
/// becomes of it: of 500 objects that was most of the heap beside 2,000 requests.
const PAGE: u32 = 50;

/// A watch that goes on whatever happens; what it brings, as far as it is `sort`ed there, is in the store
/// before it is shown.
pub(super) fn changes<F, S>(
    kind: &str,
    api: Api<Watched>,
    sort: F,
    form: fn(&Arc<DynamicObject>) -> Stored,
    mut writer: Writer<Stored>,
    saw: S,
) -> impl Stream<Item = watcher::Result<watcher::Event<Stored>>> + Send + use<F, S>
where
    F: Fn(watcher::Event<DynamicObject>) -> Option<watcher::Event<DynamicObject>> + Send,
    S: Fn(&Shown) + Send,
{
    let kind = kind.to_owned();
    watcher(api, watcher::Config::default().page_size(PAGE))
        .map_ok(|event| map_event(event, Watched::read))
        .default_backoff()
        .filter_map(move |event| std::future::ready(event.map(&sort).transpose()))
        .map_ok(move |event| store(event, form, &mut writer, &saw))
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
