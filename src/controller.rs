//! The operator's loop: watches all kinds, asks `oubliette_core::decide` what to do, does it and
//! writes the status. A reconcile is gather, decide, do; what takes long is a job of its own.
//!
//! It owns what is remembered between two looks (nothing that a restart may not forget) and who is
//! told of what. It must not judge: every decision is in core.

mod alone;
mod approvals;
mod conflicts;
mod coverage;
mod data_map;
mod erasure_request;
mod jobs;
mod legal_hold;
mod memory;
mod persons;
mod read;
mod record;
mod retention_policy;
mod runs;
mod scope;
mod stored;
mod target_database;
mod watched;

use std::sync::Arc;
use std::time::Duration;

use futures::{StreamExt, stream};
use kube::Client;
use kube::core::{ApiResource, DynamicObject, GroupVersionKind, ObjectMeta};
use kube::runtime::Config;
use kube::runtime::controller::Action;
use kube::runtime::events::Reporter;
use oubliette_core::api::reason::Reason;
use oubliette_core::decide::job::StopWhy;
use oubliette_core::erasure::SuppressionKeys;
use oubliette_core::erasure::outcome::RequestOutcome;
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;

use self::alone::Alone;
use self::erasure_request::Duplicates;
use self::memory::Memory;
use self::persons::Persons;
use self::runs::Runs;
use self::scope::Scopes;
use crate::inputs::cluster::Cluster;
use crate::metrics::{Kind, Metrics};
use crate::resource::bounds;
use crate::serve::Outside;
use crate::signing::SigningKey;
use crate::telemetry::contained;
use crate::work::erase::Turns;

/// Who owns our fields in server-side apply, and who reports our events.
const MANAGER: &str = "oubliette";

/// After an error of the API server, or a panic, it is looked at again.
const AFTER_ERROR: Duration = Duration::from_secs(5);

/// Reconciles of one kind at once. They do not wait for databases, except the looks at them.
const AT_ONCE: u16 = 16;

/// How the operator is set up.
#[derive(Clone, Debug)]
pub struct Settings {
    /// The namespaces to serve; all, when empty.
    pub namespaces: Vec<String>,
    /// Jobs at once, over all databases.
    pub jobs: usize,
    /// Who reports events.
    pub identity: String,
    /// What the platform has set for requests of persons.
    pub platform: Arc<oubliette_core::settings::Settings>,
    /// With which certificates are signed; `None`: they are not.
    pub signing: Option<Arc<SigningKey>>,
    /// With which identifiers of erased persons are digested; `None`: they are not.
    pub suppression: Option<Arc<SuppressionKeys>>,
}

/// A namespaced object's name.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Name {
    pub(crate) namespace: String,
    pub(crate) name: String,
}

impl Name {
    pub(crate) fn new(namespace: impl Into<String>, name: impl Into<String>) -> Self {
        Self {
            namespace: namespace.into(),
            name: name.into(),
        }
    }

    fn of(object: &DynamicObject) -> Self {
        Self::of_metadata(&object.metadata)
    }

    fn of_metadata(metadata: &ObjectMeta) -> Self {
        Self::new(
            metadata.namespace.clone().unwrap_or_default(),
            metadata.name.clone().unwrap_or_default(),
        )
    }
}

impl std::fmt::Display for Name {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}/{}", self.namespace, self.name)
    }
}

/// The kinds as objects without a type: one that does not decode must not stop the watch of all.
#[derive(Clone, Debug)]
struct Kinds {
    policy: Arc<ApiResource>,
    database: Arc<ApiResource>,
    approval: Arc<ApiResource>,
    hold: Arc<ApiResource>,
    map: Arc<ApiResource>,
    request: Arc<ApiResource>,
    plan: Arc<ApiResource>,
}

impl Kinds {
    fn new() -> Self {
        let of = |kind, plural| {
            let gvk = GroupVersionKind::gvk("oubliette.dev", "v1alpha1", kind);
            Arc::new(ApiResource::from_gvk_with_plural(&gvk, plural))
        };
        Self {
            policy: of("RetentionPolicy", "retentionpolicies"),
            database: of("TargetDatabase", "targetdatabases"),
            approval: of("Approval", "approvals"),
            hold: of("LegalHold", "legalholds"),
            map: of("DataMap", "datamaps"),
            request: of("ErasureRequest", "erasurerequests"),
            plan: of("ErasurePlan", "erasureplans"),
        }
    }
}

/// What every reconcile may use.
struct Context {
    client: Client,
    kinds: Kinds,
    cluster: Cluster,
    runs: Runs,
    /// The jobs of requests, by the same rules.
    erasures: Runs<RequestOutcome>,
    /// In which so many of them work at once, or together.
    turns: Turns,
    memory: Memory,
    persons: Persons,
    duplicates: Duplicates,
    /// Looks at requests under way.
    alone: Alone,
    scopes: Arc<Scopes>,
    metrics: Metrics,
    reporter: Reporter,
    stop: CancellationToken,
    /// What the platform has set for requests of persons.
    platform: Arc<oubliette_core::settings::Settings>,
    /// With which certificates are signed.
    signing: Option<Arc<SigningKey>>,
    /// With which identifiers of erased persons are digested.
    suppression: Option<Arc<SuppressionKeys>>,
}

impl Context {
    /// Has a database looked at as soon as possible, whatever is known of it.
    fn look_again_at(&self, uid: &str, database: &Name) {
        self.memory.look_again(uid);
        self.scopes.nudge_database(database);
    }

