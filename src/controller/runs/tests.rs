//! The register of jobs: who is told to stop, and who takes an outcome.

use super::*;

fn ticket(uid: &str) -> Ticket {
    Ticket {
        policy: Name::new("crm", uid),
        uid: uid.to_owned(),
        generation: 1,
        spec: Value::Null,
        duties: None,
        databases: vec!["db".to_owned()],
        kind: JobKind::Plan,
        dry: true,
        asks: Asks::NOTHING,
        under: None,
    }
}

async fn until_stopped(mut stop: watch::Receiver<Option<StopWhy>>) -> JobOutcome {
    JobOutcome::Stopped(told_to_stop(&mut stop).await)
}

async fn unheard(_: JobOutcome) {
    unreachable!("its policy is there");
}

/// Starts a plan that goes on until it is stopped.
fn start(runs: &Runs, uid: &str) -> bool {
    runs.start(ticket(uid), |_, stop| until_stopped(stop), unheard)
}

fn stopped(runs: &Runs, uid: &str) -> Option<StopWhy> {
    match runs.stage(uid)?.1 {
        Stage::Finished(outcome) => match *outcome {
            JobOutcome::Stopped(why) => Some(why),
            _ => None,
        },
        Stage::Running(_) => None,
    }
}

#[tokio::test]
async fn a_policy_has_one_job_until_its_outcome_was_told() {
    let (runs, mut nudged) = Runs::new(2);
    assert!(start(&runs, "a"));
    assert!(!start(&runs, "a"));
    runs.stop("a", StopWhy::Suspended);
    assert_eq!(nudged.recv().await, Some(Name::new("crm", "a")));
    assert_eq!(stopped(&runs, "a"), Some(StopWhy::Suspended));
    assert!(!start(&runs, "a"));
    assert!(runs.take("a").is_some());
    assert!(start(&runs, "a"));
}

/// Both orders: it ends after its policy has gone, or before, with nobody having told it.
#[tokio::test]
async fn the_outcome_of_a_job_whose_policy_is_gone_is_told_once_and_leaves_nothing() {
    for ended_before in [false, true] {
        let (runs, mut nudged) = Runs::new(1);
        let (tell, mut told) = mpsc::unbounded_channel();
        let (free, freed) = tokio::sync::oneshot::channel::<()>();
        runs.start(
            ticket("a"),
            |_, stop| async move {
                let _ = freed.await;
                until_stopped(stop).await
            },
            async move |outcome| tell.send(outcome).unwrap(),
        );
        if ended_before {
            runs.stop("a", StopWhy::Suspended);
            free.send(()).unwrap();
            nudged.recv().await;
            runs.orphan("a");
        } else {
            runs.orphan("a");
            assert!(runs.stage("a").is_some(), "it lives until its end");
            free.send(()).unwrap();
        }
        let wanted = if ended_before {
            StopWhy::Suspended
        } else {
            StopWhy::Deleted
        };
        let outcome = told.recv().await;
        assert!(
            matches!(outcome, Some(JobOutcome::Stopped(why)) if why == wanted),
            "{outcome:?}"
        );
        assert!(runs.stage("a").is_none() && runs.take("a").is_none());
        assert!(told.recv().await.is_none(), "told twice");
    }
}

#[tokio::test]
async fn closing_waits_until_the_outcome_of_an_orphan_is_told() {
    let (runs, _nudged) = Runs::new(1);
    let (tell, mut told) = mpsc::unbounded_channel();
    runs.start(
        ticket("a"),
        |_, stop| until_stopped(stop),
        async move |_| {
            tokio::task::yield_now().await;
            tell.send(()).unwrap();
        },
    );
    runs.orphan("a");
    runs.close(StopWhy::Shutdown).await;
    assert_eq!(told.try_recv(), Ok(()));
}

