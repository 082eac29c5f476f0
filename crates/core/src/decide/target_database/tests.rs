//! A database's life in small steps, as the controller looks at it again and again.

use super::*;
use crate::coverage::Gap;

fn at(second: i64) -> Timestamp {
    Timestamp::from_second(1_800_000_000 + second).unwrap()
}

fn found() -> Found {
    Found {
        engine: Engine::Postgres,
        version: "15.18".into(),
        database_clock: SignedDuration::from_millis(120),
        api_clock: Some(SignedDuration::from_secs(-1)),
        ledger: Ledger::Ours {
            version: 1,
            head: Some("sha256:aa".into()),
            open: vec![],
        },
        holds: vec![],
        coverage: None,
        restored: None,
        applied_again: 0,
    }
}

struct World {
    uid: &'static str,
    generation: i64,
    suspended: bool,
    status: TargetDatabaseStatus,
    checked: Option<(Timestamp, i64)>,
    failures: Failures,
    now: Timestamp,
}

impl World {
    fn new() -> Self {
        Self {
            uid: "u",
            generation: 1,
            suspended: false,
            status: TargetDatabaseStatus::default(),
            checked: None,
            failures: Failures::default(),
            now: at(0),
        }
    }

    fn decide(&self, found: Option<&Result<Found, Verdict>>) -> Decision {
        self.decide_with(found, self.generation)
    }

    /// With a look at the database by the spec of that generation.
    fn decide_with(&self, found: Option<&Result<Found, Verdict>>, generation: i64) -> Decision {
        let check = found.map(|found| Check {
            generation,
            found: found.clone(),
        });
        decide(&Observed {
            meta: Meta {
                uid: self.uid,
                generation: self.generation,
                created_at: at(0),
                deleting: false,
                run_now: None,
            },
            spec: Ok(Wanted {
                suspended: self.suspended,
                address: "crm-rw:5432/crm",
            }),
            status: &self.status,
            check: check.as_ref(),
            checked: self.checked,
            persons: None,
            failures: self.failures,
            jitter: 0.0,
            now: self.now,
        })
    }

    fn check(&mut self, found: &Result<Found, Verdict>) -> Decision {
        let decision = self.decide(Some(found));
        self.checked = Some((self.now, self.generation));
        self.status = decision.status.clone();
        self.failures = decision.failures;
        decision
    }

    fn ready(&self) -> (&str, &str) {
        let ready = self
            .status
            .conditions
            .iter()
            .find(|c| c.type_ == READY)
            .unwrap();
        (&ready.status, &ready.reason)
    }
}

#[test]
fn a_new_database_is_looked_at_at_once_and_told() {
    let mut world = World::new();
    let decision = world.decide(None);
    assert!(decision.check);
    assert_eq!(
        decision
            .status
            .conditions
            .iter()
            .filter(|c| c.status == "True")
            .count(),
        1
    );
    let decision = world.check(&Ok(found()));
    assert_eq!(world.ready(), ("True", "Connected"));
    assert_eq!(world.status.engine.as_deref(), Some("PostgreSQL"));
    assert_eq!(world.status.clock_skew.as_deref(), Some("120ms"));
    assert_eq!(world.status.ledger.as_ref().unwrap().version, 1);
    assert_eq!(decision.requeue_after, CHECK_EVERY);
    assert!(!world.decide(None).check);
    assert_eq!(world.decide(None).events, []);
    assert_eq!(world.decide(None).status, world.status);
}

#[test]
fn a_well_database_is_looked_at_every_five_minutes_and_after_a_change() {
    let mut world = World::new();
    world.check(&Ok(found()));
    world.now = at(299);
    assert!(!world.decide(None).check);
    world.now = at(300);
    assert!(world.decide(None).check);
    world.now = at(1);
    world.generation = 2;
    let decision = world.decide(None);
    assert!(decision.check);
    // The old check does not vouch for the new spec.
    let ready = decision
        .status
        .conditions
        .iter()
        .find(|c| c.type_ == READY)
        .unwrap();
    assert_eq!(
        (ready.status.as_str(), ready.reason.as_str()),
        ("Unknown", "Pending")
    );
}

