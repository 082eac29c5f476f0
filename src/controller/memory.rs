//! What the controller remembers between two looks. A restart forgets it, which costs an attempt
//! that comes earlier than its pause, and at worst an event.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use jiff::{SignedDuration, Timestamp};
use kube::ResourceExt;
use kube::core::DynamicObject;
use oubliette_core::api::parse::FieldError;
use oubliette_core::decide::Event;
use oubliette_core::decide::retry::Failures;
use oubliette_core::ledger::ACCEPT;
use oubliette_core::policy::Mandate;
use serde_json::Value;

/// UID and generation of a TargetDatabase.
type Version = (String, i64);

/// A manifest as it was parsed, or its faults.
pub(super) type Parsed = Arc<Result<Mandate, Vec<FieldError>>>;

#[derive(Default)]
struct Entry {
    generation: Option<i64>,
    failures: Failures,
    /// Policies: whether it stands in others' way whose database is another object, as last seen.
    stands: bool,
    /// Policies: the parsed spec, and the database's generation whose guards are in it.
    parsed: Option<(i64, Option<Version>, Parsed)>,
    /// Databases: when they were last looked at, for which generation.
    checked: Option<(Timestamp, i64)>,
    /// Databases: how often another look was asked for.
    asked: u64,
    /// Maps: the generation after which held persons were asked for.
    ways: Option<i64>,
    /// Holds on persons: when the databases were last searched.
    sought: Option<Timestamp>,
    /// Databases: what was done once and is not told yet.
    told: Vec<Event>,
    /// Databases: generation and `Ready`, as last seen.
    standing: Option<(Option<i64>, Value)>,
    /// Databases: the token by which a person accepted the ledger, as last seen.
    acceptance: Option<String>,
}

/// By UID.
#[derive(Default)]
pub(super) struct Memory {
    entries: Mutex<BTreeMap<String, Entry>>,
    /// The API server's clock minus ours, as last measured.
    api_clock: Mutex<Option<SignedDuration>>,
}

impl Memory {
    fn lock(&self) -> MutexGuard<'_, BTreeMap<String, Entry>> {
        // Each change is one assignment: a panicked holder left nothing half done.
        self.entries.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Notes what the API server's clock was found to be.
    pub(super) fn saw_api_clock(&self, ahead: Option<SignedDuration>) {
        if let Some(ahead) = ahead {
            *self
                .api_clock
                .lock()
                .unwrap_or_else(PoisonError::into_inner) = Some(ahead);
        }
    }

