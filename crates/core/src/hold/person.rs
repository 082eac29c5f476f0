//! A hold on a person as the ledger keeps it: what they are known by, and through which maps they are
//! found. Which rows are theirs is asked anew by every run; none of them is remembered.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use super::Hold;
use crate::people::Known;
use crate::value::Personal;

/// What the ledger says in place of a table. It cannot be the name of one, and so is never taken for one
/// that a plan has nothing to do with.
pub const PERSON: &str = ".person";

/// A hold on a person.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HeldPerson {
    /// The resource's UID.
    pub id: String,
    /// Its namespace and name, for people.
    pub name: String,
    /// The DataMaps through which they are found in this database, by namespace and name. Never empty.
    pub maps: BTreeSet<String>,
    /// What they are known by. Never empty.
    pub known: Known,
}

/// The holds of a database that are in force.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Holds {
    /// Those on rows.
    pub rows: Vec<Hold>,
    /// Those on persons.
    pub persons: Vec<HeldPerson>,
}

impl Holds {
    /// Whether the hold with this id is among them.
    pub fn has(&self, id: &str) -> bool {
        self.rows.iter().any(|hold| hold.id == id) || self.persons.iter().any(|hold| hold.id == id)
    }
}

/// What the ledger keeps of a hold beside what the person is known by.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Stored {
    maps: BTreeSet<String>,
}

impl HeldPerson {
    /// The maps, for the ledger. They stay when the rest is cleared.
    pub fn predicate(&self) -> String {
        let stored = Stored {
            maps: self.maps.clone(),
        };
        serde_json::to_string(&stored).expect("texts are JSON")
    }

    /// What the person is known by, for the ledger.
    pub fn keys(&self) -> Zeroizing<String> {
        let of = |name| {
            self.known
                .texts(name)
                .iter()
                .map(Personal::expose)
                .collect()
        };
        let keys: BTreeMap<&str, Vec<&str>> =
            self.known.names().map(|name| (name, of(name))).collect();
        Zeroizing::new(serde_json::to_string(&keys).expect("texts are JSON"))
    }

    /// A hold as the ledger has it; `None`: it is not one that this program wrote.
    pub fn stored(id: &str, name: &str, predicate: &str, keys: &str) -> Option<Self> {
        let Stored { maps } = serde_json::from_str(predicate).ok()?;
        let keys: BTreeMap<String, Vec<String>> = serde_json::from_str(keys).ok()?;
        let mut known = Known::default();
        for (name, texts) in keys {
            for text in texts {
                known.add(&name, Personal::new(text));
            }
        }
        let whole = !maps.is_empty() && known.names().next().is_some();
        whole.then(|| Self {
            id: id.to_owned(),
            name: name.to_owned(),
            maps,
            known,
        })
    }

    /// The same, with what another one of the same person adds; `None`: it adds nothing.
    pub fn with(&self, maps: &BTreeSet<String>, known: &Known) -> Option<Self> {
        let mut wider = self.clone();
        wider.maps.extend(maps.iter().cloned());
        wider.known.add_all(known);
        (wider != *self).then_some(wider)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hold() -> HeldPerson {
        let mut known = Known::default();
        known.add("email", Personal::new("ada@example.org"));
        known.add("email", Personal::new("a\"da@example.org"));
        known.add("uln", Personal::new("71"));
        HeldPerson {
            id: "uid".to_owned(),
            name: "crm/matter".to_owned(),
            maps: BTreeSet::from(["crm/people".to_owned()]),
            known,
        }
    }

    #[test]
    fn a_hold_on_a_person_comes_back_from_the_ledger_as_it_was_put_there() {
        let hold = hold();
        let stored =
            |predicate: &str, keys: &str| HeldPerson::stored("uid", "crm/matter", predicate, keys);
        let back = stored(&hold.predicate(), &hold.keys());
        assert_eq!(back, Some(hold.clone()));
        assert!(!hold.predicate().contains("ada"));
        for (predicate, keys) in [
            ("{\"maps\": []}", "{\"email\": [\"a\"]}"),
            ("{\"maps\": [\"a/b\"]}", "{}"),
            ("{\"maps\": [\"a/b\"], \"more\": 1}", "{\"email\": [\"a\"]}"),
            // Of a hold on rows.
            (
                "[{\"column\":\"a\",\"operator\":\"IsNull\"}]",
                "{\"email\": [\"a\"]}",
            ),
        ] {
            assert_eq!(stored(predicate, keys), None, "{predicate} {keys}");
        }
        // Nor is it taken for a hold on rows, by this program or an older one.
        let rows = Hold::stored("uid", "n", "a.b", &hold.predicate(), &hold.keys());
        assert_eq!(rows, None);
        assert!(PERSON.parse::<crate::name::TableName>().is_err());
    }

    #[test]
    fn a_hold_only_grows() {
        let hold = hold();
        let mut known = Known::default();
        known.add("uln", Personal::new("71"));
        assert_eq!(hold.with(&BTreeSet::new(), &known), None);
        known.add("learnerNumber", Personal::new("9"));
        let wider = hold.with(&BTreeSet::from(["crm/more".to_owned()]), &known);
        let wider = wider.unwrap();
        assert_eq!((wider.maps.len(), wider.known.names().count()), (2, 3));
    }

    #[test]
    fn debug_output_never_shows_what_a_person_is_known_by() {
        let shown = format!("{:?}", hold());
        assert!(!shown.contains("example.org"), "{shown}");
    }
}
