//! Remembers, before anything is changed, which rows duties and holds keep of those to which nothing may
//! lead any more when these end: what the person is known by is transformed or has passed to somebody
//! else, or the row that they hung on has gone.

use oubliette_core::api::reason::Reason;
use oubliette_core::catalog::Catalog;
use oubliette_core::duty::{DataMap, MappedTable};
use oubliette_core::erasure::outcome::RequestOutcome;
use oubliette_core::erasure::recorded::Recorded;
use oubliette_core::name::{Ident, TableName};
use oubliette_core::people::{Decision, Way};
use oubliette_core::plan::{Draft, Intent, Refusal, RuleDraft, Setting};
use oubliette_core::policy::Policy;
use oubliette_core::sql::{KeyColumn, Window};

use super::find::failed;
use super::jobs::job;
use super::run::of_ledger;
use super::{Ask, Place};
use crate::database::Access;
use crate::ledger::Store;
use crate::work::holds;
use crate::work::job::JobKind;

/// So many values of keys of one entry's rows are remembered at the most: each is given to every
/// statement that finds the rows again, and no server takes more than 65,535.
const MOST_VALUES: usize = 16_384;

/// Adds the keys of such rows to what is remembered. `policy`: what the request does in the database.
pub(super) async fn remember_kept(
    ask: &Ask,
    place: &Place,
    policy: &Policy,
    catalog: &Catalog,
    recorded: &mut Recorded,
) -> Result<(), RequestOutcome> {
    let entries: Vec<&MappedTable> = place
        .map()
        .tables
        .iter()
        .filter(|entry| is_lost(entry, place.map(), catalog))
        .collect();
    if entries.is_empty() {
        return Ok(());
    }
    let setting = Setting {
        spec: &place.spec,
        ledger: &place.target.ledger,
        intent: Intent::DryRun,
        as_of: ask.now,
    };
    let draft = Draft::of(policy, catalog, &setting).map_err(|found| refused(place, found))?;
    let store = Store::unchecked(&place.database, place.ledger());
    let job = job(ask, place, policy.clone(), JobKind::Plan, None);
    let rules = Box::pin(holds::rules(&job, &store, &draft)).await;
    let rules = rules.map_err(|fault| of_ledger(place, &fault))?;
    for entry in entries {
        let mut rules = rules.iter();
        let rule = rules.find(|rule| rule.name == entry.name);
        let Some(rule) = rule.filter(|rule| rule.change.eligible.keepers().next().is_some()) else {
            continue;
        };
        let most = MOST_VALUES / rule.change.window.key.len().max(1);
        let limit = u32::try_from(most + 1).unwrap_or(u32::MAX);
        let begun = place.database.begin(Access::ReadOnly).await;
        let mut tx = begun.map_err(|fault| failed(place, &fault))?;
        let whole = Window {
            after: None,
            upto: None,
        };
        let rows = tx.rows(&rule.change.look_kept(&whole, limit)).await;
        tx.rollback().await;
        let rows = rows.map_err(|fault| failed(place, &fault))?;
        if rows.is_empty() {
            continue;
        }
        by_primary_key(rule, catalog).map_err(|refusal| refused(place, vec![refusal]))?;
        if rows.len() > most {
            let message = format!(
                "duties and holds keep more than {most} rows of one person in {}, so many are not \
                 remembered until these end: let the entry be reached from a role in the DataMap",
                rule.change.window.table
            );
            let refusal = Refusal::of(&entry.name, Reason::LimitExceeded, message);
            return Err(refused(place, vec![refusal]));
        }
        let keys = rows.iter().map(|row| rule.change.window.key_of(row));
        let known = recorded.kept.entry(entry.name.clone()).or_default();
        known.extend(keys);
        known.sort();
        known.dedup();
    }
    Ok(())
}

/// Whether nothing may lead to an entry's rows any more once others have gone or are transformed.
fn is_lost(entry: &MappedTable, map: &DataMap, catalog: &Catalog) -> bool {
    let Some(reached) = &entry.reached else {
        return false;
    };
    let goes = reached.decision == Decision::Delete;
    let declared = |to: &TableName, columns: &[(Ident, Ident)]| {
        let (mine, theirs): (Vec<_>, Vec<_>) = columns.iter().cloned().unzip();
        catalog.references.iter().any(|reference| {
            (&reference.from, &reference.to) == (&entry.table, to)
                && reference.from_columns == mine
                && reference.to_columns == theirs
        })
    };
    let transformed = |columns: &[(Ident, Ident)]| {
        let treated = |mine: &Ident| {
            let mut mapped = entry.columns.iter();
            mapped.any(|mapped| mapped.column == *mine && mapped.strategy.is_some())
        };
        columns.iter().any(|(mine, _)| treated(mine))
    };
    reached.ways.iter().any(|way| match way {
        Way::Role(_) => false,
        // What the role's rows are known by stands in the ledger; a row that is detached loses it.
        Way::OfRole(role, columns) => {
            let mut roles = map.people.roles.iter().filter(|one| one.name == *role);
            let detached = !goes && roles.any(|role| declared(&role.table, columns));
            detached || transformed(columns)
        }
        Way::OfEntry(..) | Way::Own(_) => true,
    })
}

/// Rows are found again by their primary key, by which they must have been read.
fn by_primary_key(rule: &RuleDraft, catalog: &Catalog) -> Result<(), Refusal> {
    let window = &rule.change.window;
    let read = window.key.iter().map(|KeyColumn(column)| &column.name);
    let table = catalog.table(&window.table);
    if table.is_some_and(|table| read.eq(&table.primary_key)) {
        return Ok(());
    }
    let message = format!(
        "{} has no primary key that can be walked, so rows of which a duty keeps a part cannot be \
         found again when it ends: give it one, or keep the column of the identifier, too",
        window.table
    );
    Err(Refusal::of(&rule.name, Reason::NoUsableKey, message))
}

fn refused(place: &Place, refusals: Vec<Refusal>) -> RequestOutcome {
    let of_map = |refusal| (place.map.name.clone(), refusal);
    RequestOutcome::Refused {
        report: None,
        refusals: refusals.into_iter().map(of_map).collect(),
    }
}