    /// The API server's clock minus ours, where it is known.
    pub(super) fn api_clock(&self) -> Option<SignedDuration> {
        *self
            .api_clock
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    /// Notes a generation, with which the count of failures begins anew. Whether it is a new one.
    pub(super) fn saw_generation(&self, object: &DynamicObject) -> bool {
        let Some(uid) = object.uid() else {
            return false;
        };
        let generation = object.metadata.generation;
        let mut entries = self.lock();
        let entry = entries.entry(uid).or_default();
        let new = entry.generation != generation;
        if new {
            entry.generation = generation;
            entry.failures = Failures::default();
        }
        new
    }

    /// Notes whether a policy stands in the way of others; whether that is news to them.
    pub(super) fn saw_stands(&self, policy: &DynamicObject, stands: bool) -> bool {
        let Some(uid) = policy.uid() else {
            return false;
        };
        let mut entries = self.lock();
        let entry = entries.entry(uid).or_default();
        std::mem::replace(&mut entry.stands, stands) != stands
    }

    /// Notes how a database stands; whether that is news to its policies.
    pub(super) fn saw_standing(&self, database: &DynamicObject) -> bool {
        let Some(uid) = database.uid() else {
            return true;
        };
        let conditions = database.data.pointer("/status/conditions");
        let ready = conditions
            .and_then(Value::as_array)
            .and_then(|list| list.iter().find(|c| c["type"] == "Ready"));
        let standing = (
            database.metadata.generation,
            ready.map_or(Value::Null, |ready| ready["status"].clone()),
        );
        let mut entries = self.lock();
        let entry = entries.entry(uid).or_default();
        let news = entry.standing.as_ref() != Some(&standing);
        entry.standing = Some(standing);
        news
    }

    /// Notes by which token the ledger is accepted as it is; whether that is another one than before.
    pub(super) fn saw_acceptance(&self, database: &DynamicObject) -> bool {
        let Some(uid) = database.uid() else {
            return false;
        };
        let token = database.annotations().get(ACCEPT).cloned();
        let mut entries = self.lock();
        let entry = entries.entry(uid).or_default();
        let news = token.is_some() && entry.acceptance != token;
        entry.acceptance = token;
        news
    }

    pub(super) fn failures(&self, uid: &str) -> Failures {
        self.lock()
            .get(uid)
            .map_or_else(Failures::default, |e| e.failures)
    }

    pub(super) fn set_failures(&self, uid: &str, failures: Failures) {
        if let Some(entry) = self.lock().get_mut(uid) {
            entry.failures = failures;
        }
    }

    /// The cause may be gone: the next attempt need not wait.
    pub(super) fn try_again(&self, uid: &str) {
        if let Some(entry) = self.lock().get_mut(uid) {
            entry.failures.retry_at = None;
        }
    }

    pub(super) fn checked(&self, uid: &str) -> Option<(Timestamp, i64)> {
        self.lock().get(uid).and_then(|entry| entry.checked)
    }

    /// Asks for a look as soon as possible. One that is under way is not it.
    pub(super) fn look_again(&self, uid: &str) {
        if let Some(entry) = self.lock().get_mut(uid) {
            entry.checked = None;
            entry.asked += 1;
        }
    }

    /// How often that was asked for, to be remembered from before a look until after it.
    pub(super) fn asked(&self, uid: &str) -> u64 {
        self.lock().get(uid).map_or(0, |entry| entry.asked)
    }

    /// What a look found stands in the status. Who has asked for one since it began still waits for
    /// his own.
    pub(super) fn looked(&self, uid: &str, asked: u64, checked: (Timestamp, i64)) {
        if let Some(entry) = self.lock().get_mut(uid)
            && entry.asked == asked
        {
            entry.checked = Some(checked);
        }
    }

    /// Whether it is time to look for a held person in the databases again.
    pub(super) fn search_is_due(&self, uid: &str, every: SignedDuration, now: Timestamp) -> bool {
        let sought = self.lock().get(uid).and_then(|entry| entry.sought);
        sought.is_none_or(|at| now.duration_since(at) >= every)
    }

    /// Notes the generation of a map; whether it may lead elsewhere than before.
    pub(super) fn saw_ways(&self, map: &DynamicObject) -> bool {
        let Some(uid) = map.uid() else {
            return true;
        };
        let generation = map.metadata.generation;
        let mut entries = self.lock();
        let entry = entries.entry(uid).or_default();
        std::mem::replace(&mut entry.ways, generation) != generation
    }

    /// Asks for that, and for a look, as soon as possible.
    pub(super) fn search_again(&self, uid: &str) {
        self.look_again(uid);
        self.try_again(uid);
        if let Some(entry) = self.lock().get_mut(uid) {
            entry.sought = None;
        }
    }

    /// They were looked for. Who has asked for that since it began still waits for his own.
    pub(super) fn searched(&self, uid: &str, asked: u64, now: Timestamp) {
        if let Some(entry) = self.lock().get_mut(uid)
            && entry.asked == asked
        {
            entry.sought = Some(now);
        }
    }

    /// Keeps an event until it is published.
    pub(super) fn tell(&self, uid: &str, event: Event) {
        if let Some(entry) = self.lock().get_mut(uid) {
            entry.told.push(event);
        }
    }

    /// The events that were kept.
    pub(super) fn take_told(&self, uid: &str) -> Vec<Event> {
        let mut entries = self.lock();
        let told = entries.get_mut(uid).map(|entry| &mut entry.told);
        told.map(std::mem::take).unwrap_or_default()
    }

    /// A policy's spec, parsed once for each generation of it and of its database.
    pub(super) fn parsed(
        &self,
        policy: &DynamicObject,
        database: Option<Version>,
        parse: impl FnOnce() -> Result<Mandate, Vec<FieldError>>,
    ) -> Parsed {
        let (Some(uid), Some(generation)) = (policy.uid(), policy.metadata.generation) else {
            return Arc::new(parse());
        };
        if let Some((g, d, parsed)) = self.lock().get(&uid).and_then(|entry| entry.parsed.clone())
            && g == generation
            && d == database
        {
            return parsed;
        }
        // Not under the lock: it takes its time.
        let parsed = Arc::new(parse());
        let mut entries = self.lock();
        entries.entry(uid).or_default().parsed = Some((generation, database, parsed.clone()));
        parsed
    }

    pub(super) fn forget(&self, uid: &str) {
        self.lock().remove(uid);
    }

    /// Forgets the databases that do not exist any more.
    pub(super) fn forget_databases_unless(&self, exists: impl Fn(&str) -> bool) {
        let mut entries = self.lock();
        entries.retain(|uid, entry| entry.standing.is_none() || exists(uid));
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    /// A memory that has seen one object.
    fn seen(uid: &str) -> Memory {
        let object = json!({"metadata": {"uid": uid, "generation": 1}});
        let memory = Memory::default();
        memory.saw_generation(&serde_json::from_value(object).unwrap());
        memory
    }

    #[test]
    fn a_look_that_was_asked_for_during_another_one_is_still_due_after_it() {
        let memory = seen("a");
        let at = (Timestamp::UNIX_EPOCH, 1);
        let asked = memory.asked("a");
        memory.looked("a", asked, at);
        assert_eq!(memory.checked("a"), Some(at));
        let asked = memory.asked("a");
        memory.look_again("a");
        memory.looked("a", asked, at);
        assert_eq!(memory.checked("a"), None);
        memory.looked("a", memory.asked("a"), at);
        assert_eq!(memory.checked("a"), Some(at));
    }

    #[test]
    fn databases_that_nobody_has_seen_go_are_forgotten_and_policies_stay() {
        let memory = seen("policy");
        for uid in ["here", "gone"] {
            let object = json!({"metadata": {"uid": uid, "generation": 1}});
            memory.saw_standing(&serde_json::from_value(object).unwrap());
        }
        memory.forget_databases_unless(|uid| uid == "here");
        let known: Vec<String> = memory.lock().keys().cloned().collect();
        assert_eq!(known, ["here", "policy"]);
    }

    #[test]
    fn what_is_gone_is_not_remembered_again_by_what_was_under_way() {
        let memory = seen("a");
        memory.forget("a");
        memory.look_again("a");
        memory.looked("a", 0, (Timestamp::UNIX_EPOCH, 1));
        memory.set_failures("a", Failures::default());
        assert!(memory.lock().is_empty());
    }
}