    /// Lets go of what is held of a database that is gone, its credentials first of all.
    fn forget_database(&self, uid: &str) {
        self.cluster.forget(uid);
        self.memory.forget(uid);
    }

    /// The same, after work that may have connected again while the database went.
    fn forget_database_if_gone(&self, database: &Name, uid: &str) {
        if !self.scopes.has_database(database, uid) {
            self.forget_database(uid);
        }
    }
}

/// Why a reconcile came to no end. It is tried again.
#[derive(Debug, thiserror::Error)]
enum Error {
    /// The API server did not take the status.
    #[error(transparent)]
    Record(#[from] record::RecordFault),
    /// The program made an error of its own.
    #[error(transparent)]
    Panicked(#[from] crate::telemetry::Panicked),
}

/// Runs until the token is cancelled, and until every job has come to a stop after that. `why` says,
/// at that moment, what the jobs are to be told.
///
/// The readiness gate `watches` is closed until all objects are known.
pub async fn run(
    client: Client,
    settings: Settings,
    outside: Outside,
    stop: CancellationToken,
    why: impl FnOnce() -> StopWhy,
) {
    let watching = outside.gates.require("watches");
    watching.close();
    bounds::prepare();
    let kinds = Kinds::new();
    let (runs, nudged) = Runs::new(settings.jobs);
    // Requests wait for their turn where those that wait can be carried out together.
    let (erasures, nudged_requests) = Runs::new(Semaphore::MAX_PERMITS);
    let (scopes, watches) = Scopes::new(&client, &kinds, &settings.namespaces);
    let context = Arc::new(Context {
        client: client.clone(),
        kinds,
        cluster: Cluster::new(client),
        runs: runs.clone(),
        erasures: erasures.clone(),
        turns: Turns::new(settings.jobs),
        memory: Memory::default(),
        persons: Persons::default(),
        duplicates: Duplicates::default(),
        alone: Alone::default(),
        scopes: Arc::new(scopes),
        metrics: outside.metrics,
        reporter: Reporter {
            controller: MANAGER.to_owned(),
            instance: Some(settings.identity),
        },
        stop: stop.clone(),
        platform: settings.platform,
        signing: settings.signing,
        suppression: settings.suppression,
    });
    let routing = {
        let (policies, requests) = (context.clone(), context.clone());
        let policies = route(nudged, move |name| policies.scopes.nudge_policy(name));
        let requests = route(nudged_requests, move |name| {
            requests.scopes.nudge_request(name);
        });
        futures::future::join(policies, requests)
    };
    let ready = async {
        context.scopes.wait_until_known().await;
        tracing::info!("all objects are known");
        watching.open();
        std::future::pending::<()>().await;
    };
    let controllers = watches
        .into_iter()
        .map(|watch| scope::run(watch, context.clone(), stop.clone()));
    let controllers = futures::future::join_all(controllers);
    let stopped = async {
        stop.cancelled().await;
        // At once, not when the reconciles have ended: a lease may be running out.
        let why = why();
        futures::future::join(runs.close(why), erasures.close(why)).await;
    };
    tokio::select! {
        _ = futures::future::join(controllers, stopped) => {}
        _ = routing => {}
        () = persons::run(&context) => {}
        () = context.scopes.run_ended(&context) => {}
        () = ready => {}
    }
}

/// Brings what was nudged to the controller that has it.
async fn route(nudged: tokio::sync::mpsc::UnboundedReceiver<Name>, nudge: impl Fn(&Name)) {
    let names = stream::unfold(nudged, async |mut nudged| {
        nudged.recv().await.map(|name| (name, nudged))
    });
    names.for_each(async |name| nudge(&name)).await;
    std::future::pending::<()>().await;
}

/// One reconcile, its failures logged and contained.
async fn reconcile(
    kind: Kind,
    object: Arc<DynamicObject>,
    context: Arc<Context>,
) -> Result<Action, Error> {
    context.metrics.reconciled(kind);
    let work = async {
        match kind {
            Kind::RetentionPolicy => Box::pin(retention_policy::reconcile(object, &context)).await,
            Kind::TargetDatabase => Box::pin(target_database::reconcile(object, &context)).await,
            Kind::LegalHold => Box::pin(legal_hold::reconcile(object, &context)).await,
            Kind::DataMap => Box::pin(data_map::reconcile(object, &context)).await,
            Kind::ErasureRequest => Box::pin(erasure_request::reconcile(object, &context)).await,
        }
    };
    contained(work).await?
}

impl Error {
    /// The reason under which it is counted.
    fn reason(&self) -> Reason {
        match self {
            Self::Record(record::RecordFault::Silent) => Reason::Unreachable,
            Self::Record(_) | Self::Panicked(_) => Reason::InternalError,
        }
    }
}

fn after_error(kind: Kind, name: &Name, error: &Error, context: &Context) -> Action {
    context.metrics.failed(kind, error.reason());
    tracing::warn!(%name, ?kind, %error, "failed to reconcile; it is tried again");
    let jitter: f64 = rand::random();
    Action::requeue(AFTER_ERROR.mul_f64(1.0 + jitter))
}

fn controller_config() -> Config {
    // Two changes of one object at once are one look.
    Config::default()
        .concurrency(AT_ONCE)
        .debounce(Duration::from_millis(50))
}
