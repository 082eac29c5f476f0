//! What is said of references that are not decided, and the entry that decides one.

use crate::api::reason::Reason;
use crate::catalog::{Catalog, OnDelete, Reference, Table};
use crate::name::Ident;
use crate::plan::Refusal;
use crate::policy::{Related, Rule};
use crate::yaml::scalar;

/// The entry of `related` that decides a reference, with what else its action could be. A reference
/// that `closes` a circle is let go of where it may be NULL: what hangs on its rows could be half of
/// the database.
pub fn entry(reference: &Reference, closes: bool) -> String {
    let columns = reference.from_columns.iter().zip(&reference.to_columns);
    let matches = columns.map(|(from, to)| {
        let (from, to) = (scalar(from.as_str()), scalar(to.as_str()));
        format!("{{column: {from}, equals: {to}}}")
    });
    let action = match (reference.nullable, closes) {
        (true, false) => {
            "{type: Delete}   # the rows go with their parent, or {type: Detach} to keep the row"
        }
        (true, true) => {
            "{type: Detach}   # the rows stay, or {type: Delete}: all that hang on them go, too"
        }
        (false, _) => "{type: Delete}   # the rows go with their parent",
    };
    format!(
        "- table: {}\n  of: {}\n  match: [{}]\n  action: {action}",
        scalar(&reference.from.to_string()),
        scalar(&reference.to.to_string()),
        matches.collect::<Vec<_>>().join(", "),
    )
}

pub(super) fn undecided(rule: &Rule, reference: &Reference, closes: bool) -> Refusal {
    let would = match reference.on_delete {
        _ if !reference.enforced => "is not enforced by the database",
        OnDelete::Refuse => "would refuse the delete",
        OnDelete::Cascade => "would silently delete rows there (ON DELETE CASCADE)",
        OnDelete::SetNull | OnDelete::SetDefault => "would silently change rows there",
    };
    let columns: Vec<_> = reference.from_columns.iter().map(Ident::as_str).collect();
    Refusal::of(
        &rule.name,
        Reason::ReferenceUndecided,
        format!(
            "{} ({}) references {} and {would}: nothing decides what happens to its rows",
            reference.from,
            columns.join(", "),
            reference.to,
        ),
    )
    .remedy(format!("related:\n{}", entry(reference, closes)))
}

/// Rows of one table that would be sealed or deleted, depending on which way leads to them.
pub(super) fn half_sealed(rule: &Rule, table: &Table) -> Refusal {
    Refusal::of(
        &rule.name,
        Reason::ReferenceUnsupported,
        format!(
            "related {}: rows of one table are sealed or deleted, not both: give all of its entries, \
             and the rule where it is the rule's own table, the action Seal",
            table.name
        ),
    )
}

pub(super) fn missing(related: &Related) -> String {
    format!(
        "related table {} does not exist or is not visible",
        related.table
    )
}

pub(super) fn unmatched(catalog: &Catalog, rule: &Rule, related: &Related) -> Refusal {
    if catalog.table(&related.table).is_none() {
        return Refusal::of(&rule.name, Reason::TableMissing, missing(related));
    }
    Refusal::of(
        &rule.name,
        Reason::ReferenceUnsupported,
        format!(
            "related {} of {}: no entry leads from the rule's table to {}",
            related.table, related.of, related.of
        ),
    )
}
