//! Plans a request over all databases, and carries it out.

use oubliette_core::api::reason::Reason;
use oubliette_core::catalog::Catalog;
use oubliette_core::digest::Digest;
use oubliette_core::erasure::again::is_again;
use oubliette_core::erasure::find::{Known, Search};
use oubliette_core::erasure::gate::{Unclassified, unclassified};
use oubliette_core::erasure::outcome::{PlacePlan, PlaceRun, RequestOutcome, RequestReport};
use oubliette_core::erasure::recorded::Recorded;
use oubliette_core::plan::Refusal;
use oubliette_core::report::{PlanReport, RunOutcome, RunReport};
use zeroize::Zeroize;

use super::find::{failed, find, roles, tables, used};
use super::jobs::{assent, by_itself, ended, job, lowered, planned};
use super::kept::remember_kept;
use super::residue::scan;
use super::{Allowed, Ask, Place};
use crate::database::Access;
use crate::ledger::{LedgerFault, Store, Subject};
use crate::work::batch::{signed, unsigned};
use crate::work::job::{JobKind, JobOutcome, ProgressSender, StopSignal};

/// A plan, and what is remembered of the person in each place once it is carried out.
pub(super) struct Planned {
    pub(super) report: RequestReport,
    /// One for each place.
    pub(super) recorded: Vec<Recorded>,
    /// The tables of each place, where they were looked at for it.
    catalogs: Vec<Catalog>,
}

/// What was planned for a person in one place.
pub(super) struct Here {
    pub(super) of_person: Recorded,
    /// Of what the map says nothing.
    pub(super) gaps: Vec<Unclassified>,
    pub(super) plan: Result<PlanReport, Vec<Refusal>>,
}

/// Looks for the person and plans. Changes nothing.
pub(super) async fn plan(
    ask: &Ask,
    places: &[Place],
    progress: &ProgressSender,
) -> Result<Planned, RequestOutcome> {
    let found = Box::pin(find(ask, places)).await?;
    let persons = places.iter().zip(found.places).map(|(place, sought)| {
        let of_person = Recorded {
            roles: sought.roles,
            known: used(place.map(), &found.known),
            ..Recorded::default()
        };
        (of_person, sought.catalog)
    });
    let persons: Vec<_> = persons.collect();
    Box::pin(laid_out(ask, places, persons, None, progress)).await
}

/// Plans what is left of a request that was begun, where a map or a schema is not what it was when it was
/// approved: the new plans' digests, if people have allowed these.
async fn anew(
    ask: &Ask,
    places: &[Place],
    recorded: &[Recorded],
    progress: &ProgressSender,
) -> Result<Vec<Option<Digest>>, RequestOutcome> {
    let mut persons = Vec::new();
    for (place, of_person) in places.iter().zip(recorded) {
        let catalog = tables(place).await.map_err(|fault| failed(place, &fault))?;
        persons.push((of_person.clone(), catalog));
    }
    // Whom it is about stands in the ledgers since it was begun, and does not change any more. What was
    // allowed before a hold was released did not reckon with its rows.
    let mut whom = ask.uid.clone();
    for place in places {
        let store = Store::unchecked(&place.database, place.ledger());
        let holds = store.holds().await;
        let holds = holds.map_err(|fault| of_ledger(place, &fault))?;
        let released = holds.into_iter().filter(|hold| hold.released.is_some());
        for hold in released {
            whom.push('\n');
            whom.push_str(&hold.id);
        }
    }
    let whom = Digest::of_bytes(&whom);
    let planned = Box::pin(laid_out(ask, places, persons, Some(&whom), progress)).await;
    let Planned {
        report, recorded, ..
    } = planned.map_err(|outcome| match outcome {
        RequestOutcome::Refused { refusals, .. } => RequestOutcome::Refused {
            report: None,
            refusals,
        },
        other => other,
    })?;
    let another = |allowed: &Allowed| {
        allowed.digest != report.digest || unlike(ask, allowed, &report).is_some()
    };
    if ask.allowed.as_ref().is_some_and(another) {
        return Err(RequestOutcome::Outdated(report));
    }
    Ok(recorded.iter().map(|of_person| of_person.plan).collect())
}

