//! Which other requests give one of the same identifiers, and so are about the same person, as far as
//! anybody can tell. Those that have not ended are known by keyed digests of what their Secrets say, those
//! that have by what the ledgers keep of what they erased.
//!
//! Owns what is told of them. It must not tell of whom they are, or a name to another namespace.

use std::collections::{BTreeMap, BTreeSet};

use super::SuppressionKey;
use crate::api::erasure_request::{DuplicateState, DuplicateStatus, MAX_DUPLICATES};
use crate::duty::NamedMap;
use crate::people::Known;
use crate::plan::identifiers_of;

/// An identifier in one database, as nobody reads it: the database's UID and a digest.
pub type Mark = (String, String);

/// The digests of what a person is known by, made comparable as a map says.
pub fn digests(key: &SuppressionKey, map: &NamedMap, known: &Known) -> BTreeSet<String> {
    let digests = |(at, how): (crate::ledger::ErasedAt, _)| {
        let key = key.of_identifier(&at.name, how);
        let texts = known.texts(&at.name).iter();
        texts
            .filter_map(|text| key.digest(text.expose()))
            .collect::<Vec<_>>()
    };
    identifiers_of(map, None)
        .into_iter()
        .flat_map(digests)
        .collect()
}

/// What is known of one request.
#[derive(Clone, Debug, Default)]
struct Marked {
    marks: BTreeSet<Mark>,
    /// UIDs of requests that have erased one of its identifiers.
    erased: BTreeSet<String>,
    completed: bool,
}

/// Whom requests are about that have not ended, by their UIDs.
#[derive(Clone, Debug, Default)]
pub struct Marks {
    requests: BTreeMap<String, Marked>,
    by_mark: BTreeMap<Mark, BTreeSet<String>>,
}

impl Marks {
    /// Whether it is known whom a request is about.
    pub fn has(&self, request: &str) -> bool {
        self.requests.contains_key(request)
    }

    /// Notes whom a request is about; whether that is news.
    pub fn note(&mut self, request: &str, marks: BTreeSet<Mark>) -> bool {
        let before = self.requests.get(request);
        if before.is_some_and(|before| before.marks == marks) {
            return false;
        }
        self.forget(request);
        for mark in &marks {
            let sharing = self.by_mark.entry(mark.clone()).or_default();
            sharing.insert(request.to_owned());
        }
        let marked = Marked {
            marks,
            ..Marked::default()
        };
        self.requests.insert(request.to_owned(), marked);
        true
    }

    /// Notes which requests have erased one of its identifiers.
    pub fn note_erased(&mut self, request: &str, erased: BTreeSet<String>) {
        if let Some(marked) = self.requests.get_mut(request) {
            marked.erased = erased;
        }
    }

    /// Notes that a request is complete; whether that is news.
    pub fn complete(&mut self, request: &str) -> bool {
        let marked = self.requests.get_mut(request);
        marked.is_some_and(|marked| !std::mem::replace(&mut marked.completed, true))
    }

    /// The other requests that are about the same person.
    pub fn sharing(&self, request: &str) -> BTreeSet<String> {
        let marks = self.requests.get(request).map(|marked| &marked.marks);
        let sharing = marks
            .into_iter()
            .flatten()
            .filter_map(|mark| self.by_mark.get(mark));
        let others = sharing.flatten().filter(|other| *other != request);
        others.cloned().collect()
    }

    /// The other requests that have erased one of its identifiers.
    pub fn erased(&self, request: &str) -> BTreeSet<String> {
        let marked = self.requests.get(request);
        marked.map_or_else(BTreeSet::new, |marked| marked.erased.clone())
    }

    /// Forgets a request.
    pub fn forget(&mut self, request: &str) {
        let marked = self.requests.remove(request).unwrap_or_default();
        for mark in marked.marks {
            if let Some(sharing) = self.by_mark.get_mut(&mark) {
                sharing.remove(request);
                if sharing.is_empty() {
                    self.by_mark.remove(&mark);
                }
            }
        }
    }
}