#[test]
fn a_look_that_finds_nothing_new_is_told_once_an_hour() {
    let later = |skew| Found {
        database_clock: SignedDuration::from_millis(skew),
        ..found()
    };
    // In which minute of the hour.
    let mut minutes = Vec::new();
    for uid in ["u", "v", "w"] {
        let mut world = World::new();
        world.uid = uid;
        world.check(&Ok(later(90)));
        let mut told = Vec::new();
        for second in (60..=7_200).step_by(60) {
            let before = world.status.clone();
            world.now = at(second);
            // As much as nobody sees.
            world.check(&Ok(later(if second % 120 == 0 { 90 } else { -1_400 })));
            if world.status.checked_at == Some(world.now) {
                told.push(second);
            } else {
                assert_eq!(world.status, before, "after {second} s");
            }
        }
        let [first, second] = told.as_slice() else {
            panic!("{uid}: {told:?}");
        };
        assert_eq!(second - first, 3_600, "{uid}");
        minutes.push(first / 60);
    }
    minutes.dedup();
    assert_eq!(minutes.len(), 3, "{minutes:?}");
}

#[test]
fn whatever_else_a_look_finds_is_told_at_once() {
    let changes: [fn(&mut Found); 4] = [
        |found| found.version = "18.2".to_owned(),
        |found| found.database_clock = SignedDuration::from_secs(-2),
        |found| {
            found.coverage = Some(Coverage {
                tables: 3,
                gaps: Vec::new(),
            });
        },
        |found| {
            found.ledger = Ledger::Ours {
                version: 1,
                head: Some("another".to_owned()),
                open: Vec::new(),
            };
        },
    ];
    for change in changes {
        let mut world = World::new();
        world.check(&Ok(found()));
        world.now = at(300);
        let mut found = found();
        change(&mut found);
        world.check(&Ok(found));
        assert_eq!(world.status.checked_at, Some(at(300)));
    }
    let mut world = World::new();
    world.check(&Ok(found()));
    world.now = at(300);
    world.check(&Err(Verdict::new(Reason::Unreachable, "no answer")));
    assert_eq!(world.status.checked_at, Some(at(300)));
}

#[test]
fn a_look_by_an_older_spec_vouches_for_nothing() {
    for old in [
        Ok(found()),
        Err(Verdict::new(Reason::Unreachable, "no answer")),
    ] {
        let mut world = World::new();
        world.check(&Ok(found()));
        world.generation = 2;
        let decision = world.decide_with(Some(&old), 1);
        assert!(decision.check);
        assert_eq!(decision.events, []);
        assert_eq!(decision.failures, Failures::default());
        world.status = decision.status;
        assert_eq!(world.ready(), ("Unknown", "Pending"));
        world.check(&Ok(found()));
        assert_eq!(world.ready(), ("True", "Connected"));
    }
}

#[test]
fn a_failing_database_is_tried_again_with_pauses_that_grow_and_recovers() {
    let mut world = World::new();
    let down = || Err(Verdict::new(Reason::Unreachable, "no answer"));
    assert_eq!(world.check(&down()).events.len(), 1);
    assert_eq!(world.ready(), ("False", "Unreachable"));
    assert!(!world.decide(None).check);
    world.now = at(2);
    assert!(world.decide(None).check);
    assert_eq!(world.decide(None).failed, None);
    let decision = world.check(&down());
    assert_eq!(decision.events, []);
    assert_eq!(decision.failed, Some(Reason::Unreachable));
    assert_eq!(decision.requeue_after, Duration::from_secs(4));
    world.now = at(6);
    assert_eq!(world.check(&Ok(found())).failed, None);
    assert_eq!(world.ready(), ("True", "Connected"));
    assert_eq!(world.failures, Failures::default());
}

