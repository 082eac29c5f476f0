//! Whether erased persons are in a database again: imported once more, or restored with it. Reads only.
//! What follows from it is `oubliette_core::erasure::Restored`'s.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use oubliette_core::api::reason::Reason;
use oubliette_core::duty::NamedMap;
use oubliette_core::erasure::find::Known;
use oubliette_core::erasure::{IdentifierKey, Reappeared, SuppressionKeys};
use oubliette_core::ledger::{ErasedAt, ErasedRow, ErasedUnder};
use oubliette_core::plan::{ErasedColumn, Refusal, erased_columns, identified_tables};
use oubliette_core::sql::{ByDigest, ErasedSql, count_erased};
use oubliette_core::value::{Personal, Value};
use zeroize::Zeroizing;

use super::inspect::shows_key;
use crate::database::{Access, Database, Tx, give_pads, inspect};
use crate::ledger::{LedgerFault, Store};

/// What was found of erased persons, and what could not be looked at.
#[derive(Clone, Debug, Default)]
pub struct Looked {
    /// Rows, by request and place.
    pub reappeared: Vec<Reappeared>,
    /// What stands in the way: whoever is there is not found.
    pub unlooked: Vec<Refusal>,
}

/// Rows with identifiers of one person that are read at the most.
const MOST_ROWS: u32 = 1_000;

/// Digests of one place under one key, with the column in which they are looked for.
struct Look {
    column: ErasedColumn,
    erased: ErasedSql,
    key: IdentifierKey,
}

/// All that is looked for, and what cannot be.
#[derive(Default)]
struct Looks {
    sought: Vec<Look>,
    unlooked: Vec<Refusal>,
    columns: BTreeMap<ErasedAt, Result<ErasedColumn, Refusal>>,
}

/// Which of some values are an erased identifier of this name, whatever the map. Nothing of the values
/// goes to the database but their digests.
pub async fn are_suppressed(
    store: &Store,
    keys: &SuppressionKeys,
    name: &str,
    values: &[Zeroizing<String>],
    now: Timestamp,
) -> Result<Vec<bool>, LedgerFault> {
    let mut sorts = BTreeSet::new();
    for under in store.under(now).await? {
        if under.at.name != name {
            continue;
        }
        // Whoever is in the ledger under a key that is not at hand would seem not to be.
        if keys.by_id(&under.key_id).is_none() {
            return Err(refused(&lacking(&under)));
        }
        sorts.insert((under.key_id, under.at.normalise));
    }
    let mut found = vec![false; values.len()];
    for (id, word) in sorts {
        let how = oubliette_core::erasure::normalise_of(&word);
        let (Some(key), Some(how)) = (keys.by_id(&id), how) else {
            return Err(LedgerFault::Malformed("erased"));
        };
        let key = key.of_identifier(name, how);
        let digests: Vec<_> = values.iter().map(|value| key.digest(value)).collect();
        let asked: Vec<String> = digests.iter().flatten().cloned().collect();
        let erased = store.suppressed(name, &asked, now).await?;
        for (found, digest) in found.iter_mut().zip(digests) {
            *found |= digest.is_some_and(|digest| erased.contains(&digest));
        }
    }
    Ok(found)
}

/// Looks for erased persons in every column of identifiers of the maps: one statement for each column and
/// key under which the ledger has digests of it.
pub async fn reappeared(
    database: &Database,
    store: &Store,
    maps: &[NamedMap],
    keys: &SuppressionKeys,
    now: Timestamp,
) -> Result<Looked, LedgerFault> {
    let all = looks(database, store, maps, keys, now, |under| {
        under.at.is_looked_for()
    })
    .await?;
    let Looks {
        sought: looks,
        unlooked,
        ..
    } = all;
    let mut reappeared = Vec::new();
    for look in looks {
        let ErasedColumn {
            at,
            window,
            digested,
        } = &look.column;
        let statement = count_erased(window, digested, &look.erased);
        let mut tx = database.begin(Access::ReadOnly).await?;
        let rows = with_pads(&mut tx, &look.key, &statement).await;
        tx.rollback().await;
        for row in rows? {
            let [Value::Text(request), Value::Int(rows)] = row.as_slice() else {
                return Err(LedgerFault::Malformed("erased"));
            };
            reappeared.push(Reappeared {
                request: request.clone(),
                at: at.clone(),
                table: window.table.clone(),
                rows: *rows,
            });
        }
    }
    reappeared.sort();
    Ok(Looked {
        reappeared,
        unlooked,
    })
}

