//! The way to the cluster: kubectl's flags, and every call with its failure in one line.
//!
//! Changes are merge patches of what was read, with its `resourceVersion`: who decides from an object
//! must not change another one. Not server-side apply, which would take back what the same manager had
//! applied before (a `suspend`, when it applies a `run-now`).

use std::fmt::Debug;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context, anyhow, bail};
use clap::{Args, ValueHint};
use clap_complete::engine::ArgValueCandidates;
use k8s_openapi::api::authentication::v1::SelfSubjectReview;
use k8s_openapi::{ClusterResourceScope, NamespaceResourceScope};
use kube::api::{ListParams, Patch, PatchParams, PostParams};
use kube::config::{KubeConfigOptions, Kubeconfig, KubeconfigError};
use kube::{Api, Client, Config, Resource};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use super::names;

/// Whose changes these are, as `managedFields` names it.
const MANAGER: &str = "kubectl-oubliette";

/// How long connecting and one answer may take.
const CONNECT: Duration = Duration::from_secs(10);
const ANSWER: Duration = Duration::from_secs(30);

/// How often a change is decided anew because the object has changed meanwhile: an operator at work
/// writes its status every few seconds.
const ATTEMPTS: u32 = 10;

/// Which cluster and namespace, as for kubectl.
#[derive(Clone, Debug, Default, Args)]
pub struct Access {
    /// The kubeconfig file. Default: KUBECONFIG, or ~/.kube/config.
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub kubeconfig: Option<PathBuf>,
    /// The context of the kubeconfig. Default: its current one.
    #[arg(long, value_name = "NAME", add = ArgValueCandidates::new(names::contexts))]
    pub context: Option<String>,
    /// The namespace. Default: the context's.
    #[arg(short, long, add = ArgValueCandidates::new(names::namespaces))]
    pub namespace: Option<String>,
}

impl Access {
    /// A client, and the namespace that is meant.
    pub async fn open(&self) -> anyhow::Result<Cluster> {
        let mut config = self.config().await?;
        config.connect_timeout = Some(CONNECT);
        config.read_timeout = Some(ANSWER);
        config.default_retry = false;
        let namespace = self
            .namespace
            .clone()
            .unwrap_or_else(|| config.default_namespace.clone());
        let client = Client::try_from(config).context("failed to use the kubeconfig")?;
        Ok(Cluster { client, namespace })
    }

    /// The namespace that is meant, also where there is no cluster.
    pub async fn namespace(&self) -> anyhow::Result<String> {
        if let Some(namespace) = &self.namespace {
            return Ok(namespace.clone());
        }
        let asked = self.kubeconfig.is_some() || self.context.is_some();
        match self.config().await {
            Ok(config) => Ok(config.default_namespace),
            Err(error) if asked => Err(error),
            Err(_) => Ok("default".to_owned()),
        }
    }

    /// The kubeconfig, merged as kubectl merges it.
    pub(super) fn kubeconfig(&self) -> anyhow::Result<Kubeconfig> {
        let read = match &self.kubeconfig {
            Some(file) => Kubeconfig::read_from(file),
            None => Kubeconfig::read(),
        };
        read.map_err(|error| unusable(&error))
    }

    async fn config(&self) -> anyhow::Result<Config> {
        // Within a Pod there is no kubeconfig and it need not be named.
        if self.kubeconfig.is_none()
            && self.context.is_none()
            && let Ok(config) = Config::incluster()
        {
            return Ok(config);
        }
        let options = KubeConfigOptions {
            context: self.context.clone(),
            ..KubeConfigOptions::default()
        };
        Config::from_custom_kubeconfig(self.kubeconfig()?, &options)
            .await
            .map_err(|error| unusable(&error))
    }
}

/// A cluster and the namespace that is meant.
pub struct Cluster {
    /// Goes with the rights of whoever asks.
    pub client: Client,
    /// The namespace.
    pub namespace: String,
}

/// A kind that lives in namespaces.
pub trait Kind:
    Resource<DynamicType = (), Scope = NamespaceResourceScope> + Clone + Debug + DeserializeOwned
{
}

impl<K> Kind for K where
    K: Resource<DynamicType = (), Scope = NamespaceResourceScope>
        + Clone
        + Debug
        + DeserializeOwned
{
}

impl Cluster {
    /// An object of the namespace.
    pub async fn get<K: Kind>(&self, name: &str) -> anyhow::Result<K> {
        self.api::<K>()
            .get(name)
            .await
            .map_err(|error| told(error, &format!("get {}", self.named::<K>(name))))
    }

    /// The objects of the namespace, or of all of them.
    pub async fn list<K: Kind>(&self, everywhere: bool) -> anyhow::Result<Vec<K>> {
        let (api, place) = if everywhere {
            (Api::all(self.client.clone()), "all namespaces".to_owned())
        } else {
            (self.api(), format!("namespace {}", self.namespace))
        };
        let list = api.list(&ListParams::default()).await;
        let what = || format!("list the {} of {place}", K::plural(&()));
        Ok(list.map_err(|error| told(error, &what()))?.items)
    }