#[test]
fn a_ledger_that_is_behind_stops_everything_and_its_head_is_still_remembered() {
    let mut world = World::new();
    world.check(&Ok(found()));
    let mut behind = found();
    let rewound = Rewound {
        head: "sha256:bb".into(),
        lost: vec!["sha256:aa".into()],
    };
    let token = rewound.token();
    behind.ledger = Ledger::Rewound(rewound);
    let decision = world.check(&Ok(behind));
    assert_eq!(world.ready(), ("False", "LedgerRewound"));
    assert!(decision.events[0].warning && decision.events[0].note.contains(&token));
    let remembered = world.status.ledger.as_ref().unwrap();
    assert_eq!(remembered.head.as_deref(), Some("sha256:aa"));
    world.check(&Ok(found()));
    assert_eq!(world.ready(), ("True", "Connected"));
}

#[test]
fn lost_erasures_are_told_until_the_ledger_is_accepted_and_forgotten_ones_stop_all() {
    let mut world = World::new();
    world.check(&Ok(found()));
    let set = |of: &[&str]| of.iter().map(|name| (*name).to_owned()).collect();
    let behind_since = |restored: Restored, applied: i64| {
        let mut behind = found();
        behind.applied_again = applied;
        behind.ledger = Ledger::Rewound(Rewound {
            head: "sha256:bb".into(),
            lost: vec!["sha256:aa".into()],
        });
        behind.restored = Some(restored);
        Ok(behind)
    };
    let behind = |restored: Restored| behind_since(restored, 0);
    let lost = |again: &[&str], forgotten: &[&str]| Restored::Restored {
        again: set(again),
        forgotten: set(forgotten),
    };
    let decision = world.check(&behind(lost(&["crm/sr"], &["crm/old"])));
    assert_eq!(world.ready(), ("False", "ErasureForgotten"));
    assert!(decision.events[0].note.contains("crm/old"));
    world.now = at(60);
    let decision = world.check(&behind(lost(&["crm/sr", "crm/old"], &[])));
    assert_eq!(world.ready(), ("Unknown", "Restored"));
    assert!(decision.events[0].warning && decision.events[0].note.contains("crm/sr"));
    let restored = world.status.restored.clone().unwrap();
    assert_eq!((restored.since, restored.again), (at(0), 2));
    // Whoever deletes one of them has not applied it, and the ledger is not accepted by itself.
    let mut deleted = World {
        status: world.status.clone(),
        ..World::new()
    };
    let one_gone = behind_since(Restored::Rewound, 1);
    let accepts = |world: &World, seen: &Result<Found, Verdict>| {
        is_applied_again(&world.status, seen.as_ref().unwrap(), world.now)
    };
    assert!(!accepts(&deleted, &one_gone));
    for _ in 0..2 {
        deleted.check(&one_gone);
        assert_eq!(deleted.ready(), ("False", "ErasureForgotten"));
        assert!(!accepts(&deleted, &one_gone));
    }
    // All of them have been applied again; it is not taken for lost commits of policies.
    let all = behind_since(Restored::Rewound, 2);
    assert!(accepts(&world, &all));
    world.check(&all);
    assert_eq!(world.ready(), ("Unknown", "Restored"));
    assert!(accepts(&world, &all));
    world.check(&Ok(found()));
    assert_eq!(world.ready(), ("True", "Connected"));
    assert_eq!(world.status.restored, None);
    let policies = behind(Restored::Rewound);
    world.check(&policies);
    assert_eq!(world.ready(), ("False", "LedgerRewound"));
    assert!(!accepts(&world, &policies));
}

#[test]
fn what_a_look_for_erased_persons_finds_is_told_where_no_request_tells_it() {
    let mut world = World::new();
    world.check(&Ok(found()));
    let mut persons = Persons {
        at: at(0),
        requests: 2,
        rows: 3,
        of_nobody: 0,
        unlooked: vec![],
    };
    let told = |world: &World, persons: &Persons| {
        let decision = decide(&Observed {
            persons: Some(persons),
            meta: Meta {
                uid: "u",
                generation: 1,
                created_at: at(0),
                deleting: false,
                run_now: None,
            },
            spec: Ok(Wanted {
                suspended: false,
                address: "crm-rw:5432/crm",
            }),
            status: &world.status,
            check: None,
            checked: world.checked,
            failures: world.failures,
            jitter: 0.0,
            now: world.now,
        });
        let list = &decision.status.conditions;
        let told = list.iter().find(|c| c.type_ == condition::REAPPEARED);
        let told = told.map(|c| (c.status.clone(), c.reason.clone()));
        (decision.status.erased_persons, told, decision.events.len())
    };
    let (status, none, _) = told(&world, &persons);
    assert_eq!((status.unwrap().rows, none), (3, None));
    persons.of_nobody = 1;
    let (_, some, events) = told(&world, &persons);
    let expected = ("True".to_owned(), "Reappeared".to_owned());
    assert_eq!((some, events), (Some(expected), 1));
    persons.unlooked = vec![Unlooked {
        reason: Reason::SuppressionKeyMissing,
        message: "a key".to_owned(),
    }];
    let (_, some, _) = told(&world, &persons);
    let expected = ("Unknown".to_owned(), "SuppressionKeyMissing".to_owned());
    assert_eq!(some, Some(expected));
}

