//! What is looked for in the rows after each run.

use oubliette_core::bench::Run;
use oubliette_core::bench::work::{KEY, Layout, TableSql};
use oubliette_core::hmac::hmac_hex;
use oubliette_core::sql::Bound;

use super::ground::Ground;
use crate::database::Fault;

/// Looks, and enters what was found.
pub async fn check(ground: &Ground, layout: &Layout, run: &mut Run) -> Result<(), Fault> {
    let mut enter = |name: &str, passed: bool| {
        let all = run.checks.entry(name.to_owned()).or_insert(true);
        *all &= passed;
    };
    for table in layout.tables(ground.database.engine()) {
        let untouched = agree(ground, &table.unchanged()).await?;
        enter("what was to stay is there as it was", untouched);
        if run.cut {
            // It has not come to the rest.
            continue;
        }
        let left = agree(ground, &table.left()).await?;
        enter("no row too many is there", left);
        if let Some(anonymised) = table.anonymised() {
            let gone = agree(ground, &anonymised).await?;
            enter(
                "what was to be blanked is, and nothing else of the row",
                gone,
            );
            let pseudonyms = pseudonyms(ground, &table).await?;
            enter("pseudonyms are those of the key", pseudonyms);
        }
    }
    Ok(())
}

/// Whether two queries answer the same number.
async fn agree(ground: &Ground, [found, meant]: &[Bound; 2]) -> Result<bool, Fault> {
    Ok(ground.number(found).await? == ground.number(meant).await?)
}

/// Whether each pseudonym is what it has to be, computed here.
async fn pseudonyms(ground: &Ground, table: &TableSql<'_>) -> Result<bool, Fault> {
    let mut session = ground.database.apart().await?;
    let mut behind = 0;
    while let Some(query) = table.pseudonyms(behind) {
        let rows = session.rows(&query).await?;
        let Some(last) = rows.last().and_then(|row| row.first()?.as_int()) else {
            break;
        };
        for row in &rows {
            let [_, was, is] = row.as_slice() else {
                return Ok(false);
            };
            let meant = was.as_text().map(|was| {
                let whole = hmac_hex(KEY.as_bytes(), was.as_bytes());
                format!("p_{}", whole.get(..32).unwrap_or_default())
            });
            if is.as_text() != meant.as_deref() {
                return Ok(false);
            }
        }
        behind = last;
    }
    Ok(true)
}
