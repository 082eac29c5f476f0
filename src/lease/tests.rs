//! Elections against the API server of `fake`, on tokio's paused clock.

use std::cell::Cell;
use std::sync::{Arc, Mutex};

use kube::Client;
use proptest::prelude::*;
use proptest::test_runner::TestRunner;
use tokio::sync::oneshot;

use super::fake::{Server, Weather};
use super::*;

fn settings(identity: &str) -> LeaseSettings {
    LeaseSettings {
        identity: identity.to_owned(),
        ..LeaseSettings::new("oubliette", "oubliette-operator", "pod")
    }
}

fn seconds(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

/// A candidate that works until its token is cancelled, and what can be seen of it.
struct Standing {
    shutdown: CancellationToken,
    elected: oneshot::Receiver<(Instant, CancellationToken)>,
    ended: tokio::task::JoinHandle<Result<Option<Instant>, LeaseError>>,
}

/// Starts a candidate whose work takes `winding_down` to end after its cancellation, and tells
/// when it was cancelled.
fn stand(client: Client, identity: &str, winding_down: Duration) -> Standing {
    let shutdown = CancellationToken::new();
    let (tell, elected) = oneshot::channel();
    let told = shutdown.clone();
    let settings = settings(identity);
    let ended = tokio::spawn(async move {
        lead(
            client,
            settings,
            told,
            |_| {},
            |token| async move {
                let _ = tell.send((Instant::now(), token.clone()));
                token.cancelled().await;
                let cancelled = Instant::now();
                sleep(winding_down).await;
                cancelled
            },
        )
        .await
    });
    Standing {
        shutdown,
        elected,
        ended,
    }
}

#[tokio::test(start_paused = true)]
async fn the_first_candidate_makes_the_lease_and_leads_at_once() {
    let server = Server::default();
    let begun = Instant::now();
    let first = stand(server.client(), "a", Duration::ZERO);
    let (elected, token) = first.elected.await.unwrap();
    assert_eq!(elected, begun);
    assert!(!token.is_cancelled());
    let spec = server.spec();
    assert_eq!(spec.holder_identity.as_deref(), Some("a"));
    assert_eq!(spec.lease_duration_seconds, Some(15));
    assert_eq!(spec.lease_transitions, Some(0));
    assert!(spec.acquire_time.is_some());
}

#[tokio::test(start_paused = true)]
async fn the_second_candidate_waits_until_the_first_shuts_down() {
    let server = Server::default();
    let first = stand(server.client(), "a", Duration::ZERO);
    let (_, first_token) = first.elected.await.unwrap();
    let mut second = stand(server.client(), "b", Duration::ZERO);
    sleep(seconds(600)).await;
    assert!(second.elected.try_recv().is_err());
    assert!(!first_token.is_cancelled());

    let asked = Instant::now();
    first.shutdown.cancel();
    assert!(matches!(first.ended.await.unwrap(), Ok(Some(_))));
    let (elected, _) = second.elected.await.unwrap();
    // Released: one retry with its spread, and not the lease's duration.
    assert!(elected - asked <= seconds(3));
    assert_eq!(server.spec().lease_transitions, Some(1));
}

#[tokio::test(start_paused = true)]
async fn the_lease_is_kept_while_the_work_winds_down() {
    let server = Server::default();
    let first = stand(server.client(), "a", seconds(60));
    first.elected.await.unwrap();
    let second = stand(server.client(), "b", Duration::ZERO);
    let asked = Instant::now();
    first.shutdown.cancel();
    assert_eq!(first.ended.await.unwrap().unwrap(), Some(asked));
    let (elected, _) = second.elected.await.unwrap();
    assert!(elected - asked >= seconds(60));
}

#[tokio::test(start_paused = true)]
async fn a_leader_that_is_killed_is_followed_when_its_lease_has_run_out() {
    let server = Server::default();
    let first = stand(server.client(), "a", Duration::ZERO);
    let (_, token) = first.elected.await.unwrap();
    let second = stand(server.client(), "b", Duration::ZERO);
    sleep(seconds(100)).await;
    let killed = Instant::now();
    first.ended.abort();
    let (elected, _) = second.elected.await.unwrap();
    assert!(token.is_cancelled());
    // The last renewal was up to a retry period before, and seen up to one after.
    let waited = elected - killed;
    assert!(seconds(13) <= waited && waited <= seconds(21), "{waited:?}");
}

#[tokio::test(start_paused = true)]
async fn a_stolen_lease_cancels_the_token_and_names_the_thief() {
    let server = Server::default();
    let first = stand(server.client(), "a", Duration::ZERO);
    let (_, token) = first.elected.await.unwrap();
    sleep(seconds(5)).await;
    let stolen = Instant::now();
    server.edit(|lease| {
        let spec = lease.as_mut().unwrap().spec.as_mut().unwrap();
        spec.holder_identity = Some("thief".to_owned());
    });
    token.cancelled().await;
    assert!(stolen.elapsed() <= seconds(2));
    match first.ended.await.unwrap() {
        Err(LeaseError::Lost { holder, .. }) => assert_eq!(holder.as_deref(), Some("thief")),
        other => panic!("{other:?}"),
    }
    assert_eq!(server.holder().as_deref(), Some("thief"));
}

#[tokio::test(start_paused = true)]
async fn a_deleted_lease_is_a_lost_one() {
    let server = Server::default();
    let first = stand(server.client(), "a", Duration::ZERO);
    let (_, token) = first.elected.await.unwrap();
    server.edit(|lease| *lease = None);
    token.cancelled().await;
    let error = first.ended.await.unwrap().unwrap_err();
    assert!(
        matches!(error, LeaseError::Lost { holder: None, .. }),
        "{error}"
    );
}

#[tokio::test(start_paused = true)]
async fn a_label_put_on_the_lease_does_not_end_the_leadership() {
    let server = Server::default();
    let first = stand(server.client(), "a", Duration::ZERO);
    let (_, token) = first.elected.await.unwrap();
    for _ in 0..10 {
        sleep(seconds(3)).await;
        server.edit(|lease| {
            let labels = &mut lease.as_mut().unwrap().metadata.labels;
            labels
                .get_or_insert_default()
                .insert("team".to_owned(), "crm".to_owned());
        });
    }
    assert!(!token.is_cancelled());
    let labels = server
        .lease
        .lock()
        .unwrap()
        .clone()
        .unwrap()
        .metadata
        .labels;
    assert!(labels.unwrap().contains_key("team"));
}

#[tokio::test(start_paused = true)]
async fn an_api_server_that_hangs_stops_the_work_before_the_lease_runs_out() {
    let server = Server::default();
    let (client, forecast) = server.client_in(Weather::default);
    let first = stand(client, "a", seconds(4));
    let (elected, token) = first.elected.await.unwrap();
    *forecast.lock().unwrap() = Box::new(|| Weather {
        lost: true,
        ..Weather::default()
    });
    token.cancelled().await;
    // The request that hangs was sent two seconds after the last that succeeded.
    assert_eq!(elected.elapsed(), seconds(10));
    let error = first.ended.await.unwrap().unwrap_err();
    assert!(
        error.to_string().contains("did not answer in time"),
        "{error}"
    );
    // The work had its four seconds, which are within the lease.
    assert_eq!(elected.elapsed(), seconds(14));
}

#[tokio::test(start_paused = true)]
async fn work_that_does_not_end_is_dropped_when_others_may_take_over() {
    let server = Server::default();
    let (client, forecast) = server.client_in(Weather::default);
    let first = stand(client, "a", seconds(3600));
    let (elected, _) = first.elected.await.unwrap();
    *forecast.lock().unwrap() = Box::new(|| Weather {
        refused: true,
        ..Weather::default()
    });
    assert!(matches!(
        first.ended.await.unwrap(),
        Err(LeaseError::Expired { .. })
    ));
    assert_eq!(elected.elapsed(), seconds(15));
}

#[tokio::test(start_paused = true)]
async fn an_outage_shorter_than_the_deadline_is_survived() {
    let server = Server::default();
    let (client, forecast) = server.client_in(Weather::default);
    let first = stand(client, "a", Duration::ZERO);
    let (_, token) = first.elected.await.unwrap();
    let mut second = stand(server.client(), "b", Duration::ZERO);
    for _ in 0..5 {
        *forecast.lock().unwrap() = Box::new(|| Weather {
            refused: true,
            ..Weather::default()
        });
        sleep(seconds(5)).await;
        *forecast.lock().unwrap() = Box::new(Weather::default);
        sleep(seconds(30)).await;
    }
    assert!(!token.is_cancelled());
    assert!(second.elected.try_recv().is_err());
}

#[tokio::test(start_paused = true)]
async fn a_lost_answer_to_the_first_write_is_settled_by_looking_again() {
    let server = Server::default();
    let mut requests = 0;
    let (client, _) = server.client_in(move || {
        requests += 1;
        // Look, and write: the answer to the write is lost.
        Weather {
            lost: requests == 2,
            ..Weather::default()
        }
    });
    let begun = Instant::now();
    let first = stand(client, "a", Duration::ZERO);
    let (elected, _) = first.elected.await.unwrap();
    assert!(elected - begun <= seconds(8));
    assert_eq!(server.spec().lease_transitions, Some(0));
}

#[tokio::test(start_paused = true)]
async fn a_lost_answer_to_a_renewal_is_settled_too() {
    let server = Server::default();
    let mut requests = 0;
    let (client, _) = server.client_in(move || {
        requests += 1;
        Weather {
            lost: requests > 2 && requests % 5 == 0,
            ..Weather::default()
        }
    });
    let first = stand(client, "a", Duration::ZERO);
    let (_, token) = first.elected.await.unwrap();
    sleep(seconds(300)).await;
    assert!(!token.is_cancelled());
}

#[tokio::test(start_paused = true)]
async fn an_answer_that_comes_after_the_deadline_is_not_believed() {
    // As after SIGSTOP: the renewal was applied, and this process hears of it much later.
    let server = Server::default();
    let (client, forecast) = server.client_in(Weather::default);
    let first = stand(client, "a", Duration::ZERO);
    let (elected, token) = first.elected.await.unwrap();
    *forecast.lock().unwrap() = Box::new(|| Weather {
        back: seconds(60),
        ..Weather::default()
    });
    token.cancelled().await;
    assert_eq!(elected.elapsed(), seconds(10));
}

#[tokio::test(start_paused = true)]
async fn the_deadline_counts_from_the_sending_and_not_from_the_answer() {
    let server = Server::default();
    let mut requests = 0;
    let (client, _) = server.client_in(move || {
        requests += 1;
        match requests {
            // The look, the write, and one renewal that is sent after two seconds.
            1 | 2 => Weather::default(),
            3 => Weather {
                back: seconds(3),
                ..Weather::default()
            },
            _ => Weather {
                lost: true,
                ..Weather::default()
            },
        }
    });
    let first = stand(client, "a", Duration::ZERO);
    let (elected, token) = first.elected.await.unwrap();
    token.cancelled().await;
    assert_eq!(elected.elapsed(), seconds(12));
}

#[tokio::test(start_paused = true)]
async fn a_write_that_arrives_after_a_takeover_changes_nothing() {
    let server = Server::default();
    let (client, forecast) = server.client_in(Weather::default);
    let first = stand(client, "a", Duration::ZERO);
    first.elected.await.unwrap();
    let second = stand(server.client(), "b", Duration::ZERO);
    *forecast.lock().unwrap() = Box::new(|| Weather {
        there: seconds(40),
        ..Weather::default()
    });
    let (_, second_token) = second.elected.await.unwrap();
    sleep(seconds(120)).await;
    assert_eq!(server.holder().as_deref(), Some("b"));
    assert!(!second_token.is_cancelled());
    assert!(first.ended.await.unwrap().is_err());
}

#[tokio::test(start_paused = true)]
async fn work_that_returns_by_itself_gives_the_lease_back() {
    let server = Server::default();
    let output = lead(
        server.client(),
        settings("a"),
        CancellationToken::new(),
        |_| {},
        |_| async { 42 },
    )
    .await;
    assert_eq!(output.unwrap(), Some(42));
    assert_eq!(server.holder(), None);
    assert_eq!(server.spec().lease_duration_seconds, Some(1));
}

#[tokio::test(start_paused = true)]
async fn told_to_shut_down_while_waiting_it_leaves_the_lease_alone() {
    let server = Server::default();
    let first = stand(server.client(), "a", Duration::ZERO);
    first.elected.await.unwrap();
    let second = stand(server.client(), "b", Duration::ZERO);
    sleep(seconds(30)).await;
    second.shutdown.cancel();
    assert!(matches!(second.ended.await.unwrap(), Ok(None)));
    assert_eq!(server.holder().as_deref(), Some("a"));
}

#[tokio::test(start_paused = true)]
async fn elected_in_the_moment_of_the_shutdown_it_does_not_work_and_releases() {
    let server = Server::default();
    let (client, _) = server.client_in(|| Weather {
        there: seconds(1),
        ..Weather::default()
    });
    let first = stand(client, "a", Duration::ZERO);
    // The look takes a second; the write is under way.
    sleep(Duration::from_millis(1_500)).await;
    first.shutdown.cancel();
    assert!(matches!(first.ended.await.unwrap(), Ok(None)));
    assert!(first.elected.await.is_err(), "the work was never begun");
    assert_eq!(server.holder(), None);
    assert_eq!(server.spec().lease_transitions, Some(0));
}

#[tokio::test(start_paused = true)]
async fn who_holds_the_lease_is_told_to_those_who_wait() {
    let server = Server::default();
    let first = stand(server.client(), "a", Duration::ZERO);
    first.elected.await.unwrap();
    let told = Arc::new(Mutex::new(Vec::new()));
    let shutdown = CancellationToken::new();
    let second = tokio::spawn({
        let (client, told, shutdown) = (server.client(), told.clone(), shutdown.clone());
        let seen = move |holder: &str| told.lock().unwrap().push(holder.to_owned());
        lead(
            client,
            settings("b"),
            shutdown.clone(),
            seen,
            move |_| async move {
                shutdown.cancel();
            },
        )
    });
    sleep(seconds(3)).await;
    assert_eq!(told.lock().unwrap().first().map(String::as_str), Some("a"));
    first.shutdown.cancel();
    second.await.unwrap().unwrap();
    assert_eq!(told.lock().unwrap().last().map(String::as_str), Some("b"));
}

#[tokio::test(start_paused = true)]
async fn a_panic_of_the_work_ends_the_renewals_too() {
    let server = Server::default();
    let client = server.client();
    let panicked = tokio::spawn(async move {
        let shutdown = CancellationToken::new();
        lead(
            client,
            settings("a"),
            shutdown,
            |_| {},
            |_| async { panic!("in the work") },
        )
        .await
    });
    assert!(panicked.await.is_err());
    let second = stand(server.client(), "b", Duration::ZERO);
    let begun = Instant::now();
    let (elected, _) = second.elected.await.unwrap();
    assert!(elected - begun <= seconds(18));
}

#[tokio::test(start_paused = true)]
async fn times_that_cannot_work_together_are_refused() {
    for change in [
        (|s: &mut LeaseSettings| s.renew_deadline = s.lease_duration) as fn(&mut LeaseSettings),
        |s| s.retry_period = s.renew_deadline,
        |s| s.retry_period = Duration::ZERO,
        |s| s.identity.clear(),
    ] {
        let mut settings = settings("a");
        change(&mut settings);
        let client = Server::default().client();
        let ended = lead(
            client,
            settings,
            CancellationToken::new(),
            |_| {},
            |_| async {},
        )
        .await;
        assert!(matches!(ended, Err(LeaseError::Settings { .. })));
    }
}

fn any_weather() -> impl Strategy<Value = Weather> {
    let delay = prop_oneof![6 => Just(0), 2 => 1..3_000_u64, 1 => 3_000..40_000_u64]
        .prop_map(Duration::from_millis);
    (
        delay.clone(),
        delay,
        prop::bool::weighted(0.1),
        prop::bool::weighted(0.1),
    )
        .prop_map(|(there, back, lost, refused)| Weather {
            there,
            back,
            lost,
            refused,
        })
}

/// Everybody who was elected, and the first who was while another one still led.
#[derive(Clone, Default)]
struct Roll(Arc<Mutex<Entries>>);

#[derive(Default)]
struct Entries {
    leaders: Vec<(String, CancellationToken)>,
    rival: Option<String>,
}

impl Roll {
    fn enter(&self, who: &str, token: CancellationToken) {
        let mut roll = self.0.lock().unwrap();
        let Entries { leaders, rival } = &mut *roll;
        if let Some((other, _)) = leaders.iter().find(|(_, token)| !token.is_cancelled()) {
            rival.get_or_insert(format!("{who} was elected while {other} led"));
        }
        leaders.push((who.to_owned(), token));
    }
}

/// A candidate that stands again as a new process each time it has lost, and sometimes resigns.
async fn candidate(server: Server, number: usize, weather: Vec<Weather>, roll: Roll) {
    let mut turn = 0;
    let (client, _) = server.client_in(move || {
        turn += 1;
        weather[turn % weather.len()]
    });
    for life in 0.. {
        let identity = format!("{number}.{life}");
        let settings = settings(&identity);
        let shutdown = CancellationToken::new();
        let (roll, resigns) = (roll.clone(), shutdown.clone());
        let work = |token: CancellationToken| async move {
            roll.enter(&identity, token.clone());
            if life % 3 == 2 {
                sleep(seconds(20)).await;
                resigns.cancel();
            }
            token.cancelled().await;
        };
        let _ = lead(client.clone(), settings, shutdown, |_| {}, work).await;
        sleep(seconds(1)).await;
    }
}

/// Three candidates for ten minutes: who was elected beside another, and how many were elected.
fn campaign(weather: Vec<Vec<Weather>>) -> (Option<String>, usize) {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .start_paused(true)
        .build()
        .unwrap();
    runtime.block_on(async move {
        let server = Server::default();
        let roll = Roll::default();
        for (number, weather) in weather.into_iter().enumerate() {
            tokio::spawn(candidate(server.clone(), number, weather, roll.clone()));
        }
        sleep(seconds(600)).await;
        let roll = roll.0.lock().unwrap();
        (roll.rival.clone(), roll.leaders.len())
    })
}

#[test]
fn two_tokens_are_never_live_at_once_whatever_the_weather() {
    let mut runner = TestRunner::new(ProptestConfig {
        cases: 40,
        ..ProptestConfig::default()
    });
    let weather = prop::collection::vec(prop::collection::vec(any_weather(), 1..40), 3);
    let elections = Cell::new(0);
    let outcome = runner.run(&weather, |weather| {
        let (rival, elected) = campaign(weather);
        elections.set(elections.get() + elected);
        prop_assert_eq!(rival, None);
        Ok(())
    });
    outcome.unwrap();
    // Not by never electing anybody: in the worst weather nobody may be, in most somebody is.
    assert!(elections.get() > 80, "{} elections", elections.get());
}
