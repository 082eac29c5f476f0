//! Requests that were approved are carried out together where they are about the same places: one look
//! over each table for all of them, the runs begun, walked, verified and ended at once.
//!
//! Each request keeps a run of its own in every ledger, with its own checkpoints, fences, evidence and
//! report, as if it had been alone: whatever is half done when this ends early is what a process that
//! carries one request out has left, and it is gone on with as such. So this does what is plain, and
//! leaves everything else (a doubt, a plan that is not the one that was approved, a lock, a lost answer)
//! to whoever carries requests out one by one.

mod end;
mod find;
mod plan;
mod walk;

use jiff::Timestamp;
use oubliette_core::erasure::find::Known;
use oubliette_core::erasure::outcome::{PlaceRun, RequestOutcome};
use oubliette_core::erasure::recorded::Recorded;
use oubliette_core::report::RunReport;

use self::find::Crowd;
use self::plan::{Drafted, has_kept_keys};
use super::run::{is_scanned, known_of, stays};
use super::{Ask, Place};
use crate::database::Fault;
use crate::ledger::LedgerFault;
use crate::work::job::{JobOutcome, ProgressSender, StopSignal};

/// So many requests are carried out together at the most: what their rows need of one transaction is
/// still short, and more gain little (a group of 50 has most of it).
pub const MOST_TOGETHER: usize = 64;

/// One of several requests.
#[derive(Debug)]
pub struct Member {
    /// What is asked. Only what is allowed is carried out.
    pub ask: Ask,
    /// Where it shows how far it is.
    pub progress: ProgressSender,
    /// Where it hears that it must stop.
    pub stop: StopSignal,
}

/// Why requests are carried out one by one instead. For the log; never a value.
#[derive(Debug)]
struct Alone(String);

impl Alone {
    fn because(why: impl Into<String>) -> Self {
        Self(why.into())
    }
}

impl From<Fault> for Alone {
    fn from(fault: Fault) -> Self {
        Self(fault.to_string())
    }
}

impl From<LedgerFault> for Alone {
    fn from(fault: LedgerFault) -> Self {
        Self(fault.to_string())
    }
}

impl From<JobOutcome> for Alone {
    fn from(outcome: JobOutcome) -> Self {
        Self(match outcome {
            JobOutcome::Failed { reason, .. } => format!("{reason:?}"),
            JobOutcome::Refused { .. } => "the plan is refused".to_owned(),
            other => format!("{:?}", std::mem::discriminant(&other)),
        })
    }
}

/// The requests that are still in it.
#[derive(Clone, Debug)]
struct Among<'m> {
    members: &'m [Member],
    /// The places in the list of those that are.
    left: Vec<usize>,
}

impl<'m> Among<'m> {
    fn iter(&self) -> impl Iterator<Item = (usize, &'m Member)> {
        self.left.iter().map(|at| (*at, &self.members[*at]))
    }

    /// Keeps those of which this is true.
    fn retain(&mut self, keep: impl Fn(usize) -> bool) {
        self.left.retain(|at| keep(*at));
    }

    /// Lets go of those that were told to stop, and tells whether the next transaction may be begun: there
    /// are others, and the windows of all places are open.
    fn may_go_on(&mut self, places: &[Place]) -> Result<(), Alone> {
        let members = self.members;
        self.retain(|at| members[at].stop.borrow().is_none());
        if self.left.len() < 2 {
            return Err(Alone::because("there are no two of them"));
        }
        let now = Timestamp::now();
        let mut windows = places.iter().map(|place| &place.target.windows);
        if windows.any(|windows| windows.are_any() && !windows.is_open(now)) {
            return Err(Alone::because("a window is closed"));
        }
        Ok(())
    }
}

/// Carries out what can be carried out together. One outcome for each request; `None`: it is to be carried
/// out, or gone on with, by itself.
pub async fn together(members: &[Member], places: &[Place]) -> Vec<Option<RequestOutcome>> {
    let mut outcomes: Vec<Option<RequestOutcome>> = members.iter().map(|_| None).collect();
    match Box::pin(attempt(members, places)).await {
        Ok(erased) => {
            tracing::info!(
                requests = members.len(),
                erased = erased.len(),
                "requests were carried out together"
            );
            for (at, runs) in erased {
                outcomes[at] = Some(RequestOutcome::Erased(runs));
            }
        }
        Err(Alone(why)) => {
            tracing::info!(requests = members.len(), why, "requests go one by one");
        }
    }
    outcomes
}

