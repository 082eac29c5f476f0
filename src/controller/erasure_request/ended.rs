//! Requests that have ended, as notes. Years of them are most of what there is, and hardly one is ever looked
//! at again: whole objects of all of them would be most of the operator's memory. One that is to be looked at
//! is read from the API server; one that has not ended is in a store as an object, as other kinds are.
//!
//! Owns the notes and their looks. What others ask of a request is `oubliette_core`'s [`Remembered`].

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use futures::{StreamExt, stream};
use jiff::{SignedDuration, Timestamp};
use kube::core::DynamicObject;
use kube::runtime::watcher::Event;
use kube::{Api, ResourceExt};
use oubliette_core::api::condition::not_ready;
use oubliette_core::api::reason::Reason;
use oubliette_core::decide::Verdict;
use oubliette_core::erasure::remembered::{Remembered, next_end};
use tokio::sync::Notify;
use uuid::Uuid;
use uuid::fmt::Hyphenated;

use super::super::record::{self, RecordFault};
use super::super::stored::{Shown, Stored};
use super::super::{AFTER_ERROR, Context, Error, Name, after_error, reconcile};
use super::{
    Done, ErasureRequestStatus, FINALIZER, Given, clock_of, decide_from, parse, read_status,
};
use crate::metrics::Kind;

/// Looks at once.
const AT_ONCE: usize = 4;

/// How often it is asked whether one is due that nobody has asked for.
const TURN: Duration = Duration::from_secs(5);

/// What is known of a request, whether it is an object or a note.
pub(in super::super) struct Known<'a> {
    pub(in super::super) namespace: &'a str,
    pub(in super::super) name: &'a str,
    pub(in super::super) uid: &'a str,
    pub(in super::super) of: &'a Remembered,
}

impl Known<'_> {
    pub(in super::super) fn name(&self) -> Name {
        Name::new(self.namespace, self.name)
    }
}

/// A UID. Kubernetes makes UUIDs, whose text is more than twice as long.
enum Uid {
    Uuid(Uuid),
    Text(Box<str>),
}

impl Uid {
    fn of(text: &str) -> Self {
        match Uuid::try_parse(text) {
            // It reads other ways of writing one, too.
            Ok(uuid) if uuid.hyphenated().to_string() == text => Self::Uuid(uuid),
            _ => Self::Text(text.into()),
        }
    }

    fn text<'a>(&'a self, buffer: &'a mut [u8; Hyphenated::LENGTH]) -> &'a str {
        match self {
            Self::Uuid(uuid) => uuid.hyphenated().encode_lower(buffer),
            Self::Text(text) => text,
        }
    }
}

struct Note {
    uid: Uid,
    of: Remembered,
    /// When it is to be looked at.
    look_at: Option<Timestamp>,
}

impl Note {
    fn is_due(&self) -> bool {
        self.look_at.is_some_and(|at| at <= Timestamp::now())
    }

    /// It is to be looked at then, or earlier.
    fn look_before(&mut self, at: Option<Timestamp>) {
        self.look_at = at.into_iter().chain(self.look_at).min();
    }
}

/// By namespace and name. Boxed: half of the places of a tree's leaves are empty.
type Notes = BTreeMap<(Arc<str>, Box<str>), Box<Note>>;

#[derive(Default)]
struct Held {
    notes: Notes,
    /// While a list comes in: what it brings.
    listed: Option<Notes>,
    /// After a list, until the objects of it are known: what there was before.
    former: Notes,
    texts: BTreeSet<Arc<str>>,
}

impl Held {
    /// Those that are being listed, or what there is.
    fn current(&mut self) -> &mut Notes {
        self.listed.as_mut().unwrap_or(&mut self.notes)
    }

    fn interned(&mut self, text: &str) -> Arc<str> {
        if let Some(known) = self.texts.get(text) {
            return known.clone();
        }
        let text: Arc<str> = Arc::from(text);
        self.texts.insert(text.clone());
        text
    }

    fn has(&self, name: &(Arc<str>, Box<str>)) -> bool {
        self.notes.contains_key(name) || self.former.contains_key(name)
    }

    /// All that are noted, each once.
    fn all(&self) -> impl Iterator<Item = (&(Arc<str>, Box<str>), &Note)> {
        let former = self.former.iter();
        let former = former.filter(|(name, _)| !self.notes.contains_key(*name));
        let all = self.notes.iter().chain(former);
        all.map(|(name, note)| (name, &**note))
    }
}

/// The notes of one watch.
#[derive(Default)]
pub(in super::super) struct Ended {
    held: Mutex<Held>,
    /// Somebody has asked for a look.
    asked: Notify,
}

fn key(name: &Name) -> (Arc<str>, Box<str>) {
    (
        Arc::from(name.namespace.as_str()),
        Box::from(name.name.as_str()),
    )
}

