//! The digests that a request leaves behind: of each identifier of the person, at each place of the maps
//! where it could stand. What stands there still when the request ends stays by decision, or is somebody
//! else's: it is nobody who has come back.

use std::collections::BTreeSet;

use jiff::Timestamp;
use oubliette_core::api::reason::Reason;
use oubliette_core::duty::MappedTable;
use oubliette_core::erasure::SuppressionKey;
use oubliette_core::erasure::find::{Known, Search};
use oubliette_core::erasure::recorded::Recorded;
use oubliette_core::ledger::{ErasedAt, ErasedRow};
use oubliette_core::people::{Decision, Way};
use oubliette_core::settings::suppression::{Erasure, Suppression};
use zeroize::Zeroizing;

use super::Place;
use super::find::tables;
use crate::database::Access;
use crate::ledger::{LedgerFault, Subject};

/// By which erased persons are known again.
#[derive(Clone, Copy, Debug)]
pub struct Digests<'a> {
    /// What is kept, for what and how long.
    pub suppression: &'a Suppression,
    /// The key.
    pub key: &'a SuppressionKey,
    /// Whether a part of the person's rows stays whatever was erased: then an identifier that is found
    /// again is none that has come back.
    pub in_part: bool,
    /// When they were erased.
    pub at: Timestamp,
    /// They are kept until then at least: a backup from before the erasure may be restored so long.
    pub until: Option<Timestamp>,
}

/// The digests that a request leaves behind in all databases. Where it was forgotten already, those that
/// the ledger has.
pub async fn digests(
    request: &str,
    places: &[Place],
    by: Digests<'_>,
) -> Result<Vec<ErasedRow>, LedgerFault> {
    let mut all = Vec::new();
    for place in places {
        let store = place.store().await?;
        match store.subject(request, &place.map_uid).await? {
            Subject::Open(recorded) => {
                let stays = Box::pin(stays(place, &recorded.known)).await?;
                all.extend(by.of(request, place, &recorded, &stays)?);
            }
            // Where nobody knows it, too: a ledger that was restored has got them back.
            Subject::Ended | Subject::Unknown => {
                let rows = store.erased(Some(request)).await?.into_iter();
                all.extend(rows.filter(|row| row.at.map == place.map.name));
            }
        }
    }
    Ok(all)
}

impl Digests<'_> {
    fn of(
        &self,
        request: &str,
        place: &Place,
        recorded: &Recorded,
        stays: &BTreeSet<ErasedAt>,
    ) -> Result<Vec<ErasedRow>, LedgerFault> {
        let known = &recorded.known;
        let of_name = |name: &str| {
            let texts = known.texts(name).iter();
            let texts = texts.map(|text| Zeroizing::new(text.expose().to_owned()));
            texts
                .map(|text| (name.to_owned(), text))
                .collect::<Vec<_>>()
        };
        let identifiers: Vec<_> = known.names().flat_map(of_name).collect();
        let of = |kept: &BTreeSet<ErasedAt>| {
            let erasure = Erasure {
                request,
                role: None,
                identifiers: &identifiers,
                kept,
                at: self.at,
                until: self.until,
            };
            let rows = self.suppression.digests(self.key, &place.map, &erasure);
            rows.map_err(|error| LedgerFault::Refused {
                reason: Reason::InvalidSpec,
                message: format!("settings.suppression.keptFor: {error}"),
            })
        };
        let rows = of(stays)?;
        if !self.in_part {
            return Ok(rows);
        }
        of(&rows.into_iter().map(|row| row.at).collect())
    }
}

/// Places where an identifier of the person stands still.
async fn stays(place: &Place, known: &Known) -> Result<BTreeSet<ErasedAt>, LedgerFault> {
    let mut stays: BTreeSet<ErasedAt> = place
        .map()
        .tables
        .iter()
        .flat_map(|e| left(place, e))
        .collect();
    let catalog = tables(place).await?;
    for role in &place.map().people.roles {
        for identifier in &role.identifiers {
            let mut only = Known::default();
            for text in known.texts(&identifier.name) {
                only.add(&identifier.name, text.clone());
            }
            let search = Search::of(place.map(), role, &catalog, &only);
            let search = search.map_err(|refusal| LedgerFault::Refused {
                reason: refusal.reason,
                message: refusal.message,
            })?;
            let Some(search) = search else { continue };
            let mut tx = place.database.begin(Access::ReadOnly).await?;
            let rows = tx.rows(&search.look()).await;
            tx.rollback().await;
            if !rows?.is_empty() {
                let (name, how) = (&identifier.name, identifier.normalise);
                stays.insert(ErasedAt::role(&place.map.name, &role.name, name, how));
            }
        }
    }
    Ok(stays)
}

/// Identifiers of an entry's own that its decision leaves where they are.
fn left(place: &Place, entry: &MappedTable) -> Vec<ErasedAt> {
    let reached = entry.reached.iter();
    let reached = reached.filter(|reached| reached.decision != Decision::Delete);
    let own = reached
        .flat_map(|reached| &reached.ways)
        .filter_map(|way| match way {
            Way::Own(identifier) => Some(identifier),
            Way::Role(_) | Way::OfRole(..) | Way::OfEntry(..) => None,
        });
    let transformed = |column: &oubliette_core::name::Ident| {
        let mut columns = entry.columns.iter();
        columns.any(|mapped| mapped.column == *column && mapped.strategy.is_some())
    };
    own.filter(|identifier| !transformed(&identifier.column))
        .map(|identifier| {
            let (name, how) = (&identifier.name, identifier.normalise);
            ErasedAt::entry(&place.map.name, &entry.name, name, how)
        })
        .collect()
}
