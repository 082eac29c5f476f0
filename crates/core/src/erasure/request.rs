//! A parsed ErasureRequest; `api::erasure_request` is what people write.

use std::collections::BTreeSet;

use jiff::Timestamp;

use crate::api::erasure_request::{
    CloseName, ConfirmedName, ExtensionReason, RefusalGround, RequestGround,
};

/// One person's request, without the person.
#[derive(Clone, Debug)]
pub struct Request {
    /// The Secret with the identifiers, in the request's namespace.
    pub secret: String,
    /// The case's number elsewhere.
    pub case: String,
    /// Who filed it.
    pub requested_by: String,
    /// When it reached the organisation.
    pub received_at: Timestamp,
    /// Where somebody else speaks for the person: since when their authority is verified, if it is.
    pub speaks_since: Option<Option<Timestamp>>,
    /// Whether the person has to prove who they are.
    pub identity_required: bool,
    /// When they did.
    pub identified_at: Option<Timestamp>,
    /// More time to answer.
    pub extension: Option<Extension>,
    /// On which grounds.
    pub grounds: Vec<RequestGround>,
    /// What it is about.
    pub scope: Scope,
    /// What somebody has confirmed.
    pub confirmations: Vec<Confirmation>,
    /// How somebody has ended it.
    pub close: Option<Close>,
    /// When the person was answered.
    pub replied_at: Option<Timestamp>,
    /// Whether its work is to stop.
    pub suspend: bool,
}

impl Request {
    /// Whether the person, and whoever speaks for them, have proved what they must.
    pub fn is_identified(&self) -> bool {
        (!self.identity_required || self.identified_at.is_some()) && self.speaks_since != Some(None)
    }

    /// From when on the time to answer runs: the latest of receipt and proof (Art. 12(3), 12(6)).
    /// `None`: it has not begun.
    pub fn counts_from(&self) -> Option<Timestamp> {
        if !self.is_identified() {
            return None;
        }
        let proved = self.identified_at.filter(|_| self.identity_required);
        let spoken = self.speaks_since.flatten();
        [Some(self.received_at), proved, spoken]
            .into_iter()
            .flatten()
            .max()
    }
}

/// More time to answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Extension {
    /// By how many months, 1 or 2.
    pub months: u8,
    /// Why.
    pub reason: ExtensionReason,
    /// When the person was told.
    pub notified_at: Timestamp,
}

/// What a request is about.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Scope {
    /// Only this role.
    pub role: Option<String>,
    /// Only these maps; none: see [`Scope::means`].
    pub maps: Vec<MapName>,
    /// Only these purposes; none: all.
    pub purposes: Vec<String>,
}

impl Scope {
    /// Whether a request or hold of the namespace `own` is about the map of that namespace and name, as far as it
    /// may use it. One that names none is about those of its own namespace and of the `trusted` ones: whoever
    /// writes a map is sent what a person is known by, and nobody is to write one for others by themselves.
    pub fn means(&self, own: &str, map: (&str, &str), trusted: &BTreeSet<String>) -> bool {
        if self.maps.is_empty() {
            return map.0 == own || trusted.contains(map.0);
        }
        let mut named = self.maps.iter();
        named.any(|named| (named.namespace.as_deref().unwrap_or(own), &*named.name) == map)
    }
}

/// A DataMap's name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MapName {
    /// Its namespace, where it is not the request's own.
    pub namespace: Option<String>,
    /// Its name.
    pub name: String,
}

/// What somebody has confirmed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Confirmation {
    /// What.
    pub item: String,
    /// That it is done, or why it is not.
    pub outcome: ConfirmedName,
    /// Who says so.
    pub by: String,
    /// When.
    pub at: Timestamp,
}

/// How somebody ends a request that erases nothing more.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Close {
    /// How.
    pub outcome: CloseName,
    /// Why it is refused.
    pub ground: Option<RefusalGround>,
    /// Who decides.
    pub by: String,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_map_of_others_is_meant_where_it_is_named_or_its_namespace_trusted() {
        let (nobody, trusted) = (BTreeSet::new(), BTreeSet::from(["hr".to_owned()]));
        let all = Scope::default();
        assert!(all.means("crm", ("crm", "a"), &nobody));
        assert!(!all.means("crm", ("hr", "a"), &nobody));
        assert!(all.means("crm", ("hr", "a"), &trusted));
        assert!(!all.means("crm", ("evil", "a"), &trusted));
        let map = |namespace: Option<&str>| MapName {
            namespace: namespace.map(str::to_owned),
            name: "a".to_owned(),
        };
        let named = Scope {
            maps: vec![map(None), map(Some("evil"))],
            ..Scope::default()
        };
        assert!(named.means("crm", ("crm", "a"), &nobody));
        assert!(named.means("crm", ("evil", "a"), &nobody));
        assert!(!named.means("crm", ("crm", "b"), &nobody));
        assert!(!named.means("crm", ("hr", "a"), &trusted));
    }
}