/// Plans over all databases. `rest`: that of a request which was begun, and so of every
/// database that it is about.
async fn laid_out(
    ask: &Ask,
    places: &[Place],
    persons: Vec<(Recorded, Catalog)>,
    rest: Option<&Digest>,
    progress: &ProgressSender,
) -> Result<Planned, RequestOutcome> {
    let (mut all, mut catalogs) = (Vec::new(), Vec::new());
    for (place, (of_person, catalog)) in places.iter().zip(persons) {
        let policy = lowered(ask, place, &of_person, &catalog);
        all.push(Here {
            gaps: unclassified(place.map(), &catalog),
            plan: Box::pin(planned(ask, place, policy, progress)).await?,
            of_person,
        });
        catalogs.push(catalog);
    }
    let planned = put_together(ask, places, all, rest)?;
    Ok(Planned {
        catalogs,
        ..planned
    })
}

/// Puts the plans of all databases together.
pub(super) fn put_together(
    ask: &Ask,
    places: &[Place],
    all: Vec<Here>,
    rest: Option<&Digest>,
) -> Result<Planned, RequestOutcome> {
    let mut refusals = Vec::new();
    let mut plans = Vec::new();
    let mut recorded = Vec::new();
    for (place, planned) in places.iter().zip(all) {
        let Here {
            mut of_person,
            gaps,
            plan: planned,
        } = planned;
        let is_here = !of_person.roles.is_empty() || planned.as_ref().is_ok_and(touches);
        let here = rest.is_some() || is_here;
        if here && !gaps.is_empty() && !place.map().people.reports_unclassified {
            let names: Vec<String> = gaps.iter().map(ToString::to_string).collect();
            let remedy: Vec<String> = gaps.iter().map(Unclassified::remedy).collect();
            let message = format!("the map says nothing of {}", names.join(", "));
            let refusal = Refusal::whole(Reason::Unclassified, message).remedy(format!(
                "in the DataMap {}, decide each:\n{}",
                place.map.name,
                remedy.join("\n")
            ));
            refusals.push((place.map.name.clone(), refusal));
        }
        let found = of_person.roles.iter();
        let found = found
            .map(|role| (role.role.clone(), role.rows.len()))
            .collect();
        match planned {
            Ok(plan) => {
                of_person.plan = Some(plan.digest);
                if here {
                    plans.push(PlacePlan {
                        map: place.map.name.clone(),
                        map_uid: place.map_uid.clone(),
                        database: place.name.clone(),
                        found,
                        unclassified: gaps.iter().map(ToString::to_string).collect(),
                        plan,
                    });
                }
            }
            Err(found) => {
                refusals.extend(
                    found
                        .into_iter()
                        .map(|refusal| (place.map.name.clone(), refusal)),
                );
            }
        }
        recorded.push(of_person);
    }
    let whom = rest.copied().unwrap_or_else(|| whom(ask, &recorded));
    let report =
        RequestReport::of(ask.now, plans, &whom).map_err(|error| RequestOutcome::Failed {
            reason: Reason::InternalError,
            message: format!("failed to digest the plan: {error}"),
            passing: false,
        })?;
    if !refusals.is_empty() {
        return Err(RequestOutcome::Refused {
            report: Some(report),
            refusals,
        });
    }
    Ok(Planned {
        report,
        recorded,
        catalogs: Vec::new(),
    })
}

/// A digest of who is meant: an approval is of this person, whatever the Secret or an address says later.
/// The Secret's UID is in it, which nobody can guess.
fn whom(ask: &Ask, recorded: &[Recorded]) -> Digest {
    let mut text = format!("{}\n", ask.subject_uid);
    for of_person in recorded {
        text.push_str(&of_person.to_text());
        text.push('\n');
    }
    let digest = Digest::of_bytes(&text);
    text.zeroize();
    digest
}

/// Whether a plan is about any row.
fn touches(plan: &PlanReport) -> bool {
    let mut rules = plan.rules.iter();
    plan.rows() > 0 || rules.any(|rule| rule.kept.rows > 0 || rule.held > 0)
}

/// Carries out what was allowed, or goes on with it.
pub(super) async fn carry_out(
    ask: &Ask,
    places: &[Place],
    progress: &ProgressSender,
    stop: &mut StopSignal,
) -> RequestOutcome {
    match Box::pin(attempt(ask, places, progress, stop)).await {
        // The request was begun once, whatever is in the way of carrying it out again.
        Err(RequestOutcome::Refused { refusals, .. }) if is_again(&ask.round) => {
            RequestOutcome::Refused {
                report: None,
                refusals,
            }
        }
        Ok(outcome) | Err(outcome) => outcome,
    }
}