    /// Changes an object as `decide` says from what it is now; `None` leaves it. Whether it changed.
    pub async fn change<K: Kind>(
        &self,
        name: &str,
        decide: impl Fn(&K) -> anyhow::Result<Option<Value>>,
    ) -> anyhow::Result<bool> {
        let parameters = PatchParams {
            field_manager: Some(MANAGER.to_owned()),
            ..PatchParams::default()
        };
        for _ in 0..ATTEMPTS {
            let object: K = self.get(name).await?;
            let Some(mut patch) = decide(&object)? else {
                return Ok(false);
            };
            patch["metadata"]["resourceVersion"] = json!(object.meta().resource_version);
            let patch = Patch::Merge(patch);
            match self.api::<K>().patch(name, &parameters, &patch).await {
                Ok(_) => return Ok(true),
                Err(kube::Error::Api(status)) if status.is_conflict() => {}
                Err(error) => {
                    return Err(told(error, &format!("change {}", self.named::<K>(name))));
                }
            }
        }
        bail!(
            "failed to change {}: it changed each time before the change arrived; try again",
            self.named::<K>(name)
        )
    }

    /// Creates an object in the namespace.
    pub async fn create<K: Kind + Serialize>(&self, object: &K) -> anyhow::Result<K> {
        self.create_with(&parameters(), object).await
    }

    /// Whether an object could be created; nothing is.
    pub async fn could_create<K: Kind + Serialize>(&self, object: &K) -> anyhow::Result<()> {
        let parameters = PostParams {
            dry_run: true,
            ..parameters()
        };
        self.create_with(&parameters, object).await.map(drop)
    }

    async fn create_with<K: Kind + Serialize>(
        &self,
        parameters: &PostParams,
        object: &K,
    ) -> anyhow::Result<K> {
        let what = || format!("create the {} in {}", K::kind(&()), self.namespace);
        let made = self.api::<K>().create(parameters, object).await;
        made.map_err(|error| told(error, &what()))
    }

    /// The name by which the API server knows whoever asks.
    pub async fn who(&self) -> anyhow::Result<String> {
        let review = self.ask(&SelfSubjectReview::default()).await?;
        review
            .status
            .and_then(|status| status.user_info)
            .and_then(|user| user.username)
            .context("the API server does not say who you are")
    }

    /// Has the API server answer a question of the whole cluster, which is kept nowhere.
    pub async fn ask<K>(&self, question: &K) -> anyhow::Result<K>
    where
        K: Resource<DynamicType = (), Scope = ClusterResourceScope>
            + Clone
            + Debug
            + DeserializeOwned
            + Serialize,
    {
        let api = Api::all(self.client.clone());
        let answer = api.create(&parameters(), question).await;
        answer.map_err(|error| told(error, &format!("ask for a {}", K::kind(&()))))
    }

    fn api<K: Kind>(&self) -> Api<K> {
        Api::namespaced(self.client.clone(), &self.namespace)
    }

    fn named<K: Kind>(&self, name: &str) -> String {
        format!("{} {}/{name}", K::kind(&()), self.namespace)
    }
}

fn parameters() -> PostParams {
    PostParams {
        field_manager: Some(MANAGER.to_owned()),
        ..PostParams::default()
    }
}

/// What is wrong with a kubeconfig. It holds credentials: nothing of its text is repeated.
fn unusable(error: &KubeconfigError) -> anyhow::Error {
    match error {
        KubeconfigError::ReadConfig(source, file) => {
            anyhow!("failed to read the kubeconfig {}: {source}", file.display())
        }
        KubeconfigError::Parse(_) => anyhow!("the kubeconfig is not YAML of a kubeconfig"),
        KubeconfigError::LoadContext(name) => {
            anyhow!("the kubeconfig has no context {name:?}; --context names another one")
        }
        other => anyhow!(
            "the kubeconfig cannot be used: {}",
            one_line(&other.to_string())
        ),
    }
}

/// A call's failure in one line.
fn told(error: kube::Error, what: &str) -> anyhow::Error {
    match error {
        kube::Error::Api(status) if status.is_forbidden() => anyhow!(
            "failed to {what}: {} (reading takes the ClusterRole view, changing policies \
             the chart's RELEASE-edit, databases its RELEASE-databases-edit, approving its \
             RELEASE-approve, requests of persons its RELEASE-dpo, bound in that namespace)",
            one_line(&status.message)
        ),
        // An object that is missing has a reason; a kind that is missing has the server's 404.
        kube::Error::Api(status) if status.is_not_found() && status.message.contains("page") => {
            anyhow!(
                "failed to {what}: the cluster does not know the kind: install the chart, or apply \
                 what `oubliette crd` prints"
            )
        }
        kube::Error::Api(status) => anyhow!("failed to {what}: {}", one_line(&status.message)),
        // The answer cannot be read: nothing of it is repeated.
        kube::Error::SerdeError(_) => anyhow!("failed to {what}: the answer cannot be read"),
        // Each of the errors around the cause repeats it.
        other => {
            let other = anyhow::Error::new(other);
            let cause = one_line(&other.root_cause().to_string());
            anyhow!("failed to {what}: the API server cannot be reached: {cause}")
        }
    }
}

fn one_line(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}