async fn attempt(
    members: &[Member],
    places: &[Place],
) -> Result<Vec<(usize, Vec<PlaceRun>)>, Alone> {
    let mut among = Among {
        members,
        left: (0..members.len()).collect(),
    };
    let plain = |at: usize| {
        let Member { ask, stop, .. } = &members[at];
        ask.allowed.is_some()
            && ask.round.is_empty()
            && ask.known.names().next().is_some()
            && ask.scope == members[0].ask.scope
            && stop.borrow().is_none()
    };
    among.retain(plain);
    Box::pin(find::new_ones(&mut among, places)).await?;
    let crowd = Box::pin(find::all(&mut among, places)).await?;
    let mut drafted = Box::pin(plan::all(&mut among, places, &crowd)).await?;
    // Whom it is about is remembered everywhere before anything is changed anywhere.
    for (at, place) in places.iter().enumerate() {
        let persons: Vec<(&str, &Recorded)> = among
            .left
            .iter()
            .map(|member| {
                let recorded = &drafted.recorded[member][at];
                (members[*member].ask.uid.as_str(), recorded)
            })
            .collect();
        drafted.here[at]
            .store
            .remember_all(&place.map_uid, &persons)
            .await?;
    }
    let mut runs: Vec<(usize, Vec<RunReport>)> =
        among.left.iter().map(|at| (*at, Vec::new())).collect();
    for at in 0..places.len() {
        let ended = Box::pin(walk::through(&mut among, places, at, &mut drafted)).await?;
        runs.retain(|(member, _)| among.left.contains(member));
        for (member, run) in ended {
            let of = runs.iter_mut().find(|(one, _)| *one == member);
            of.ok_or_else(|| Alone::because("a run is nobody's"))?
                .1
                .push(run);
        }
    }
    let ask = &members[0].ask;
    if places.iter().any(|place| is_scanned(ask, place)) {
        // That takes long, and nobody waits for the others' searches.
        return Err(Alone::because("all texts are searched for each of them"));
    }
    Box::pin(held_since(&mut among, places, &drafted, &runs)).await;
    Box::pin(again(&mut among, places, &drafted, &runs)).await?;
    runs.retain(|(member, _)| among.left.contains(member));
    let told = |(member, runs): (usize, Vec<RunReport>)| {
        let runs = places.iter().zip(runs).map(|(place, run)| PlaceRun {
            map: place.map.name.clone(),
            database: place.name.clone(),
            run,
            residue: None,
        });
        (member, runs.collect())
    };
    Ok(runs.into_iter().map(told).collect())
}

/// Lets go of those of whom a hold keeps rows that was placed since they were planned, where only keys lead
/// to these rows when it ends: whoever goes on with such a request remembers them.
async fn held_since(
    among: &mut Among<'_>,
    places: &[Place],
    drafted: &Drafted,
    runs: &[(usize, Vec<RunReport>)],
) {
    let mut by_key = Vec::new();
    for (member, runs) in runs {
        let ask = &among.members[*member].ask;
        for (index, (place, run)) in places.iter().zip(runs).enumerate() {
            let recorded = &drafted.recorded[member][index];
            let catalog = &drafted.here[index].catalog;
            if run.rules.iter().any(|rule| rule.residual.held > 0)
                && Box::pin(has_kept_keys(ask, place, catalog, recorded)).await
            {
                by_key.push(*member);
            }
        }
    }
    among.retain(|at| !by_key.contains(&at));
}

/// Looks once more for all of them by all that they are known by. Whoever is found beyond what duties and
/// holds keep is looked at alone.
async fn again(
    among: &mut Among<'_>,
    places: &[Place],
    drafted: &Drafted,
    runs: &[(usize, Vec<RunReport>)],
) -> Result<(), Alone> {
    if among.left.is_empty() || !among.members[among.left[0]].ask.scope.purposes.is_empty() {
        return Ok(());
    }
    let known: Vec<Known> = among
        .iter()
        .map(|(at, member)| known_of(&member.ask, &drafted.recorded[&at]))
        .collect();
    let mut unclean = Vec::new();
    for (index, place) in places.iter().enumerate() {
        let catalog = super::find::tables(place).await?;
        let ask = &among.members[among.left[0]].ask;
        for role in super::find::roles(ask, place.map()) {
            let Crowd { searches, rows } =
                Box::pin(find::in_role(place, role, &catalog, &known)).await?;
            for ((member, search), rows) in among.left.iter().zip(&searches).zip(&rows) {
                let rows = search.as_ref().map_or(0, |s| s.may_be_theirs(rows));
                let of = runs.iter().find(|(one, _)| one == member);
                let stay = of
                    .and_then(|(_, runs)| runs.get(index))
                    .map_or(0, |run| stays(place, run, role));
                if i64::try_from(rows).map_or(true, |rows| rows > stay) {
                    unclean.push(*member);
                }
            }
        }
    }
    among.retain(|at| !unclean.contains(&at));
    Ok(())
}