async fn attempt(
    ask: &Ask,
    places: &[Place],
    progress: &ProgressSender,
    stop: &mut StopSignal,
) -> Result<RequestOutcome, RequestOutcome> {
    let recorded = match remembered(ask, places).await? {
        Some(recorded) => recorded,
        None => Box::pin(begin(ask, places, progress)).await?,
    };
    let mut runs = Vec::new();
    let mut plans: Vec<_> = recorded.iter().map(|of_person| of_person.plan).collect();
    for (at, (place, of_person)) in places.iter().zip(&recorded).enumerate() {
        if let Some(why) = *stop.borrow() {
            return Ok(RequestOutcome::Stopped(why));
        }
        let mut more = false;
        let run = loop {
            let here = (place, of_person, more);
            let mut run = Box::pin(in_place(ask, here, plans[at], progress, stop)).await;
            if run.as_ref().is_err_and(is_void) {
                plans = Box::pin(anew(ask, places, &recorded, progress)).await?;
                run = Box::pin(in_place(ask, here, plans[at], progress, stop)).await;
            }
            let run = run?;
            let held: i64 = run.rules.iter().map(|rule| rule.residual.held).sum();
            if held == 0 || more {
                break run;
            }
            Box::pin(remember_held(ask, place, of_person, progress)).await?;
            // A hold may have been released since the run, before what it kept was remembered.
            more = Box::pin(is_released(ask, place, of_person, held, progress)).await?;
            if !more {
                break run;
            }
        };
        runs.push(PlaceRun {
            map: place.map.name.clone(),
            database: place.name.clone(),
            run,
            residue: None,
        });
    }
    let known = known_of(ask, &recorded);
    for (place, run) in places.iter().zip(&mut runs) {
        Box::pin(search_again(ask, place, &known, &run.run)).await?;
        if is_scanned(ask, place) {
            run.residue = Some(Box::pin(scan(place, &known)).await?);
        }
    }
    Ok(RequestOutcome::Erased(runs))
}

/// Whether all texts of a place are searched at the end. Where only a purpose has ended the person stays.
pub(super) fn is_scanned(ask: &Ask, place: &Place) -> bool {
    place.map().people.scans_residue && ask.scope.purposes.is_empty()
}

/// All that a person is known by.
pub(super) fn known_of(ask: &Ask, recorded: &[Recorded]) -> Known {
    let mut known = ask.known.clone();
    for of_person in recorded {
        for name in of_person.known.names() {
            for text in of_person.known.texts(name) {
                known.add(name, text.clone());
            }
        }
    }
    known
}

/// What the ledgers remember of the person, where all of them do: then the request was begun. They are
/// written one by one, and nothing is changed before the last.
async fn remembered(ask: &Ask, places: &[Place]) -> Result<Option<Vec<Recorded>>, RequestOutcome> {
    let mut all = Vec::new();
    for place in places {
        let store = crate::ledger::Store::unchecked(&place.database, place.ledger());
        let subject = store.subject(&ask.uid, &place.map_uid).await;
        match subject.map_err(|fault| of_ledger(place, &fault))? {
            Subject::Open(recorded) => all.push(recorded),
            Subject::Ended if is_again(&ask.round) => return Ok(None),
            Subject::Ended => all.push(Recorded::default()),
            Subject::Unknown => return Ok(None),
        }
    }
    Ok(Some(all))
}

/// Plans once more, asks whether that is what was allowed, and has every ledger remember whom it is
/// about.
async fn begin(
    ask: &Ask,
    places: &[Place],
    progress: &ProgressSender,
) -> Result<Vec<Recorded>, RequestOutcome> {
    let again = is_again(&ask.round);
    // Whoever is not there again is not found.
    if ask.known.names().next().is_none() && !again {
        // Nobody is known by nothing: that they are found nowhere would be no answer.
        return Err(RequestOutcome::Failed {
            reason: Reason::SecretMissing,
            message: format!(
                "the ledgers do not know yet who is meant, and the Secret of the request cannot be \
                 read, or was made after the request was begun. {}",
                Reason::SecretMissing.remedy()
            ),
            passing: true,
        });
    }
    let Planned {
        report,
        mut recorded,
        catalogs,
    } = Box::pin(plan(ask, places, progress)).await?;
    if let Some(refusal) = ask
        .allowed
        .as_ref()
        .and_then(|allowed| unlike(ask, allowed, &report))
    {
        // One that was carried out once before waits for people with its new figures.
        return Err(if again {
            RequestOutcome::Outdated(report)
        } else {
            RequestOutcome::Refused {
                report: Some(report),
                refusals: vec![(String::new(), refusal)],
            }
        });
    }
    for ((place, of_person), catalog) in places.iter().zip(&mut recorded).zip(&catalogs) {
        Box::pin(with_kept(ask, place, of_person, catalog, progress)).await?;
    }
    for (place, of_person) in places.iter().zip(&recorded) {
        let store = place
            .store()
            .await
            .map_err(|fault| of_ledger(place, &fault))?;
        let remembered = if again {
            Box::pin(store.remember_again(&ask.uid, &place.map_uid, of_person)).await
        } else {
            Box::pin(store.remember(&ask.uid, &place.map_uid, of_person)).await
        };
        remembered.map_err(|fault| of_ledger(place, &fault))?;
    }
    Ok(recorded)
}

