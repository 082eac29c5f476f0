use proptest::prelude::*;

use super::*;

fn at(seconds: i64) -> Timestamp {
    Timestamp::UNIX_EPOCH + SignedDuration::from_secs(seconds)
}

fn webhook(name: &str) -> Elsewhere {
    Elsewhere {
        name: name.to_owned(),
        owner: None,
    }
}

fn manual(name: &str, owner: &str) -> Elsewhere {
    Elsewhere {
        name: name.to_owned(),
        owner: Some(owner.to_owned()),
    }
}

fn confirm(item: &str, outcome: ConfirmedName, seconds: i64) -> Confirmation {
    Confirmation {
        item: item.to_owned(),
        outcome,
        by: "jane".to_owned(),
        at: at(seconds),
    }
}

/// Looks at instant 100, where every target but `nowhere` is known.
fn looked(maps: &[Elsewhere], confirmations: &[Confirmation], recorded: &[PlaceStatus]) -> Look {
    look(
        maps,
        |name| name != "nowhere",
        confirmations,
        recorded,
        at(100),
    )
}

/// The place `list`, a webhook, after so many failures at instant 0.
fn after_failures(count: i64) -> PlaceStatus {
    let new = looked(&[webhook("list")], &[], &[]).places.remove(0);
    (0..count).fold(new, |place, _| failed(place, "it answered 500", 0.0, at(0)))
}

fn states(look: &Look) -> Vec<(&str, &str)> {
    let states = look.places.iter();
    states
        .map(|p| (p.name.as_str(), p.state.as_str()))
        .collect()
}

#[test]
fn a_new_webhook_is_told_at_once_and_a_manual_place_is_asked_for() {
    let look = looked(&[webhook("list"), manual("files", "reception")], &[], &[]);
    assert_eq!(look.deliver, ["list"]);
    assert_eq!(look.to_confirm, ["elsewhere/files"]);
    assert_eq!(states(&look), [("files", "Pending"), ("list", "Pending")]);
    assert_eq!(look.places[0].owner.as_deref(), Some("reception"));
    assert_eq!(
        (look.places[0].via.as_str(), look.places[1].via.as_str()),
        ("Manual", "Webhook")
    );
    assert_eq!(look.places[0].at, Some(at(100)));
    assert!(!look.has_ended());
}

#[test]
fn no_place_is_an_end() {
    assert!(looked(&[], &[], &[]).has_ended());
}

#[test]
fn maps_that_name_one_place_mean_one() {
    let maps = [
        webhook("list"),
        webhook("list"),
        manual("files", "reception"),
    ];
    let look = looked(&[&maps[..], &maps[2..]].concat(), &[], &[]);
    assert_eq!(look.places.len(), 2);
    assert_eq!(look.deliver, ["list"]);
    assert!(look.faults.is_empty());
}

#[test]
fn what_maps_disagree_about_is_a_fault_that_says_what_to_write() {
    for other in [webhook("files"), manual("files", "archive")] {
        let look = looked(&[manual("files", "reception"), other], &[], &[]);
        let [fault] = look.faults.as_slice() else {
            panic!("{look:?}");
        };
        assert!(fault.to_string().contains("same via and owner"), "{fault}");
        assert!(look.deliver.is_empty() && !look.has_ended());
        assert_eq!(look.to_confirm, ["elsewhere/files"]);
    }
}

#[test]
fn a_webhook_that_no_target_stands_for_is_a_fault_until_somebody_confirms() {
    let maps = [webhook("nowhere")];
    let look = looked(&maps, &[], &[]);
    let [fault] = look.faults.as_slice() else {
        panic!("{look:?}");
    };
    assert!(
        fault
            .to_string()
            .contains("(targets), or write via: Manual"),
        "{fault}"
    );
    assert!(look.deliver.is_empty() && !look.has_ended());
    assert_eq!(look.to_confirm, ["elsewhere/nowhere"]);
    let confirmed = [confirm("elsewhere/nowhere", ConfirmedName::Impossible, 90)];
    let look = looked(&maps, &confirmed, &look.places);
    assert_eq!(states(&look), [("nowhere", "Impossible")]);
    assert_eq!(look.places[0].at, Some(at(90)));
    assert!(look.has_ended() && look.to_confirm.is_empty());
    // It stays so when the target is declared later.
    let later = super::look(&maps, |_| true, &confirmed, &look.places, at(200));
    assert_eq!(later.places, look.places);
    assert!(later.deliver.is_empty());
}

