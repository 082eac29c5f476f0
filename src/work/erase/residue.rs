//! Searches all texts of a database for what the person is known by, once nothing else is left to be
//! erased there: what nobody has mapped is mostly in somebody's notes. Reads counts and nothing else.

use oubliette_core::api::residue::{ResidueCount, ResidueStatus};
use oubliette_core::coverage::SeenTable;
use oubliette_core::erasure::comparable;
use oubliette_core::erasure::find::Known;
use oubliette_core::erasure::outcome::RequestOutcome;
use oubliette_core::ledger::looks_like_a_ledgers;
use oubliette_core::name::Ident;
use oubliette_core::policy::Normalise;
use oubliette_core::sql::residue::{count_texts, is_text};
use oubliette_core::value::{Personal, Value};

use super::Place;
use super::find::failed;
use crate::database::{Access, Fault, FaultClass, survey_stored};

/// Where the person is still found. A table that cannot be searched is told as one.
pub(super) async fn scan(place: &Place, known: &Known) -> Result<ResidueStatus, RequestOutcome> {
    let texts = texts(place, known);
    let tables = tables(place).await.map_err(|fault| failed(place, &fault))?;
    let (mut found, mut not_searched) = (Vec::new(), Vec::new());
    for table in tables {
        let engine = place.database.engine();
        let columns: Vec<Ident> = table
            .columns
            .iter()
            .filter(|column| is_text(engine, &column.type_name))
            .filter_map(|column| Ident::new(column.name.clone()).ok())
            .collect();
        // Of a table that may not be read, the types are not always known.
        let unknown = table
            .columns
            .iter()
            .any(|column| column.type_name.is_empty());
        let counts = if columns.is_empty() && !unknown {
            continue;
        } else if unknown {
            None
        } else {
            counted(place, &table, &columns, &texts).await?
        };
        let Some(counts) = counts else {
            not_searched.push(table.name.to_string());
            continue;
        };
        let with = columns.iter().zip(counts).filter(|(_, rows)| *rows > 0);
        found.extend(with.map(|(column, rows)| ResidueCount {
            table: table.name.to_string(),
            column: column.to_string(),
            rows,
        }));
    }
    Ok(ResidueStatus::of(found, not_searched))
}

/// What is looked for: each text as it is, and the digits of those that are compared by them.
fn texts(place: &Place, known: &Known) -> Vec<Personal> {
    let mut texts: Vec<Personal> = Vec::new();
    let mut add = |text: Personal| {
        if !text.expose().trim().is_empty() && !texts.contains(&text) {
            texts.push(text);
        }
    };
    let by_digits: Vec<String> = place
        .maps
        .iter()
        .flat_map(|map| map.map.people.roles.iter())
        .flat_map(|role| &role.identifiers)
        .filter(|identifier| identifier.normalise == Some(Normalise::DigitsOnly))
        .map(|identifier| identifier.name.clone())
        .collect();
    for name in known.names() {
        for text in known.texts(name) {
            if by_digits.iter().any(|other| other == name) {
                let digits = comparable(text.expose(), Some(Normalise::DigitsOnly));
                add(Personal::new(digits.as_str()));
            }
            add(text.clone());
        }
    }
    texts
}

/// Every table but the ledger's own, which forgets by itself, and what else keeps copies of rows.
async fn tables(place: &Place) -> Result<Vec<SeenTable>, Fault> {
    let mut tx = place.database.begin(Access::ReadOnly).await?;
    let tables = survey_stored(&mut tx).await;
    tx.rollback().await;
    let engine = place.database.engine();
    let mut tables = tables?;
    tables.retain(|table| {
        let columns: Vec<&str> = table.columns.iter().map(|c| c.name.as_str()).collect();
        !looks_like_a_ledgers(engine, table.name.table.as_str(), &columns)
    });
    Ok(tables)
}

/// Rows of each column. `None`: the table cannot be searched.
async fn counted(
    place: &Place,
    table: &SeenTable,
    columns: &[Ident],
    texts: &[Personal],
) -> Result<Option<Vec<i64>>, RequestOutcome> {
    let statement = count_texts(place.database.engine(), &table.name, columns, texts);
    let begun = place.database.begin(Access::ReadOnly).await;
    let mut tx = begun.map_err(|fault| failed(place, &fault))?;
    let rows = tx.rows(&statement).await;
    tx.rollback().await;
    let rows = match rows {
        Ok(rows) => rows,
        Err(fault) if matches!(fault.class, FaultClass::Unreachable | FaultClass::Lost) => {
            return Err(failed(place, &fault));
        }
        Err(_) => return Ok(None),
    };
    let counts = rows.first().map(|row| {
        let whole = |value: &Value| match value {
            Value::Int(rows) => *rows,
            Value::Null | Value::Text(_) | Value::Bytes(_) => 0,
        };
        row.iter().map(whole).collect()
    });
    Ok(counts)
}
