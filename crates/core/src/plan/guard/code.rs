//! Functions that a table's owner has hung on it and that would run with the operator's privileges.

use super::{Found, Subject, Touch, found};
use crate::api::reason::Reason;

/// Refuses what would call them.
pub(super) fn guard(s: &Subject<'_>) -> Vec<Found> {
    let writes = matches!(s.touch, Touch::Update(_));
    let code = s.table.code.iter().filter(|code| code.on_read || writes);
    let names: Vec<&str> = code.map(|code| code.what.as_str()).collect();
    if names.is_empty() {
        return Vec::new();
    }
    found(
        Reason::TriggerPresent,
        format!(
            "functions or types that belong to no administrator would run with the privileges of {}, \
             and could change anything that it may: {}; let a superuser own them after looking at \
             them, or leave the table out",
            s.catalog.user,
            names.join(", ")
        ),
    )
}
