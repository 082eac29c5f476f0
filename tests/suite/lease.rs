//! Leader election against the real API server: what it accepts, refuses and shows. The order of
//! events in bad weather is tried in `src/lease/tests.rs`, on a clock that can be stopped.

use std::net::SocketAddr;
use std::time::Duration;

use anyhow::{Context, Result, anyhow, bail, ensure};
use k8s_openapi::api::coordination::v1::{Lease, LeaseSpec};
use kube::api::{DeleteParams, Patch, PatchParams};
use kube::config::KubeConfigOptions;
use kube::{Api, Client, Config};
use oubliette::lease::{LeaseError, LeaseSettings, lead};
use serde_json::json;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::oneshot;
use tokio::task::JoinHandle;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

use crate::case::{Case, Needs};
use crate::wait::PATIENCE;
use crate::world::World;

type Body = fn(&World) -> Result<()>;

/// The cases of this file.
pub(crate) fn cases() -> Vec<Case> {
    let bodies: [(&str, Body); 5] = [
        (
            "the_second_candidate_waits_until_the_first_hands_over",
            the_second_candidate_waits_until_the_first_hands_over,
        ),
        (
            "a_stolen_lease_cancels_the_first_holders_token",
            a_stolen_lease_cancels_the_first_holders_token,
        ),
        (
            "a_deleted_lease_is_a_lost_one",
            a_deleted_lease_is_a_lost_one,
        ),
        (
            "a_label_put_on_the_lease_ends_nothing",
            a_label_put_on_the_lease_ends_nothing,
        ),
        (
            "cut_off_from_the_api_server_work_stops_before_another_is_elected",
            cut_off_from_the_api_server_work_stops_before_another_is_elected,
        ),
    ];
    bodies
        .into_iter()
        .map(|(name, body)| Case::new(format!("lease::{name}"), Needs::cluster(), body))
        .collect()
}

const NAME: &str = "oubliette";

/// A configuration for leases: one that does not retry by itself.
async fn config(world: &World) -> Result<Config> {
    let path = &world.control_plane()?.cluster.kubeconfig;
    let kubeconfig = kube::config::Kubeconfig::read_from(path)
        .with_context(|| format!("failed to read {}", path.display()))?;
    let mut config =
        Config::from_custom_kubeconfig(kubeconfig, &KubeConfigOptions::default()).await?;
    config.default_retry = false;
    Ok(config)
}

/// A candidate that works until its token is cancelled.
struct Standing {
    identity: String,
    shutdown: CancellationToken,
    elected: oneshot::Receiver<CancellationToken>,
    ended: JoinHandle<Result<Option<()>, LeaseError>>,
}

impl Standing {
    fn begin(client: Client, namespace: &str, pod: &str) -> Self {
        Self::begin_with(client, LeaseSettings::new(namespace, NAME, pod))
    }

    fn begin_with(client: Client, settings: LeaseSettings) -> Self {
        let identity = settings.identity.clone();
        let shutdown = CancellationToken::new();
        let (tell, elected) = oneshot::channel();
        let told = shutdown.clone();
        let ended = tokio::spawn(async move {
            let work = |token: CancellationToken| async move {
                // Nobody may listen any more: then the case has failed already.
                let _ = tell.send(token.clone());
                token.cancelled().await;
            };
            lead(client, settings, told, |_| {}, work).await
        });
        Self {
            identity,
            shutdown,
            elected,
            ended,
        }
    }

    async fn elected(&mut self) -> Result<CancellationToken> {
        timeout(PATIENCE, &mut self.elected)
            .await
            .with_context(|| format!("{} was not elected", self.identity))?
            .with_context(|| format!("{} ended before it was elected", self.identity))
    }

    async fn ended(self) -> Result<Result<Option<()>, LeaseError>> {
        Ok(timeout(PATIENCE, self.ended)
            .await
            .with_context(|| format!("{} did not end", self.identity))??)
    }
}

async fn spec(api: &Api<Lease>) -> Result<LeaseSpec> {
    api.get(NAME)
        .await?
        .spec
        .ok_or_else(|| anyhow!("the lease has no spec"))
}