/// Adds what duties and holds keep to what is remembered.
async fn with_kept(
    ask: &Ask,
    place: &Place,
    of_person: &mut Recorded,
    catalog: &Catalog,
    progress: &ProgressSender,
) -> Result<(), RequestOutcome> {
    let before = of_person.kept.clone();
    let policy = lowered(ask, place, of_person, catalog);
    Box::pin(remember_kept(ask, place, &policy, catalog, of_person)).await?;
    if of_person.kept != before {
        // What is remembered of kept rows is another way to them.
        let policy = lowered(ask, place, of_person, catalog);
        let planned = Box::pin(planned(ask, place, policy, progress)).await?;
        of_person.plan = planned.ok().map(|plan| plan.digest);
    }
    Ok(())
}

/// Remembers what holds kept that were placed since the request was begun.
async fn remember_held(
    ask: &Ask,
    place: &Place,
    of_person: &Recorded,
    progress: &ProgressSender,
) -> Result<(), RequestOutcome> {
    let mut more = of_person.clone();
    let catalog = tables(place).await.map_err(|fault| failed(place, &fault))?;
    Box::pin(with_kept(ask, place, &mut more, &catalog, progress)).await?;
    if more.kept == of_person.kept {
        return Ok(());
    }
    let store = Store::unchecked(&place.database, place.ledger());
    let remembered = store.remember_more(&ask.uid, &place.map_uid, &more).await;
    remembered.map_err(|fault| of_ledger(place, &fault))
}

/// Whether rows may go of which a run has said that holds keep them.
async fn is_released(
    ask: &Ask,
    place: &Place,
    of_person: &Recorded,
    held: i64,
    progress: &ProgressSender,
) -> Result<bool, RequestOutcome> {
    let catalog = tables(place).await.map_err(|fault| failed(place, &fault))?;
    let policy = lowered(ask, place, of_person, &catalog);
    let plan = Box::pin(planned(ask, place, policy, progress)).await?;
    // What is in its way is told when something is to be changed.
    Ok(plan.is_ok_and(|plan| {
        let now: i64 = plan.rules.iter().map(|rule| rule.held).sum();
        now < held && plan.rows() > 0
    }))
}

/// Why a plan is not the one that people allowed. One that is carried out once more is bound by its rows:
/// it is of the person whom people meant, whatever keys their rows have now.
pub(super) fn unlike(ask: &Ask, allowed: &Allowed, report: &RequestReport) -> Option<Refusal> {
    if allowed.digest != report.digest && !is_again(&ask.round) {
        let message = "the plan is not the one that was approved: a map, a schema, a duty or a \
                       database is another one now";
        return Some(Refusal::whole(Reason::ApprovalVoid, message));
    }
    let rows = report.totals().rows();
    (rows > allowed.max_rows).then(|| {
        let message = format!(
            "the plan changes {rows} rows now, {} are approved",
            allowed.max_rows
        );
        Refusal::whole(Reason::ApprovalVoid, message)
    })
}

/// Whether a database's plan is not the one that was approved.
fn is_void(outcome: &RequestOutcome) -> bool {
    match outcome {
        RequestOutcome::Refused { refusals, .. } => refusals
            .iter()
            .any(|(_, refusal)| refusal.reason == Reason::ApprovalVoid),
        RequestOutcome::Failed { reason, .. } => *reason == Reason::ApprovalVoid,
        _ => false,
    }
}

