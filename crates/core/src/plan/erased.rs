//! The columns in which erased persons would show up again: every identifier that a map names, typed
//! against the catalog.

use std::collections::BTreeMap;

use super::guard::walked_key;
use super::lookup::can_be;
use super::refusal::Refusal;
use crate::api::reason::Reason;
use crate::catalog::{Catalog, Column, ColumnKind};
use crate::duty::NamedMap;
use crate::ledger::ErasedAt;
use crate::name::TableName;
use crate::people::{Identifier, Way};
use crate::policy::Normalise;
use crate::sql::{Digested, WindowSql};

/// One of them.
#[derive(Clone, Debug)]
pub struct ErasedColumn {
    /// Where it stands in its map.
    pub at: ErasedAt,
    /// Its table, with the key by which its rows are named.
    pub window: WindowSql,
    /// The column, hashed.
    pub digested: Digested,
}

/// The tables that have such columns.
pub fn identified_tables(maps: &[NamedMap]) -> Vec<TableName> {
    let mut all: Vec<TableName> = named(maps).map(|(_, table, _)| table.clone()).collect();
    all.sort();
    all.dedup();
    all
}

/// The columns, each under its place, or what is in the way of looking at it.
pub fn erased_columns(
    maps: &[NamedMap],
    catalog: &Catalog,
) -> BTreeMap<ErasedAt, Result<ErasedColumn, Refusal>> {
    let columns = named(maps).map(|(at, table, identifier)| {
        let found = column(catalog, &at, table, identifier).map_err(|message| {
            Refusal::whole(
                Reason::IdentifierUnfit,
                format!("the DataMap {}, {}: {message}", at.map, at.place),
            )
        });
        (at, found)
    });
    columns.collect()
}

/// The places of a map where identifiers stand, and how they are made comparable. `role`: only this one
/// of the roles; entries with an identifier of their own belong to all.
pub fn identifiers_of(map: &NamedMap, role: Option<&str>) -> Vec<(ErasedAt, Option<Normalise>)> {
    let is_meant = |at: &ErasedAt| match (role, at.role_name()) {
        (Some(wanted), Some(found)) => wanted == found,
        (None, _) | (_, None) => true,
    };
    named(std::slice::from_ref(map))
        .filter(|(at, ..)| is_meant(at))
        .map(|(at, _, one)| (at, one.normalise))
        .collect()
}

/// Every identifier: where it stands, its table, and itself.
fn named(maps: &[NamedMap]) -> impl Iterator<Item = (ErasedAt, &TableName, &Identifier)> {
    maps.iter().flat_map(|NamedMap { name, map }| {
        let roles = map.people.roles.iter().flat_map(move |role| {
            role.identifiers.iter().map(move |one| {
                let at = ErasedAt::role(name, &role.name, &one.name, one.normalise);
                (at, &role.table, one)
            })
        });
        let entries = map.tables.iter().flat_map(move |entry| {
            let ways = entry.reached.iter().flat_map(|reached| &reached.ways);
            ways.filter_map(move |way| match way {
                Way::Own(one) => {
                    let at = ErasedAt::entry(name, &entry.name, &one.name, one.normalise);
                    Some((at, &entry.table, one))
                }
                Way::Role(_) | Way::OfRole(..) | Way::OfEntry(..) => None,
            })
        });
        roles.chain(entries)
    })
}

fn column(
    catalog: &Catalog,
    at: &ErasedAt,
    table: &TableName,
    identifier: &Identifier,
) -> Result<ErasedColumn, String> {
    let found = catalog.table(table).ok_or_else(|| {
        format!(
            "table {table} does not exist in database {}, or user {} may not see it",
            catalog.database, catalog.user
        )
    })?;
    if found.row_security {
        return Err(format!(
            "row-level security may hide rows of {table} from user {}",
            catalog.user
        ));
    }
    let column = found
        .column(&identifier.column)
        .ok_or_else(|| format!("{table} has no column {}", identifier.column))?;
    if !fits(column, identifier.normalise) {
        return Err(format!(
            "{table}.{} ({}) cannot be hashed as it is: identifiers are texts, whole numbers or uuids, \
             and only texts are normalised by LowercaseTrim",
            column.name, column.type_name
        ));
    }
    let (key, index) = walked_key(found).map_err(|why| format!("{table}: {why}"))?;
    Ok(ErasedColumn {
        at: at.clone(),
        window: WindowSql {
            engine: catalog.engine,
            table: found.name.clone(),
            with_leaves: found.has_leaves(),
            key,
            index,
            among: None,
        },
        digested: Digested {
            column: column.clone(),
            normalise: identifier.normalise,
        },
    })
}

/// Whether all servers write the column's values alike.
fn fits(column: &Column, how: Option<Normalise>) -> bool {
    match how {
        Some(how) => can_be(column, how),
        None => matches!(
            column.kind,
            ColumnKind::Text | ColumnKind::Int | ColumnKind::UnsignedBigInt | ColumnKind::Uuid
        ),
    }
}