#[test]
fn more_places_than_can_be_recorded_are_a_fault() {
    let places: Vec<_> = (0..=MAX_PLACES)
        .map(|i| webhook(&format!("p{i}")))
        .collect();
    assert_eq!(
        looked(&places, &[], &[]).faults,
        [PlaceFault::TooMany(MAX_PLACES + 1)]
    );
    assert!(looked(&places[1..], &[], &[]).faults.is_empty());
}

#[test]
fn a_failure_waits_for_its_pause_and_tells_why() {
    for (failures, pause) in [
        (1, 10),
        (2, 20),
        (3, 40),
        (9, 2560),
        (10, 3600),
        (400, 3600),
    ] {
        let place = after_failures(failures);
        assert_eq!(place.next_attempt_at, Some(at(pause)), "{failures}");
        assert_eq!(place.attempts, failures);
        assert_eq!(place.failure.as_deref(), Some("it answered 500"));
        let list = [webhook("list")];
        let look = looked(&list, &[], std::slice::from_ref(&place));
        let due = pause <= 100;
        assert_eq!(look.deliver.is_empty(), !due, "{failures}");
        assert_eq!(look.next_at, (!due).then(|| at(pause)));
        // A clock that was put back does not keep it waiting for ever.
        let back = super::look(&list, |_| true, &[], &[place], at(-7200));
        assert_eq!(back.deliver, ["list"]);
    }
    let early = failed(after_failures(0), "", 1.0, at(0)).next_attempt_at;
    assert_eq!(early, Some(at(8)));
}

#[test]
fn who_comes_at_the_next_attempt_comes_in_time() {
    let now = at(0) + SignedDuration::from_millis(345);
    let place = failed(after_failures(0), "no answer", 0.0, now);
    let next = place.next_attempt_at.unwrap();
    assert_eq!(next, at(next.as_second()));
    assert!(next >= now + SignedDuration::from_secs(10), "{next}");
    let maps = [webhook(&place.name)];
    let look = |now| look(&maps, |_| true, &[], std::slice::from_ref(&place), now);
    assert_eq!(look(next).deliver, std::slice::from_ref(&place.name));
    let early = look(next - SignedDuration::from_secs(1));
    assert!(early.deliver.is_empty());
    assert_eq!(early.next_at, Some(next));
}

#[test]
fn only_a_webhook_in_trouble_can_be_confirmed() {
    let confirmed = [confirm(
        "elsewhere/list",
        ConfirmedName::Disproportionate,
        90,
    )];
    for (failures, ends) in [(0, false), (TROUBLE - 1, false), (TROUBLE, true)] {
        let place = after_failures(failures);
        let asked = looked(&[webhook("list")], &[], std::slice::from_ref(&place));
        let item = ends.then(|| "elsewhere/list".to_owned());
        assert_eq!(asked.to_confirm, Vec::from_iter(item), "{failures}");
        assert!(
            asked.deliver.len() == 1 || asked.next_at.is_some(),
            "it is tried for ever"
        );
        let look = looked(&[webhook("list")], &confirmed, &[place]);
        let state = if ends { "Disproportionate" } else { "Pending" };
        assert_eq!(states(&look), [("list", state)]);
        assert_eq!(look.has_ended(), ends);
    }
}

