//! The legal holds under which a run works. They are read after the checkpoints whose generation its
//! batches compare, and again whenever a fence has missed because the generation was raised: a batch
//! never commits under fewer holds than were in force (SQL.md section 1).

use std::sync::Arc;

use jiff::Timestamp;
use oubliette_core::api::reason::Reason;
use oubliette_core::catalog::Catalog;
use oubliette_core::hold::Holds;
use oubliette_core::name::TableName;
use oubliette_core::plan::{ApprovedPlan, Draft, InForce, RuleDraft};
use tokio::sync::Mutex;

use super::job::Job;
use super::persons::seek;
use crate::database::{Access, inspect};
use crate::ledger::{LedgerFault, Store};

/// One rule under the holds that are in force.
pub(super) struct Kept<'a> {
    job: &'a Job,
    store: &'a Store,
    plan: &'a ApprovedPlan,
    step: usize,
    known: Mutex<(i64, Arc<RuleDraft>)>,
}

impl<'a> Kept<'a> {
    /// Reads the holds. `generation`: the lowest of the step's checkpoints, which were read before.
    pub(super) async fn read(
        job: &'a Job,
        store: &'a Store,
        plan: &'a ApprovedPlan,
        step: usize,
        generation: i64,
    ) -> Result<Self, LedgerFault> {
        let rule = Box::pin(current(job, store, plan, step)).await?;
        Ok(Self {
            job,
            store,
            plan,
            step,
            known: Mutex::new((generation, rule)),
        })
    }

    /// The rule for a batch whose fence compares this generation.
    pub(super) async fn at(&self, generation: i64) -> Result<Arc<RuleDraft>, LedgerFault> {
        let mut known = self.known.lock().await;
        if known.0 < generation {
            *known = (generation, self.current().await?);
        }
        Ok(known.1.clone())
    }

    /// The rule under the holds of this moment, for looks that no fence follows.
    pub(super) async fn now(&self) -> Result<Arc<RuleDraft>, LedgerFault> {
        let mut known = self.known.lock().await;
        // The generation stays: it may have been raised since, and that is for a fence to find.
        known.1 = self.current().await?;
        Ok(known.1.clone())
    }

    async fn current(&self) -> Result<Arc<RuleDraft>, LedgerFault> {
        Box::pin(current(self.job, self.store, self.plan, self.step)).await
    }
}

/// The holds in force. Fails where the ledger lacks one that an object remembers: the database was
/// restored to an instant before it was placed, and it has to be placed again first.
pub(super) async fn in_force(job: &Job, store: &Store) -> Result<Holds, LedgerFault> {
    let holds = store.active_holds().await?;
    for remembered in &job.holds.now() {
        if holds.has(&remembered.uid) {
            continue;
        }
        let known = store.is_present().await? && store.hold(&remembered.uid).await?.is_some();
        if !known {
            return Err(LedgerFault::Refused {
                reason: Reason::HoldsUnreadable,
                message: format!(
                    "the hold {} was in force and is not in the ledger any more, as after a restore: \
                     nothing runs until it was placed again, which the operator does by itself",
                    remembered.name
                ),
            });
        }
    }
    Ok(holds)
}

async fn current(
    job: &Job,
    store: &Store,
    plan: &ApprovedPlan,
    step: usize,
) -> Result<Arc<RuleDraft>, LedgerFault> {
    let holds = in_force(job, store).await?;
    still_approved(job, store, plan).await?;
    let on_rows = InForce {
        rows: holds.rows.clone(),
        persons: Vec::new(),
    };
    let known = plan.draft().rules_under(&on_rows, None).ok();
    let rules = if let Some(rules) = known.filter(|_| holds.persons.is_empty()) {
        rules
    } else {
        Box::pin(under(job, plan.draft(), holds)).await?
    };
    let rule = rules.into_iter().nth(step);
    rule.map(Arc::new)
        .ok_or(LedgerFault::Malformed("checkpoint"))
}

/// The rules of a draft under the holds of this moment.
pub(super) async fn rules(
    job: &Job,
    store: &Store,
    draft: &Draft,
) -> Result<Vec<RuleDraft>, LedgerFault> {
    let holds = in_force(job, store).await?;
    Box::pin(under(job, draft, holds)).await
}

async fn under(job: &Job, draft: &Draft, holds: Holds) -> Result<Vec<RuleDraft>, LedgerFault> {
    // A hold that was placed since may be about a table that the plan has not looked at.
    let names = names(job, &holds);
    let mut tx = job.database.begin(Access::ReadOnly).await?;
    let catalog = inspect(&mut tx, &names).await;
    tx.rollback().await;
    let catalog = catalog?;
    let holds = Box::pin(typed(job, &catalog, holds)).await?;
    let rules = draft.rules_under(&holds, Some(&catalog));
    rules.map_err(|refusals| LedgerFault::Refused {
        reason: Reason::HoldsUnreadable,
        message: refusals
            .iter()
            .map(ToString::to_string)
            .collect::<Vec<_>>()
            .join("\n"),
    })
}

/// The holds with the persons among them looked for.
pub(super) async fn typed(
    job: &Job,
    catalog: &Catalog,
    holds: Holds,
) -> Result<InForce, LedgerFault> {
    let mut persons = Vec::new();
    for person in &holds.persons {
        let sought = Box::pin(seek(&job.database, catalog, &job.rules.maps, person)).await?;
        persons.push(sought.hold);
    }
    Ok(InForce {
        rows: holds.rows,
        persons,
    })
}

/// Fails where a hold on the plan's tables was released after the run was approved: its rows would go
/// with what nobody approved as it is now. Asked after the holds were read.
async fn still_approved(job: &Job, store: &Store, plan: &ApprovedPlan) -> Result<(), LedgerFault> {
    let Some(assent) = job.assent.as_ref().filter(|a| a.approved_at.is_some()) else {
        return Ok(());
    };
    let clock = job.database.probe().await?.clock;
    let ahead = clock.duration_since(Timestamp::now());
    let loosened = plan.loosened(&store.holds().await?, ahead);
    match assent.voided_by(&loosened) {
        None => Ok(()),
        Some(loosened) => Err(LedgerFault::Refused {
            reason: Reason::ApprovalVoid,
            message: format!("the legal hold {} was released", loosened.hold),
        }),
    }
}

/// The tables to look at: the policy's, those of the holds and those of the DataMaps.
pub(super) fn names(job: &Job, holds: &Holds) -> Vec<TableName> {
    let maps = job.rules.maps.iter();
    let roles = maps.flat_map(|named| &named.map.people.roles);
    // Where nobody is held, nobody asks for them.
    let roles = roles.filter(|_| !holds.persons.is_empty());
    let rules = job.rules.rules.iter();
    let mut names: Vec<TableName> = rules
        .flat_map(|r| {
            let related = r.related.iter().map(|x| &x.table);
            std::iter::once(&r.table)
                .chain(related)
                .chain(r.looked_at())
        })
        .chain(holds.rows.iter().map(|hold| &hold.table))
        .chain(roles.map(|role| &role.table))
        .chain(job.rules.maps.iter().flat_map(|named| named.map.tables()))
        .cloned()
        .collect();
    names.sort();
    names.dedup();
    names
}