fn the_second_candidate_waits_until_the_first_hands_over(world: &World) -> Result<()> {
    let namespace = world.namespace("lease-handover")?.name;
    world.block_on(async {
        let client = Client::try_from(config(world).await?)?;
        let api: Api<Lease> = Api::namespaced(client.clone(), &namespace);

        let mut first = Standing::begin(client.clone(), &namespace, "first");
        let first_token = first.elected().await?;
        let held = spec(&api).await?;
        ensure!(
            held.holder_identity.as_ref() == Some(&first.identity),
            "{held:?}"
        );
        ensure!(held.lease_duration_seconds == Some(15), "{held:?}");
        ensure!(held.lease_transitions == Some(0), "{held:?}");
        ensure!(
            held.acquire_time.is_some() && held.renew_time.is_some(),
            "{held:?}"
        );

        // The second one has looked and waits.
        let (tell, seen) = oneshot::channel();
        let mut tell = Some(tell);
        let waiting = CancellationToken::new();
        let settings = LeaseSettings::new(&namespace, NAME, "waiting");
        let told = waiting.clone();
        let looker = tokio::spawn({
            let client = client.clone();
            let holder_seen = move |holder: &str| {
                if let Some(tell) = tell.take() {
                    let _ = tell.send(holder.to_owned());
                }
            };
            async move { lead(client, settings, told, holder_seen, |_| async {}).await }
        });
        let holder = timeout(PATIENCE, seen).await??;
        ensure!(holder == first.identity, "{holder}");
        waiting.cancel();
        ensure!(
            looker.await??.is_none(),
            "it led although it was told to stop"
        );

        let mut second = Standing::begin(client, &namespace, "second");
        ensure!(
            !first_token.is_cancelled(),
            "the second candidate took the lease"
        );
        first.shutdown.cancel();
        let second_token = second.elected().await?;
        ensure!(first_token.is_cancelled(), "two tokens are live");
        ensure!(
            !second_token.is_cancelled(),
            "the second was cancelled at once"
        );
        ensure!(
            first.ended().await??.is_some(),
            "the first did not return what its work did"
        );
        let held = spec(&api).await?;
        ensure!(
            held.holder_identity.as_ref() == Some(&second.identity),
            "{held:?}"
        );
        ensure!(held.lease_transitions == Some(1), "{held:?}");

        // Released with nobody waiting: the API server accepts a lease without a holder.
        second.shutdown.cancel();
        ensure!(
            second.ended().await??.is_some(),
            "the second did not end in order"
        );
        let released = spec(&api).await?;
        ensure!(released.holder_identity.is_none(), "{released:?}");
        ensure!(released.lease_transitions == Some(1), "{released:?}");
        Ok(())
    })
}

fn a_stolen_lease_cancels_the_first_holders_token(world: &World) -> Result<()> {
    let namespace = world.namespace("lease-stolen")?.name;
    world.block_on(async {
        let client = Client::try_from(config(world).await?)?;
        let api: Api<Lease> = Api::namespaced(client.clone(), &namespace);
        let mut first = Standing::begin(client, &namespace, "first");
        let token = first.elected().await?;
        let theft = json!({"spec": {"holderIdentity": "thief"}});
        api.patch(NAME, &PatchParams::default(), &Patch::Merge(&theft))
            .await?;
        timeout(PATIENCE, token.cancelled())
            .await
            .context("the token stayed live")?;
        match first.ended().await? {
            Err(LeaseError::Lost { holder, .. }) => {
                ensure!(holder.as_deref() == Some("thief"), "{holder:?}");
            }
            other => bail!("{other:?}"),
        }
        let held = spec(&api).await?;
        ensure!(held.holder_identity.as_deref() == Some("thief"), "{held:?}");
        Ok(())
    })
}