/// Carries the request out in one database, or tells what was done there before. `more`: something is left
/// although a run was completed.
async fn in_place(
    ask: &Ask,
    (place, recorded, more): (&Place, &Recorded, bool),
    plan: Option<Digest>,
    progress: &ProgressSender,
    stop: &mut StopSignal,
) -> Result<RunReport, RequestOutcome> {
    let catalog = tables(place).await.map_err(|fault| failed(place, &fault))?;
    let policy = lowered(ask, place, recorded, &catalog);
    let store = Store::unchecked(&place.database, place.ledger());
    let before = earlier(ask, place, &store).await;
    let before = before.map_err(|fault| of_ledger(place, &fault))?;
    // A run that ended early (rows stayed locked, say) is not gone on with: another one does the rest.
    let done = before
        .iter()
        .any(|run| run.outcome == RunOutcome::Completed);
    let number = before.len() - usize::from(done && !more);
    let again = if number == 0 {
        String::new()
    } else {
        format!("~{number}")
    };
    let id = format!("{}{}{again}", ask.run_owner(place), ask.round);
    let assent = assent(ask, plan);
    let job = job(ask, place, policy, JobKind::Run { id }, assent);
    match by_itself(job, progress, stop.clone()).await {
        JobOutcome::Ran { run, .. } if run.outcome == RunOutcome::Completed => {
            let id = run.run.clone();
            Ok(before.iter().filter(|one| one.run != id).fold(run, with))
        }
        outcome => Err(ended(place, outcome)),
    }
}

/// The runs of this round that have ended, the first one first.
async fn earlier(ask: &Ask, place: &Place, store: &Store) -> Result<Vec<RunReport>, LedgerFault> {
    if !store.is_present().await? {
        return Ok(Vec::new());
    }
    let owner = ask.run_owner(place);
    let first = format!("{owner}{}", ask.round);
    let of_round = |id: &str| id == first || id.starts_with(&format!("{first}~"));
    let mut rows = store
        .runs_of(&format!("{}/{}", ask.namespace, ask.name))
        .await?;
    rows.retain(|row| row.policy_uid == owner && of_round(&row.id));
    rows.reverse();
    let reports = rows.iter().filter_map(|row| row.report.as_deref());
    Ok(reports
        .filter_map(|text| serde_json::from_str(text).ok())
        .collect())
}

/// A run's report with what an earlier one had changed.
fn with(mut run: RunReport, earlier: &RunReport) -> RunReport {
    for rule in &mut run.rules {
        let Some(before) = earlier.rules.iter().find(|other| other.rule == rule.rule) else {
            continue;
        };
        for (now, then) in rule.changed.iter_mut().zip(&before.changed) {
            now.rows += then.rows;
        }
    }
    run
}

/// Looks for the person once more by all that they are known by. What is found must be what a duty or a
/// hold keeps.
async fn search_again(
    ask: &Ask,
    place: &Place,
    known: &Known,
    run: &RunReport,
) -> Result<(), RequestOutcome> {
    if !ask.scope.purposes.is_empty() {
        // The person stays; what was asked for is verified by the run.
        return Ok(());
    }
    let catalog = tables(place).await.map_err(|fault| failed(place, &fault))?;
    for role in roles(ask, place.map()) {
        let search = Search::of(place.map(), role, &catalog, known).map_err(|refusal| {
            RequestOutcome::Refused {
                report: None,
                refusals: vec![(place.map.name.clone(), refusal)],
            }
        })?;
        let Some(search) = search else { continue };
        let begun = place.database.begin(Access::ReadOnly).await;
        let mut tx = begun.map_err(|fault| failed(place, &fault))?;
        let rows = tx.rows(&search.look()).await;
        tx.rollback().await;
        let rows = rows.map_err(|fault| failed(place, &fault))?;
        // Others of a household may have the same address.
        let rows = signed(unsigned(search.may_be_theirs(&rows)));
        let stays = stays(place, run, role);
        if rows > stays {
            return Err(RequestOutcome::Failed {
                reason: Reason::StillFound,
                message: format!(
                    "{}: after the run {rows} rows of {} are still found by what the person is known \
                     by, and duties and holds keep {stays}: look whether the map transforms the \
                     columns of every identifier of role {}",
                    place.name, role.table, role.name
                ),
                passing: false,
            });
        }
    }
    Ok(())
}

/// Rows of a role's table that duties and holds keep.
pub(super) fn stays(place: &Place, run: &RunReport, role: &oubliette_core::people::Role) -> i64 {
    let entries = place.map().tables.iter();
    let names: Vec<&str> = entries
        .filter(|entry| entry.table == role.table)
        .map(|entry| entry.name.as_str())
        .collect();
    let rules = run
        .rules
        .iter()
        .filter(|rule| names.contains(&rule.rule.as_str()));
    rules
        .map(|rule| rule.residual.kept + rule.residual.held)
        .sum()
}

pub(super) fn of_ledger(place: &Place, fault: &LedgerFault) -> RequestOutcome {
    RequestOutcome::Failed {
        reason: fault.reason(),
        message: format!("{}: {fault}", place.name),
        passing: fault.is_passing(),
    }
}
