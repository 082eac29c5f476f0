//! Tables from which others inherit (PostgreSQL).

use super::{Found, Subject, found};
use crate::api::reason::Reason;
use crate::name::TableName;

/// Statements say ONLY: what is decided about a table is not decided about those that inherit from it.
pub(super) fn guard(s: &Subject<'_>, children: &[TableName]) -> Vec<Found> {
    let is_own = s.catalog.is(&s.rule.table, &s.table.name);
    let related = s.rule.related.iter().map(|related| &related.table);
    let others = s.policy.rules.iter().map(|rule| &rule.table);
    let others = others.filter(|_| is_own);
    let decided: Vec<&TableName> = related.chain(others).chain([&s.rule.table]).collect();
    let open = children
        .iter()
        .filter(|child| !decided.iter().any(|name| s.catalog.is(name, child)));
    let open: Vec<String> = open.map(ToString::to_string).collect();
    if open.is_empty() {
        return Vec::new();
    }
    let entry = if is_own {
        "a rule"
    } else {
        "an entry of `related`"
    };
    found(
        Reason::TableUnfit,
        format!(
            "rows of {} are inherited: write {entry} for each of them too",
            open.join(", ")
        ),
    )
}