fn a_deleted_lease_is_a_lost_one(world: &World) -> Result<()> {
    let namespace = world.namespace("lease-deleted")?.name;
    world.block_on(async {
        let client = Client::try_from(config(world).await?)?;
        let api: Api<Lease> = Api::namespaced(client.clone(), &namespace);
        let mut first = Standing::begin(client, &namespace, "first");
        let token = first.elected().await?;
        api.delete(NAME, &DeleteParams::default()).await?;
        timeout(PATIENCE, token.cancelled())
            .await
            .context("the token stayed live")?;
        let ended = first.ended().await?;
        ensure!(
            matches!(ended, Err(LeaseError::Lost { holder: None, .. })),
            "{ended:?}"
        );
        ensure!(
            api.get_opt(NAME).await?.is_none(),
            "the loser made the lease again"
        );
        Ok(())
    })
}

fn a_label_put_on_the_lease_ends_nothing(world: &World) -> Result<()> {
    let namespace = world.namespace("lease-label")?.name;
    world.block_on(async {
        let client = Client::try_from(config(world).await?)?;
        let api: Api<Lease> = Api::namespaced(client.clone(), &namespace);
        let mut first = Standing::begin(client, &namespace, "first");
        let token = first.elected().await?;
        let label = json!({"metadata": {"labels": {"team": "crm"}}});
        api.patch(NAME, &PatchParams::default(), &Patch::Merge(&label))
            .await?;
        let before = spec(&api).await?.renew_time;
        // It renews over the label, and keeps it.
        let renewed = async {
            loop {
                let lease = api.get(NAME).await?;
                if lease
                    .spec
                    .as_ref()
                    .is_some_and(|spec| spec.renew_time > before)
                {
                    return anyhow::Ok(lease);
                }
                tokio::time::sleep(Duration::from_millis(200)).await;
            }
        };
        let lease = timeout(PATIENCE, renewed)
            .await
            .context("it does not renew")??;
        ensure!(
            lease
                .metadata
                .labels
                .is_some_and(|labels| labels.contains_key("team")),
            "gone"
        );
        ensure!(!token.is_cancelled(), "the token was cancelled");
        first.shutdown.cancel();
        first.ended().await??;
        Ok(())
    })
}

/// A wire to the API server that can be cut: nothing passes any more, and nobody is told.
struct Wire {
    address: SocketAddr,
    cut: CancellationToken,
}

impl Wire {
    async fn to(server: SocketAddr) -> Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let address = listener.local_addr()?;
        let cut = CancellationToken::new();
        let cutting = cut.clone();
        tokio::spawn(async move {
            while let Ok((near, _)) = listener.accept().await {
                tokio::spawn(carry(near, server, cutting.clone()));
            }
        });
        Ok(Self { address, cut })
    }
}

async fn carry(mut near: TcpStream, server: SocketAddr, cut: CancellationToken) {
    let Ok(mut far) = TcpStream::connect(server).await else {
        return;
    };
    tokio::select! {
        _ = tokio::io::copy_bidirectional(&mut near, &mut far) => {}
        // Both ends stay open, and hear nothing.
        () = cut.cancelled() => std::future::pending().await,
    }
}

fn cut_off_from_the_api_server_work_stops_before_another_is_elected(world: &World) -> Result<()> {
    let namespace = world.namespace("lease-cut")?.name;
    world.block_on(async {
        let config = config(world).await?;
        let authority = config.cluster_url.authority().context("no address")?;
        let wire = Wire::to(authority.as_str().parse()?).await?;
        let mut through = config.clone();
        through.cluster_url = format!("https://{}", wire.address).parse()?;

        let settings = |pod| LeaseSettings {
            lease_duration: Duration::from_secs(12),
            renew_deadline: Duration::from_secs(8),
            retry_period: Duration::from_secs(1),
            ..LeaseSettings::new(&namespace, NAME, pod)
        };
        let mut first = Standing::begin_with(Client::try_from(through)?, settings("first"));
        let first_token = first.elected().await?;
        let mut second = Standing::begin_with(Client::try_from(config)?, settings("second"));
        wire.cut.cancel();
        let second_token = second.elected().await?;
        ensure!(first_token.is_cancelled(), "two tokens are live");
        ensure!(
            !second_token.is_cancelled(),
            "the second was cancelled at once"
        );
        let ended = first.ended().await?;
        ensure!(
            matches!(ended, Err(LeaseError::Expired { .. })),
            "{ended:?}"
        );
        second.shutdown.cancel();
        second.ended().await??;
        Ok(())
    })
}