/// What leads to the person of a request who is in the database again: the identifiers that stand in rows
/// which are found by their digests. A row that has one of them, and another one where the request has
/// erased one too, is somebody else's. `with_kept`: also by identifiers that stayed when it was erased.
pub async fn known_again(
    database: &Database,
    store: &Store,
    maps: &[NamedMap],
    keys: &SuppressionKeys,
    (request, with_kept): (&str, bool),
    now: Timestamp,
) -> Result<Known, LedgerFault> {
    let rows = store.erased(Some(request)).await?;
    let mut known = Known::default();
    if rows.is_empty() {
        return Ok(known);
    }
    let of_request = |under: &ErasedUnder| {
        let mut rows = rows.iter();
        (with_kept || under.at.is_looked_for())
            && rows.any(|row| row.at == under.at && row.key_id == under.key_id)
    };
    let Looks {
        sought: looks,
        unlooked,
        columns,
    } = looks(database, store, maps, keys, now, of_request).await?;
    // An erasure that leaves out a column is none.
    if let Some(refusal) = unlooked.first() {
        return Err(refused(refusal));
    }
    for look in looks {
        let beside = columns.iter().filter(|(at, _)| {
            at.map == look.column.at.map
                && at.place == look.column.at.place
                && **at != look.column.at
        });
        let beside: Vec<&ErasedColumn> = beside
            .filter_map(|(_, found)| found.as_ref().ok())
            .collect();
        let all: Vec<&ErasedColumn> = std::iter::once(&look.column).chain(beside).collect();
        let digested: Vec<_> = all.iter().map(|column| &column.digested).collect();
        let way = ByDigest {
            digested: look.column.digested.clone(),
            erased: look.erased,
            request: request.to_owned(),
        };
        let statement = way.texts(&look.column.window, &digested, MOST_ROWS);
        let mut tx = database.begin(Access::ReadOnly).await?;
        let found = with_pads(&mut tx, &look.key, &statement).await;
        tx.rollback().await;
        for row in found? {
            let texts: Vec<(&ErasedColumn, Zeroizing<String>)> = all
                .iter()
                .zip(row)
                .filter_map(|(column, value)| Some((*column, text_of(value)?)))
                .collect();
            let fits = |(column, text): &(&ErasedColumn, Zeroizing<String>)| {
                fits(&rows, keys, &column.at, text)
            };
            if texts.iter().any(|one| fits(one) == Some(false)) {
                continue;
            }
            for (column, text) in texts.iter().filter(|one| fits(one) == Some(true)) {
                known.add(&column.at.name, Personal::new(text.as_str()));
            }
        }
    }
    Ok(known)
}

/// Whether the request has erased this identifier there; `None`: it has erased none of that name there, or
/// under keys that are not at hand.
fn fits(rows: &[ErasedRow], keys: &SuppressionKeys, at: &ErasedAt, text: &str) -> Option<bool> {
    let same = |row: &&ErasedRow| {
        let theirs = row.at.in_map();
        theirs.map == at.map && theirs.name == at.name && theirs.place == at.place
    };
    let mut found = None;
    for row in rows.iter().filter(same) {
        let (Some(key), Some(how)) = (keys.by_id(&row.key_id), row.at.how()) else {
            continue;
        };
        let digest = key.of_identifier(&at.name, how).digest(text);
        found = Some(found == Some(true) || digest.as_ref() == Some(&row.digest));
    }
    found
}

/// An identifier as it was read; `None`: there is none.
fn text_of(value: Value) -> Option<Zeroizing<String>> {
    let text = match value {
        Value::Text(text) => Zeroizing::new(text),
        Value::Bytes(bytes) => Zeroizing::new(String::from_utf8(bytes).ok()?),
        Value::Int(_) | Value::Null => return None,
    };
    (!text.is_empty()).then_some(text)
}

/// What is looked for where, and what cannot be; only those digests that are `meant`.
async fn looks(
    database: &Database,
    store: &Store,
    maps: &[NamedMap],
    keys: &SuppressionKeys,
    now: Timestamp,
    meant: impl FnMut(&ErasedUnder) -> bool,
) -> Result<Looks, LedgerFault> {
    let mut wanted = store.erased_under(now).await?;
    wanted.retain(meant);
    if wanted.is_empty() {
        return Ok(Looks::default());
    }
    let mut tx = database.begin(Access::ReadOnly).await?;
    let catalog = inspect(&mut tx, &identified_tables(maps)).await;
    tx.rollback().await;
    let catalog = catalog?;
    let server = database.probe().await?;
    if let Some(message) = shows_key(&server, &catalog.user, "the suppression key") {
        return Err(LedgerFault::Refused {
            reason: Reason::UnsafeSetting,
            message,
        });
    }
    let columns = erased_columns(maps, &catalog);
    let mut looks = Vec::new();
    let mut unlooked = Vec::new();
    for under in wanted {
        let column = match columns.get(&under.at.in_map()) {
            Some(Ok(column)) => column.clone(),
            Some(Err(refusal)) => {
                unlooked.push(refusal.clone());
                continue;
            }
            None => {
                unlooked.push(unmapped(&under));
                continue;
            }
        };
        let (Some(key), Some(erased)) = (
            keys.by_id(&under.key_id),
            store.sql().erased_sql(&under, now),
        ) else {
            unlooked.push(lacking(&under));
            continue;
        };
        looks.push(Look {
            key: key.of_identifier(&under.at.name, column.digested.normalise),
            column,
            erased,
        });
    }
    Ok(Looks {
        sought: looks,
        unlooked,
        columns,
    })
}

/// Runs a statement in a transaction that has been given the key's pads.
async fn with_pads(
    tx: &mut Tx,
    key: &IdentifierKey,
    statement: &oubliette_core::sql::Bound,
) -> Result<Vec<Vec<Value>>, LedgerFault> {
    give_pads(tx, &key.pads()).await?;
    Ok(tx.rows(statement).await?)
}

fn lacking(under: &ErasedUnder) -> Refusal {
    Refusal::whole(
        Reason::SuppressionKeyMissing,
        format!(
            "the ledger has {} digests of {} ({}, {}) under the key {}, which is not among those that \
             were given; the last of them ends at {}",
            under.digests, under.at.name, under.at.map, under.at.place, under.key_id, under.until
        ),
    )
}

fn unmapped(under: &ErasedUnder) -> Refusal {
    Refusal::whole(
        Reason::IdentifierUnfit,
        format!(
            "the ledger has {} digests of {} ({}), which the DataMap {} does not name any more, or not \
             with normalise: {}",
            under.digests, under.at.name, under.at.place, under.at.map, under.at.normalise
        ),
    )
}

fn refused(refusal: &Refusal) -> LedgerFault {
    LedgerFault::Refused {
        reason: refusal.reason,
        message: refusal.message.clone(),
    }
}