#[test]
fn what_has_accepted_is_told_whatever_is_confirmed_or_changed() {
    let place = told(after_failures(TROUBLE), at(50));
    assert_eq!((place.at, place.next_attempt_at), (Some(at(50)), None));
    assert_eq!(place.failure, None);
    let confirmed = [confirm("elsewhere/list", ConfirmedName::Impossible, 90)];
    for maps in [
        vec![webhook("list")],
        vec![manual("list", "reception")],
        vec![],
    ] {
        let look = looked(&maps, &confirmed, std::slice::from_ref(&place));
        assert_eq!(look.places, std::slice::from_ref(&place));
        assert!(look.has_ended() && look.deliver.is_empty() && look.to_confirm.is_empty());
    }
    assert_eq!(failed(place.clone(), "late", 0.0, at(60)), place);
}

#[test]
fn of_two_confirmations_the_later_one_counts() {
    let confirmed = [
        confirm("elsewhere/files", ConfirmedName::Impossible, 80),
        confirm("elsewhere/other", ConfirmedName::Impossible, 85),
        confirm("elsewhere/files", ConfirmedName::Done, 90),
    ];
    let maps = [manual("files", "reception")];
    let first = looked(&maps, &confirmed[..2], &[]);
    assert_eq!(states(&first), [("files", "Impossible")]);
    let second = looked(&maps, &confirmed, &first.places);
    assert_eq!(states(&second), [("files", "Done")]);
    assert_eq!(second.places[0].at, Some(at(90)));
}

#[test]
fn a_recorded_place_stays_one_and_a_map_can_make_it_manual() {
    let place = after_failures(2);
    let look = looked(&[], &[], std::slice::from_ref(&place));
    assert_eq!(
        (states(&look), &look.deliver[..]),
        (vec![("list", "Pending")], &["list".to_owned()][..])
    );
    let look = looked(&[manual("list", "reception")], &[], &[place]);
    assert_eq!(look.to_confirm, ["elsewhere/list"]);
    assert!(look.deliver.is_empty());
    assert_eq!(look.places[0].via, "Manual");
}

#[test]
fn a_state_of_a_newer_version_has_not_ended() {
    let place = PlaceStatus {
        state: "Postponed".to_owned(),
        ..after_failures(0)
    };
    assert_eq!(looked(&[webhook("list")], &[], &[place]).deliver, ["list"]);
}

/// What may happen next.
#[derive(Clone, Debug)]
enum Step {
    /// Time passes.
    Pass(i64),
    /// The operator looks, tells every place that is due, and records what came of it. For each
    /// attempt: whether the recipient accepts, and whether the answer is lost.
    Tell(Vec<(bool, bool)>, f64),
    /// The operator looks, tells, and is killed before it records anything.
    TellAndDie(Vec<bool>),
    /// Somebody confirms a place.
    Confirm(usize, ConfirmedName),
    /// The settings lose or get the targets.
    Targets(bool),
}

const PLACES: [&str; 4] = ["crm", "files", "list", "photos"];

fn maps() -> [Elsewhere; 5] {
    let files = || manual("files", "reception");
    [
        webhook("list"),
        files(),
        webhook("crm"),
        files(),
        manual("photos", "studio"),
    ]
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let outcome = prop_oneof![
        Just(ConfirmedName::Done),
        Just(ConfirmedName::Impossible),
        Just(ConfirmedName::Disproportionate),
    ];
    let step = prop_oneof![
        4 => (0..4000_i64).prop_map(Step::Pass),
        6 => (prop::collection::vec(any::<(bool, bool)>(), 2), 0.0..1.0).prop_map(|(a, j)| Step::Tell(a, j)),
        2 => prop::collection::vec(any::<bool>(), 2).prop_map(Step::TellAndDie),
        1 => (0..PLACES.len(), outcome).prop_map(|(i, o)| Step::Confirm(i, o)),
        1 => any::<bool>().prop_map(Step::Targets),
    ];
    prop::collection::vec(step, 0..60)
}

/// The world around the decisions: what is stored, and what recipients have seen.
struct World {
    now: i64,
    targets: bool,
    confirmations: Vec<Confirmation>,
    recorded: Vec<PlaceStatus>,
    /// The ids under which each place was told, and whether it has accepted.
    seen: BTreeMap<String, (Vec<String>, bool)>,
}