/// Another request that still exists.
#[derive(Clone, Debug)]
pub struct Other {
    /// Its namespace.
    pub namespace: String,
    /// Its name.
    pub name: String,
    /// How far it is; `None`: it came to nothing that anybody needs to know of.
    pub state: Option<DuplicateState>,
}

/// What is to be told on a request in this namespace. `before`: what is told already; `sharing` and
/// `erased`: UIDs of the others as they are known by now; `others`: those that exist.
pub fn duplicates(
    namespace: &str,
    before: &[DuplicateStatus],
    sharing: &BTreeSet<String>,
    erased: &BTreeSet<String>,
    others: &BTreeMap<String, Other>,
) -> Vec<DuplicateStatus> {
    let told: BTreeMap<&str, &DuplicateStatus> =
        before.iter().map(|one| (one.uid.as_str(), one)).collect();
    let all = told.keys().copied();
    let all = all.chain(sharing.iter().chain(erased).map(String::as_str));
    let all: BTreeSet<&str> = all.collect();
    let mut duplicates: Vec<DuplicateStatus> = all
        .into_iter()
        .filter_map(|uid| {
            let other = others.get(uid);
            let state = if erased.contains(uid) {
                Some(DuplicateState::Completed)
            } else if let Some(other) = other {
                other.state
            } else {
                // One that went before it was complete was taken back.
                let told = told.get(uid).and_then(|told| told.state.known());
                told.filter(|state| *state == DuplicateState::Completed)
            };
            let here = other.filter(|other| other.namespace == namespace);
            Some(DuplicateStatus {
                uid: uid.to_owned(),
                name: here.map(|other| other.name.clone()),
                state: state?.into(),
            })
        })
        .collect();
    duplicates.sort_by_key(|one| (one.name.is_none(), one.name.clone(), one.uid.clone()));
    duplicates.truncate(MAX_DUPLICATES);
    duplicates
}

/// One of them for people.
pub fn named(duplicate: &DuplicateStatus) -> String {
    let name = duplicate.name.as_deref();
    format!(
        "{} ({})",
        name.unwrap_or("one in another namespace, or that is gone"),
        duplicate.state.text()
    )
}