impl Ended {
    fn lock(&self) -> MutexGuard<'_, Held> {
        // Each change is one insert, removal or assignment: a panicked holder left nothing half done.
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What the store of objects is to hear of an event: of one that has ended, that it is gone from
    /// there. It is noted before that, so that it is always known.
    pub(in super::super) fn before(
        &self,
        event: Event<DynamicObject>,
        context: &Context,
    ) -> Option<Event<DynamicObject>> {
        match event {
            Event::Apply(request) if has_ended(&request) => {
                self.note(&request, context);
                self.asked.notify_one();
                Some(Event::Delete(request))
            }
            Event::InitApply(request) if has_ended(&request) => {
                self.note(&request, context);
                None
            }
            Event::Delete(request) => {
                let key = key(&Name::of(&request));
                let mut held = self.lock();
                held.notes.remove(&key);
                held.former.remove(&key);
                drop(held);
                Some(Event::Delete(request))
            }
            Event::Init => {
                self.lock().listed = Some(Notes::new());
                Some(Event::Init)
            }
            Event::InitDone => {
                let mut held = self.lock();
                let mut listed = held.listed.take().unwrap_or_default();
                // Who has asked for a look meanwhile still waits for it.
                for (name, before) in &held.notes {
                    if let Some(note) = listed.get_mut(name) {
                        note.look_before(before.look_at);
                    }
                }
                // Collected anew, as a list in order leaves every leaf half empty.
                let listed = listed.into_iter().collect();
                held.former = std::mem::replace(&mut held.notes, listed);
                drop(held);
                self.asked.notify_one();
                Some(Event::InitDone)
            }
            Event::Apply(_) | Event::InitApply(_) => Some(event),
        }
    }

    /// The store of objects has heard of it.
    pub(in super::super) fn after(&self, event: &Shown) {
        match event {
            // It was reopened.
            Event::Apply(request) => {
                self.lock().notes.remove(&key(&Name::of(request)));
            }
            Event::InitDone => self.lock().former = Notes::new(),
            Event::Delete(_) | Event::Init | Event::InitApply(_) => {}
        }
    }

    fn note(&self, request: &DynamicObject, context: &Context) {
        let status = read_status(request);
        let Name { namespace, name } = Name::of(request);
        // Whoever has ended is waited for by nobody.
        let metrics = &context.metrics;
        let why = not_ready(&status.conditions);
        metrics.stands(Kind::ErasureRequest, &namespace, &name, why);
        metrics.request_due(&namespace, &name, None);
        let mut held = self.lock();
        let note = Box::new(Note {
            uid: Uid::of(&request.uid().unwrap_or_default()),
            of: Remembered::of(&status, |text| held.interned(text)),
            look_at: None,
        });
        let key = (held.interned(&namespace), Box::from(name));
        let before = held.current().insert(key.clone(), note);
        drop(held);
        // Only now: who asks for a look while it is judged finds the note.
        let look_at = if is_settled(request, context) {
            next_look(request, &status, context)
        } else {
            Some(Timestamp::now())
        };
        if let Some(note) = self.lock().current().get_mut(&key) {
            note.look_before(look_at);
            note.look_before(before.and_then(|before| before.look_at));
        }
    }

