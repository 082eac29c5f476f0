//! `mapNamespaces`: whose DataMaps belong to requests and holds of every namespace.

use std::collections::BTreeSet;

use crate::api::parse::{At, all};

/// Namespaces at the most.
pub const MAX_NAMESPACES: usize = 128;

/// `at`: the list.
pub(super) fn parse(at: &At<'_>, names: Option<&[String]>) -> Option<BTreeSet<String>> {
    let names = names.unwrap_or_default();
    at.bounded(names, MAX_NAMESPACES);
    let names = all(names, |i, name| at.index(i).namespace(name))?;
    Some(names.into_iter().collect())
}
