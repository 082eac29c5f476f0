//! What requests of persons need, as far as a map tells by itself. A reference that no way of the map
//! follows is known to the catalog only: the plan names what is missing for it.

use std::collections::BTreeMap;

use super::Needed;
use crate::catalog::Engine;
use crate::duty::{Against, DataMap, MappedTable};
use crate::name::{Ident, TableName};
use crate::people::{Decision, Way};

/// What a map of persons needs beyond SELECT, by table: DELETE where rows go, UPDATE of the columns that
/// are transformed. What is only searched, or kept, is only read.
pub fn needed_by_people(map: &DataMap, engine: Engine) -> BTreeMap<TableName, Needed> {
    let mut tables: BTreeMap<TableName, Needed> = BTreeMap::new();
    if map.people.roles.is_empty() {
        return tables;
    }
    for role in &map.people.roles {
        tables.entry(role.table.clone()).or_default();
    }
    for entry in &map.tables {
        let own = tables.entry(entry.table.clone()).or_default();
        let Some(reached) = &entry.reached else {
            continue;
        };
        let deletes = reached.decision == Decision::Delete;
        own.delete |= deletes;
        let in_part = entry.keeps_parts(Against::Erasure);
        let treated = entry.columns.iter().filter(|mapped| {
            // Of rows that go, columns are transformed where a duty keeps others, and where a request is
            // about a purpose of theirs only.
            mapped.strategy.is_some() && (!deletes || in_part || !mapped.purposes.is_empty())
        });
        own.update
            .extend(treated.map(|mapped| mapped.column.clone()));
        if engine == Engine::Postgres {
            own.update.extend(followed(entry));
            own.lock = own.lock.take().or_else(|| told_by(map, entry));
        }
    }
    tables
}

/// The columns by which rows hang on others: what goes with those is locked by them.
fn followed(entry: &MappedTable) -> impl Iterator<Item = Ident> {
    let ways = entry.reached.iter().flat_map(|reached| &reached.ways);
    ways.flat_map(|way| match way {
        Way::OfRole(_, pairs) | Way::OfEntry(_, pairs) => pairs.as_slice(),
        Way::Role(_) | Way::Own(_) => &[],
    })
    .map(|(own, _)| own.clone())
}

/// A column of the entry's table that leads to the person.
fn told_by(map: &DataMap, entry: &MappedTable) -> Option<Ident> {
    let mut ways = entry.reached.iter().flat_map(|reached| &reached.ways);
    ways.find_map(|way| match way {
        Way::Role(role) => {
            let identifiers = map.people.role(role)?.identifiers.first();
            identifiers.map(|identifier| identifier.column.clone())
        }
        Way::OfRole(_, pairs) | Way::OfEntry(_, pairs) => pairs.first().map(|(own, _)| own.clone()),
        Way::Own(identifier) => Some(identifier.column.clone()),
    })
}
