//! Persons who are held, looked for in one database by what the ledger knows of them: what leads on to
//! more of their rows, and whether it is vague which are theirs. Changes nothing; the rows themselves are
//! found by every batch anew.

use std::collections::BTreeSet;

use oubliette_core::api::reason::Reason;
use oubliette_core::catalog::Catalog;
use oubliette_core::duty::NamedMap;
use oubliette_core::erasure::find::{MOST_CANDIDATES, Search};
use oubliette_core::hold::HeldPerson;
use oubliette_core::people::Known;
use oubliette_core::plan::{PersonHold, Refusal, maps_of};

use crate::database::{Access, Database};
use crate::ledger::LedgerFault;

/// So often identifiers lead on at the most.
pub(super) const ROUNDS: usize = 16;

/// That they lead on after as many searches.
pub(super) fn without_end() -> String {
    format!(
        "what the person is known by leads on and on: after {ROUNDS} searches there was still \
         something new. Look at `leadsTo` in the DataMaps"
    )
}

/// A held person as one database knows them.
pub(super) struct Sought {
    /// Their rows.
    pub(super) hold: PersonHold,
    /// What they are known by, with what the database adds.
    pub(super) known: Known,
}

/// Looks for a held person. `maps`: those of the database. What cannot be told is refused.
pub(super) async fn seek(
    database: &Database,
    catalog: &Catalog,
    maps: &[NamedMap],
    person: &HeldPerson,
) -> Result<Sought, LedgerFault> {
    let refused = |message: String| LedgerFault::Refused {
        reason: Reason::HoldsUnreadable,
        message,
    };
    let of = |refusal: &Refusal| {
        refused(format!(
            "the hold {} cannot be kept: {}",
            person.name, refusal.message
        ))
    };
    let maps = maps_of(person, maps, catalog).map_err(|refusal| refused(refusal.message))?;
    let mut known = person.known.clone();
    for _ in 0..ROUNDS {
        let mut vague = BTreeSet::new();
        let mut leads = Vec::new();
        for named in &maps {
            for role in &named.map.people.roles {
                let search = Search::of(&named.map, role, catalog, &known);
                let Some(search) = search.map_err(|refusal| of(&refusal))? else {
                    continue;
                };
                let mut tx = database.begin(Access::ReadOnly).await?;
                let rows = tx.rows(&search.look()).await;
                tx.rollback().await;
                let (found, is_vague) = search.perhaps(&rows?).ok_or_else(|| {
                    refused(format!(
                        "the hold {} cannot be kept: more than {MOST_CANDIDATES} rows of {} have one \
                         of the identifiers by which the person is known: release it, and hold the \
                         person by another one",
                        person.name, role.table
                    ))
                })?;
                if is_vague {
                    vague.insert((named.name.clone(), role.name.clone()));
                }
                leads.extend(search.leads(&found));
            }
        }
        let mut new = false;
        for (name, text) in leads {
            new |= known.add(&name, text);
        }
        if !new {
            let hold = PersonHold::of(person, &maps, &known, &vague, catalog);
            return Ok(Sought { hold, known });
        }
    }
    Err(refused(format!(
        "the hold {} cannot be kept: {}",
        person.name,
        without_end()
    )))
}