    /// Shows each, and returns those that are objects at the same instant and not noted: one that ends or
    /// is reopened meanwhile is known by both for a moment.
    pub(in super::super) fn each(
        &self,
        open: impl FnOnce() -> Vec<Arc<Stored>>,
        mut show: impl FnMut(&Known<'_>),
    ) -> Vec<Arc<Stored>> {
        let held = self.lock();
        for ((namespace, name), note) in held.all() {
            show(&Known {
                namespace,
                name,
                uid: note.uid.text(&mut [0; Hyphenated::LENGTH]),
                of: &note.of,
            });
        }
        let mut open = open();
        open.retain(|request| !held.has(&key(&request.name())));
        open
    }

    /// Whether there is one of that name.
    pub(in super::super) fn has(&self, name: &Name) -> bool {
        self.lock().has(&key(name))
    }

    /// Asks for a look as soon as possible; whether there is one of that name.
    pub(in super::super) fn nudge(&self, name: &Name) -> bool {
        let known = self.look_at(name, Timestamp::now());
        if known {
            self.asked.notify_one();
        }
        known
    }

    /// Asks for a look at that time, or before it.
    fn look_at(&self, name: &Name, at: Timestamp) -> bool {
        let mut held = self.lock();
        let Some(note) = held.notes.get_mut(&key(name)) else {
            return false;
        };
        note.look_before(Some(at));
        true
    }

    /// Some that are due, which they are not any more.
    fn take_due(&self) -> Vec<Name> {
        let mut held = self.lock();
        let due = held.notes.iter_mut().filter(|(_, note)| note.is_due());
        let mut due: Vec<_> = due.collect();
        // Those that fail again and again come behind those that have waited for longer.
        due.sort_by_key(|(_, note)| note.look_at);
        let taken = due
            .into_iter()
            .take(AT_ONCE)
            .map(|((namespace, name), note)| {
                note.look_at = None;
                Name::new(&**namespace, &**name)
            });
        taken.collect()
    }

    /// Looks at those that are due, for as long as it is polled.
    pub(in super::super) async fn run(&self, context: &Arc<Context>) {
        context.scopes.wait_until_known().await;
        while !context.stop.is_cancelled() {
            let due = self.take_due();
            if due.is_empty() {
                tokio::select! {
                    () = self.asked.notified() => {}
                    () = tokio::time::sleep(TURN) => {}
                    () = context.stop.cancelled() => {}
                }
                continue;
            }
            let looks = stream::iter(due);
            let looks = looks.for_each_concurrent(AT_ONCE, |name| self.look(name, context));
            looks.await;
        }
        std::future::pending::<()>().await;
    }

    async fn look(&self, name: Name, context: &Arc<Context>) {
        let kind = &*context.kinds.request;
        let api: Api<DynamicObject> =
            Api::namespaced_with(context.client.clone(), &name.namespace, kind);
        let request = match record::read_again(&api, &name.name).await {
            Ok(request) => Arc::new(request),
            // The watch tells it.
            Err(RecordFault::Gone) => return,
            Err(fault) => {
                tracing::warn!(%name, error = %fault, "a request could not be read; it is tried again");
                self.later(&name);
                return;
            }
        };
        let looked: Result<_, Error> =
            reconcile(Kind::ErasureRequest, request.clone(), context.clone()).await;
        if let Err(error) = looked {
            let _pause = after_error(Kind::ErasureRequest, &name, &error, context);
            self.later(&name);
            return;
        }
        let next = next_look(&request, &read_status(&request), context);
        if let Some(next) = next.filter(|next| *next > Timestamp::now()) {
            self.look_at(&name, next);
        }
        if self.has(&name) {
            // Nothing of it is remembered between two looks.
            context.memory.forget(&request.uid().unwrap_or_default());
        }
    }

    fn later(&self, name: &Name) {
        let jitter: f64 = rand::random();
        let pause = SignedDuration::try_from(AFTER_ERROR.mul_f64(1.0 + jitter));
        let at = Timestamp::now() + pause.unwrap_or(SignedDuration::ZERO);
        self.look_at(name, at);
    }
}

/// When it is to be looked at, if nobody touches it: something of it ends, or a reply is dated in the future.
fn next_look(
    request: &DynamicObject,
    status: &ErasureRequestStatus,
    context: &Context,
) -> Option<Timestamp> {
    let platform = &context.platform;
    let ends = next_end(status, &platform.records, &platform.calendar);
    let changes = clock_of(&parse(request), context).changes_at;
    ends.into_iter().chain(changes).min()
}

/// Whether nothing but its records is left of it.
fn has_ended(request: &DynamicObject) -> bool {
    let at = request.data.pointer("/status/finishedAt");
    // What is no instant is begun anew, as the rest of such a status.
    at.is_some() && read_status(request).finished_at.is_some()
}

/// Whether a look at it would change nothing.
fn is_settled(request: &DynamicObject, context: &Context) -> bool {
    context.metrics.reconciled(Kind::ErasureRequest);
    if request.finalizers().iter().any(|name| name == FINALIZER) {
        return false;
    }
    let status = read_status(request);
    // What only those need that have not ended is not looked for.
    let chosen = Err(Verdict::new(Reason::Pending, "the request has ended"));
    let given = Given::default();
    let spec = parse(request);
    let decision = decide_from(
        request,
        (&spec, &status),
        &chosen,
        &Done::default(),
        &given,
        context,
    );
    decision.action.is_none() && decision.status == status
}

/// One that has ended was changed.
pub(super) fn saw(request: &DynamicObject, context: &Context) {
    if let Some(uid) = request.uid() {
        context.memory.forget(&uid);
    }
    context.scopes.look_again_at_restored(request, context);
    super::duplicates::saw(request, context);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_uid_has_the_text_that_it_was_given() {
        for (text, is_short) in [
            ("5f0c1f0e-5c1f-4f6e-9a53-5b7f3c1d2e4a", true),
            ("5F0C1F0E-5C1F-4F6E-9A53-5B7F3C1D2E4A", false),
            ("5f0c1f0e5c1f4f6e9a535b7f3c1d2e4a", false),
            ("u-1", false),
            ("", false),
        ] {
            let uid = Uid::of(text);
            assert_eq!(uid.text(&mut [0; Hyphenated::LENGTH]), text);
            assert_eq!(matches!(uid, Uid::Uuid(_)), is_short, "{text}");
        }
    }
}