/// All of them in a sentence; `None`: there are none.
pub fn sentence(duplicates: &[DuplicateStatus]) -> Option<String> {
    let names: Vec<String> = duplicates.iter().map(named).collect();
    let names = names.join(", ");
    match duplicates.len() {
        0 => None,
        1 => Some(format!(
            "another request gives one of the same identifiers: {names}"
        )),
        many => Some(format!(
            "{many} other requests give one of the same identifiers: {names}"
        )),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::duty::DataMap;
    use crate::value::Personal;

    fn key() -> SuppressionKey {
        SuppressionKey::of(&[7; 32]).unwrap()
    }

    fn map() -> NamedMap {
        let spec = serde_json::from_value(json!({
            "databaseRef": {"name": "crm"},
            "subjects": [{"role": "learner", "table": "public.learners", "identifiers": [
                {"name": "email", "column": "email", "normalise": "LowercaseTrim"},
                {"name": "number", "column": "no"}]}],
            "tables": [{"name": "learners", "table": "public.learners",
                        "reachedBy": [{"from": "learner"}], "decision": {"type": "Delete"}}],
        }))
        .unwrap();
        NamedMap {
            name: "crm/crm".to_owned(),
            map: DataMap::alone(&spec).unwrap(),
        }
    }

    fn marks(database: &str, identifiers: &[(&str, &str)]) -> BTreeSet<Mark> {
        let mut known = Known::default();
        for (name, text) in identifiers {
            known.add(name, Personal::new(*text));
        }
        let digests = digests(&key(), &map(), &known).into_iter();
        digests
            .map(|digest| (database.to_owned(), digest))
            .collect()
    }

    fn set(uids: &[&str]) -> BTreeSet<String> {
        uids.iter().map(|uid| (*uid).to_owned()).collect()
    }

    #[test]
    fn requests_share_a_person_by_one_identifier_however_it_is_written_in_one_database() {
        let mut all = Marks::default();
        assert!(all.note("a", marks("d", &[("email", "Ada@x.org"), ("number", "7")])));
        assert!(all.note("b", marks("d", &[("email", " ada@X.org ")])));
        all.note("c", marks("d", &[("number", "7")]));
        all.note("d", marks("d", &[("email", "eve@x.org"), ("number", "8")]));
        all.note("e", marks("elsewhere", &[("email", "ada@x.org")]));
        // Under another name it is another identifier, and what is empty is nobody's.
        all.note("f", marks("d", &[("email", "7"), ("number", "")]));
        assert_eq!(all.sharing("a"), set(&["b", "c"]));
        assert_eq!(all.sharing("b"), set(&["a"]));
        for alone in ["d", "e", "f", "unknown"] {
            assert_eq!(all.sharing(alone), set(&[]), "{alone}");
        }
        all.forget("a");
        assert!(!all.has("a") && all.has("b"));
        assert_eq!(all.sharing("b"), set(&[]));
        all.forget("b");
        all.note("b", marks("d", &[("email", "eve@x.org")]));
        assert_eq!(all.sharing("d"), set(&["b"]));
    }

    #[test]
    fn what_is_noted_or_complete_already_is_no_news() {
        let mut all = Marks::default();
        let ada = || marks("d", &[("email", "ada@x.org")]);
        assert!(!all.complete("a"), "nobody knows of it");
        assert!(all.note("a", ada()));
        all.note_erased("a", set(&["old"]));
        assert!(!all.note("a", ada()));
        assert_eq!(all.erased("a"), set(&["old"]));
        assert!(all.complete("a") && !all.complete("a"));
        // Somebody else is meant by now.
        assert!(all.note("a", marks("d", &[("email", "eve@x.org")])));
        assert_eq!(all.erased("a"), set(&[]));
    }

    fn other(namespace: &str, name: &str, state: Option<DuplicateState>) -> Other {
        Other {
            namespace: namespace.to_owned(),
            name: name.to_owned(),
            state,
        }
    }

    #[test]
    fn names_are_told_in_their_own_namespace_and_what_was_taken_back_is_not_told() {
        let others = BTreeMap::from([
            (
                "1".to_owned(),
                other("crm", "b", Some(DuplicateState::Open)),
            ),
            (
                "2".to_owned(),
                other("crm", "a", Some(DuplicateState::Completed)),
            ),
            (
                "3".to_owned(),
                other("secret-team", "hidden", Some(DuplicateState::Open)),
            ),
            ("4".to_owned(), other("crm", "d", None)),
        ]);
        let told = duplicates(
            "crm",
            &[],
            &set(&["1", "2", "3", "4", "gone"]),
            &set(&["ended"]),
            &others,
        );
        assert_eq!(
            sentence(&told).unwrap(),
            "4 other requests give one of the same identifiers: a (Completed), b (Open), one in another \
             namespace, or that is gone (Open), one in another namespace, or that is gone (Completed)"
        );
        // What is told stays, until it is taken back or goes before it was complete.
        let open = Some(DuplicateState::Open);
        let later = BTreeMap::from([("1".to_owned(), other("crm", "b", open))]);
        let later = duplicates("crm", &told, &set(&[]), &set(&[]), &later);
        let states: Vec<_> = later
            .iter()
            .map(|one| (&*one.uid, one.state.text()))
            .collect();
        assert_eq!(
            states,
            [("1", "Open"), ("2", "Completed"), ("ended", "Completed")]
        );
        let back = BTreeMap::from([("1".to_owned(), other("crm", "b", None))]);
        let back = duplicates("crm", &later[..1], &set(&["1"]), &set(&[]), &back);
        assert_eq!(sentence(&back), None);
    }

    #[test]
    fn no_more_are_told_than_a_status_has_room_for() {
        let many: Vec<String> = (0..40).map(|n| n.to_string()).collect();
        let many: Vec<&str> = many.iter().map(String::as_str).collect();
        let told = duplicates("crm", &[], &set(&[]), &set(&many), &BTreeMap::new());
        assert_eq!(told.len(), MAX_DUPLICATES);
    }
}