#[tokio::test]
async fn a_panic_ends_one_job_and_says_nothing_of_its_message() {
    let (runs, mut nudged) = Runs::new(2);
    runs.start(
        ticket("a"),
        |_, _| async { panic!("ada@example.org") },
        unheard,
    );
    nudged.recv().await;
    let (_, stage) = runs.stage("a").unwrap();
    let shown = format!("{stage:?}");
    assert!(
        shown.contains("InternalError") && !shown.contains("ada"),
        "{shown}"
    );
}

#[tokio::test]
async fn the_end_for_good_beats_the_end_for_now() {
    let (runs, mut nudged) = Runs::new(1);
    // Holds the only slot, so that the other one stays where it is.
    let (free, freed) = tokio::sync::oneshot::channel::<()>();
    runs.start(
        ticket("slot"),
        |_, stop| async move {
            let _ = freed.await;
            let why = *stop.borrow();
            JobOutcome::Stopped(why.unwrap())
        },
        unheard,
    );
    runs.stop("slot", StopWhy::Suspended);
    runs.stop("slot", StopWhy::Deleted);
    runs.stop("slot", StopWhy::Shutdown);
    free.send(()).unwrap();
    nudged.recv().await;
    assert_eq!(stopped(&runs, "slot"), Some(StopWhy::Deleted));
}

/// It would be told as stopped, with nothing known of the run.
#[tokio::test]
async fn what_gives_a_run_up_is_stopped_by_the_end_of_the_process_only() {
    let (runs, mut nudged) = Runs::new(1);
    let give_up = Ticket {
        kind: JobKind::GiveUp { id: "a/1".into() },
        ..ticket("a")
    };
    runs.start(give_up, |_, stop| until_stopped(stop), unheard);
    for why in [
        StopWhy::Suspended,
        StopWhy::Unapproved,
        StopWhy::SpecInvalid,
        StopWhy::SpecChanged,
        StopWhy::Deleted,
    ] {
        runs.stop("a", why);
        runs.stop_where(|_| Some(why));
    }
    runs.stop("a", StopWhy::Shutdown);
    nudged.recv().await;
    assert_eq!(stopped(&runs, "a"), Some(StopWhy::Shutdown));
}

#[tokio::test]
async fn a_job_that_waits_for_a_slot_can_be_stopped() {
    let (runs, mut nudged) = Runs::new(1);
    start(&runs, "a");
    tokio::task::yield_now().await;
    runs.start(
        ticket("b"),
        |_, _| async { unreachable!("no slot is free") },
        unheard,
    );
    runs.stop("b", StopWhy::Deleted);
    assert_eq!(nudged.recv().await, Some(Name::new("crm", "b")));
    assert_eq!(stopped(&runs, "b"), Some(StopWhy::Deleted));
}

/// Whatever it was told before: it may wait long for a lock of the ledger to end its run.
#[tokio::test(start_paused = true)]
async fn closing_cuts_off_what_does_not_end_by_itself() {
    for before in [None, Some(StopWhy::Suspended), Some(StopWhy::Deleted)] {
        let (runs, _nudged) = Runs::new(1);
        let (held, dropped) = tokio::sync::oneshot::channel::<()>();
        runs.start(
            ticket("a"),
            |_, _| async move {
                let _held = held;
                std::future::pending().await
            },
            unheard,
        );
        tokio::task::yield_now().await;
        if let Some(why) = before {
            runs.stop("a", why);
        }
        runs.close(StopWhy::Shutdown).await;
        assert!(dropped.await.is_err(), "it is still there");
    }
}

#[tokio::test]
async fn closing_stops_all_waits_for_them_and_starts_none() {
    let (runs, _nudged) = Runs::new(8);
    for uid in ["a", "b"] {
        start(&runs, uid);
    }
    runs.close(StopWhy::LeaseLost).await;
    assert_eq!(stopped(&runs, "a"), Some(StopWhy::LeaseLost));
    assert_eq!(stopped(&runs, "b"), Some(StopWhy::LeaseLost));
    assert!(!start(&runs, "c"));
}