impl World {
    fn look(&self) -> Look {
        let now = at(self.now);
        look(
            &maps(),
            |_| self.targets,
            &self.confirmations,
            &self.recorded,
            now,
        )
    }

    fn receive(&mut self, place: &str, accepts: bool) {
        let (ids, accepted) = self.seen.entry(place.to_owned()).or_default();
        let id = event_id("7c0a6f2e-1111-4222-8333-944445555666", place);
        if !ids.contains(&id) {
            ids.push(id);
        }
        *accepted |= accepts;
    }

    fn tell(&mut self, answers: &[(bool, bool)], jitter: f64) {
        let Look {
            mut places,
            deliver,
            ..
        } = self.look();
        for (name, (accepts, lost)) in deliver.iter().zip(answers) {
            self.receive(name, *accepts);
            let place = places.iter_mut().find(|p| p.name == *name).unwrap();
            let now = at(self.now);
            *place = if *accepts && !lost {
                told(place.clone(), now)
            } else {
                failed(place.clone(), "no answer", jitter, now)
            };
        }
        self.recorded = places;
    }

    fn take(&mut self, step: &Step) {
        match step {
            Step::Pass(seconds) => self.now += seconds,
            Step::Tell(answers, jitter) => self.tell(answers, *jitter),
            Step::TellAndDie(answers) => {
                for (name, accepts) in self.look().deliver.iter().zip(answers) {
                    self.receive(name, *accepts);
                }
            }
            Step::Confirm(place, outcome) => {
                let item = item(PLACES[*place]);
                self.confirmations.push(confirm(&item, *outcome, self.now));
            }
            Step::Targets(known) => self.targets = *known,
        }
    }
}

proptest! {
    /// Whatever fails, dies or is confirmed on the way.
    #[test]
    fn places_are_told_at_least_once_and_end(steps in steps()) {
        let mut world = World {
            now: 0,
            targets: true,
            confirmations: Vec::new(),
            recorded: Vec::new(),
            seen: BTreeMap::new(),
        };
        let mut ended: Vec<String> = Vec::new();
        let check = |world: &World, ended: &mut Vec<String>| {
            let look = world.look();
            prop_assert_eq!(&look, &world.look());
            for place in &look.places {
                let state = PlaceState::of(place);
                let accepted = world.seen.get(&place.name).is_some_and(|(_, accepted)| *accepted);
                prop_assert!(state != PlaceState::Told || accepted, "{:?}", place);
                if ended.contains(&place.name) {
                    prop_assert!(state != PlaceState::Pending, "{:?} begins anew", place);
                    prop_assert!(!look.deliver.contains(&place.name));
                }
            }
            // What stands in the status is what ends; a look alone is not recorded.
            for place in &world.recorded {
                if PlaceState::of(place) != PlaceState::Pending {
                    ended.push(place.name.clone());
                }
            }
            for name in &look.deliver {
                prop_assert!(matches!(name.as_str(), "crm" | "list"));
            }
            Ok(())
        };
        for step in &steps {
            world.take(step);
            check(&world, &mut ended)?;
        }
        // From here on all goes well.
        world.targets = true;
        for place in ["files", "photos"] {
            world.confirmations.push(confirm(&item(place), ConfirmedName::Done, world.now));
        }
        for _ in 0..4 {
            world.tell(&[(true, false), (true, false)], 0.5);
            check(&world, &mut ended)?;
            let next = world.look().next_at;
            world.now = next.map_or(world.now, Timestamp::as_second).max(world.now) + 1;
        }
        let look = world.look();
        prop_assert!(look.has_ended(), "{:?}", look);
        prop_assert!(look.to_confirm.is_empty() && look.faults.is_empty());
        for (name, (ids, _)) in &world.seen {
            prop_assert_eq!(ids.len(), 1, "{} was told under several ids", name);
        }
    }
}