#[test]
fn only_a_run_whose_policy_was_watched_and_is_gone_is_an_orphan() {
    let run = |policy: &str, uid: &str| RunRow {
        id: format!("{uid}/1"),
        policy_uid: uid.to_owned(),
        policy: policy.to_owned(),
        plan: String::new(),
        as_of: String::new(),
        epoch: 1,
        state: "open".to_owned(),
        started_at: String::new(),
        steps: "[]".to_owned(),
        report: None,
    };
    let open = [
        run("crm/here", "u-1"),
        run("crm/gone", "u-2"),
        run("web/elsewhere", "u-3"),
    ];
    let found = orphaned(&open, |namespace| namespace == "crm", |uid| uid == "u-1");
    assert_eq!(found, [run("crm/gone", "u-2")]);
}

#[test]
fn clocks_that_disagree_stop_everything_whichever_is_wrong() {
    let minutes = SignedDuration::from_mins;
    for (database, api) in [
        (6, None),
        (-6, None),
        (0, Some(6)),
        (0, Some(-6)),
        (3, Some(-3)),
    ] {
        let mut world = World::new();
        let mut found = found();
        found.database_clock = minutes(database);
        found.api_clock = api.map(minutes);
        world.check(&Ok(found));
        assert_eq!(world.ready(), ("False", "ClockSkew"), "{database} {api:?}");
    }
    let mut world = World::new();
    let mut found = found();
    found.database_clock = minutes(5);
    found.api_clock = Some(minutes(5));
    world.check(&Ok(found));
    assert_eq!(world.ready(), ("True", "Connected"));
}

#[test]
fn an_unfit_ledger_is_not_ready_and_what_was_remembered_of_it_stays() {
    let mut world = World::new();
    world.check(&Ok(found()));
    let mut other = found();
    other.ledger = Ledger::Unfit(Verdict::new(Reason::LedgerOwned, "it belongs to crm/other"));
    world.check(&Ok(other));
    assert_eq!(world.ready(), ("False", "LedgerOwned"));
    assert_eq!(
        world.status.ledger.as_ref().unwrap().head.as_deref(),
        Some("sha256:aa")
    );
}

#[test]
fn gaps_are_counted_and_the_first_of_them_named_for_as_long_as_they_can_be_told() {
    let mut world = World::new();
    let gap = |number: usize| Gap {
        table: format!("crm.t{number:02}").parse().unwrap(),
        personal: vec!["email".into()],
        dates: vec![],
    };
    let mut with = found();
    with.coverage = Some(Coverage {
        tables: 40,
        gaps: (0..17).map(gap).collect(),
    });
    world.check(&Ok(with));
    let told = world.status.coverage.as_ref().unwrap();
    assert_eq!((told.tables, told.gaps, told.names.len()), (40, 17, 16));
    assert_eq!(told.names[0], "crm.t00");
    // A look that finds nothing leaves what was known; one that cannot tell any more does not.
    world.check(&Err(Verdict::new(Reason::Unreachable, "no answer")));
    assert_eq!(world.status.coverage.as_ref().unwrap().gaps, 17);
    world.check(&Ok(found()));
    assert_eq!(world.status.coverage, None);
}

#[test]
fn a_suspended_database_is_well_and_says_so() {
    let mut world = World::new();
    world.suspended = true;
    world.check(&Ok(found()));
    assert_eq!(world.ready(), ("True", "Suspended"));
}
