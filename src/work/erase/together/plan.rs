//! Plans for several persons at once: the database is looked at once, and rows whose own columns tell
//! whose they are come from one look over their table. Each plan is the one that the person would have
//! alone, and must be the one that was approved.

use std::collections::BTreeMap;

use jiff::Timestamp;
use oubliette_core::catalog::Catalog;
use oubliette_core::erasure::find::FoundRole;
use oubliette_core::erasure::gate::unclassified;
use oubliette_core::erasure::recorded::Recorded;
use oubliette_core::ledger::Ledger;
use oubliette_core::plan::{Draft, Facts, Plan, RuleDraft, RuleFacts};
use oubliette_core::sql::{KeyRow, Window};

use super::super::find::used;
use super::super::jobs::{assent, job, lowered};
use super::super::kept::remember_kept;
use super::super::run::{Here, put_together, unlike};
use super::super::{Ask, Place};
use super::find::FoundAll;
use super::{Alone, Among};
use crate::database::{Access, Tx};
use crate::ledger::Store;
use crate::work::graph::Walk;
use crate::work::inspect::{Sight, releases, see};
use crate::work::job::{Job, JobKind};
use crate::work::measure::{keepers, of_few};
use crate::work::run::not_rewound;

/// Rows that one rule may change of one person: whoever has more goes alone, in batches.
const FEW: u32 = 500;

/// One place as it was seen for all of them.
pub(super) struct Seen {
    pub(super) store: Store,
    pub(super) sight: Sight,
    pub(super) catalog: Catalog,
}

/// What is planned for all of them.
pub(super) struct Drafted {
    /// One for each place.
    pub(super) here: Vec<Seen>,
    /// What is remembered of each, by its place in the list: one for each place.
    pub(super) recorded: BTreeMap<usize, Vec<Recorded>>,
    /// What each does: one for each place.
    pub(super) plans: BTreeMap<usize, Vec<Option<(Job, Plan)>>>,
    /// The instant from which cutoffs are counted.
    pub(super) as_of: Timestamp,
}

/// The persons as if they were one, and what is done to all of them in a place.
pub(super) fn whole(ask: &Ask, place: &Place, persons: &[&Recorded], catalog: &Catalog) -> Job {
    let mut all = Recorded::default();
    for person in persons {
        for found in &person.roles {
            match all.roles.iter_mut().find(|role| role.role == found.role) {
                None => all.roles.push(found.clone()),
                Some(FoundRole { rows, .. }) => rows.extend_from_slice(&found.rows),
            }
        }
        for name in person.known.names() {
            for text in person.known.texts(name) {
                all.known.add(name, text.clone());
            }
        }
    }
    let policy = lowered(ask, place, &all, catalog);
    let kind = JobKind::Run { id: String::new() };
    Job {
        // Releases of holds are asked for.
        approval: true,
        ..job(ask, place, policy, kind, None)
    }
}

/// Plans for all of them in all places. Whoever's plan is not the one that was approved is out.
pub(super) async fn all(
    among: &mut Among<'_>,
    places: &[Place],
    found: &FoundAll,
) -> Result<Drafted, Alone> {
    among.may_go_on(places)?;
    let as_of = among.iter().map(|(_, member)| member.ask.now).max();
    let mut drafted = Drafted {
        here: Vec::new(),
        recorded: BTreeMap::new(),
        plans: BTreeMap::new(),
        as_of: as_of.unwrap_or(Timestamp::UNIX_EPOCH),
    };
    for (at, known, roles) in &found.persons {
        let recorded = |(place, roles): (&Place, &Vec<FoundRole>)| Recorded {
            roles: roles.clone(),
            known: used(place.map(), known),
            ..Recorded::default()
        };
        let recorded = places.iter().zip(roles).map(recorded).collect();
        drafted.recorded.insert(*at, recorded);
        drafted.plans.insert(*at, Vec::new());
    }
    for (index, (place, catalog)) in places.iter().zip(&found.catalogs).enumerate() {
        Box::pin(in_place(
            among,
            places,
            (index, place, catalog),
            &mut drafted,
        ))
        .await?;
    }
    let approved = |at: usize| is_approved(&among.members[at].ask, places, found, at, &drafted);
    let good: BTreeMap<usize, Option<Vec<Recorded>>> =
        among.left.iter().map(|at| (*at, approved(*at))).collect();
    among.retain(|at| good.get(&at).is_some_and(Option::is_some));
    let mut by_key = Vec::new();
    for (at, recorded) in good {
        let Some(recorded) = recorded else { continue };
        let ask = &among.members[at].ask;
        let of = (at, recorded.as_slice());
        if Box::pin(is_remembered_by_key(ask, places, found, of, &drafted)).await {
            by_key.push(at);
        }
        drafted.recorded.insert(at, recorded);
    }
    among.retain(|at| !by_key.contains(&at));
    among.may_go_on(places)?;
    Ok(drafted)
}

/// What is remembered of a person whose plan is the one that was approved.
fn is_approved(
    ask: &Ask,
    places: &[Place],
    found: &FoundAll,
    at: usize,
    drafted: &Drafted,
) -> Option<Vec<Recorded>> {
    let mut all = Vec::new();
    for (index, (place, catalog)) in places.iter().zip(&found.catalogs).enumerate() {
        let (_, plan) = drafted.plans.get(&at)?.get(index)?.as_ref()?;
        if !plan.refusals().is_empty() {
            return None;
        }
        all.push(Here {
            of_person: drafted.recorded.get(&at)?.get(index)?.clone(),
            gaps: unclassified(place.map(), catalog),
            plan: Ok(plan.report().clone()),
        });
    }
    let planned = put_together(ask, places, all, None).ok()?;
    let allowed = ask.allowed.as_ref()?;
    unlike(ask, allowed, &planned.report)
        .is_none()
        .then_some(planned.recorded)
}

/// Whether the keys of what duties and holds keep of a person have to be remembered first: then the plan is
/// another one, which is made alone.
async fn is_remembered_by_key(
    ask: &Ask,
    places: &[Place],
    found: &FoundAll,
    (at, recorded): (usize, &[Recorded]),
    drafted: &Drafted,
) -> bool {
    for (index, (place, catalog)) in places.iter().zip(&found.catalogs).enumerate() {
        let planned = drafted.plans.get(&at).and_then(|plans| plans.get(index));
        let keeps = planned.and_then(Option::as_ref).is_none_or(|(_, plan)| {
            let mut rules = plan.report().rules.iter();
            rules.any(|rule| rule.kept.rows > 0 || rule.held > 0)
        });
        if !keeps {
            continue;
        }
        let Some(of_person) = recorded.get(index) else {
            return true;
        };
        if Box::pin(has_kept_keys(ask, place, catalog, of_person)).await {
            return true;
        }
    }
    false
}

/// The same in one place, as it is now.
pub(super) async fn has_kept_keys(
    ask: &Ask,
    place: &Place,
    catalog: &Catalog,
    recorded: &Recorded,
) -> bool {
    let mut of_person = recorded.clone();
    let policy = lowered(ask, place, &of_person, catalog);
    let kept = remember_kept(ask, place, &policy, catalog, &mut of_person);
    Box::pin(kept).await.is_err() || !of_person.kept.is_empty()
}

/// Plans for all of them in one place.
async fn in_place(
    among: &mut Among<'_>,
    places: &[Place],
    (index, place, catalog): (usize, &Place, &Catalog),
    drafted: &mut Drafted,
) -> Result<(), Alone> {
    among.may_go_on(places)?;
    let first = &among.members[among.left[0]].ask;
    let persons = |among: &Among<'_>, drafted: &Drafted| -> Vec<Recorded> {
        let of = |at: &usize| drafted.recorded[at][index].clone();
        among.left.iter().map(of).collect()
    };
    let recorded = persons(among, drafted);
    let mut job_of_all = whole(first, place, &recorded.iter().collect::<Vec<_>>(), catalog);
    let ledger = Ledger {
        engine: place.database.engine(),
        place: place.target.ledger.clone(),
    };
    not_rewound(&job_of_all, &ledger).await?;
    let store = place.store().await?;
    let sight = Box::pin(see(&job_of_all)).await?;
    let releases = releases(&job_of_all).await?;
    let (draft, mut figures, drafts) = loop {
        among.may_go_on(places)?;
        let draft = sight.draft(&job_of_all, drafted.as_of)?;
        let mut drafts: Vec<(Job, Draft)> = Vec::new();
        for (at, member) in among.iter() {
            let recorded = &drafted.recorded[&at][index];
            let policy = lowered(&member.ask, place, recorded, catalog);
            let id = member.ask.run_owner(place);
            let job = job(&member.ask, place, policy, JobKind::Run { id }, None);
            let of_one = sight.draft(&job, drafted.as_of)?;
            let alike = of_one.rules.iter().map(|rule| &rule.name);
            if !alike.eq(draft.rules.iter().map(|rule| &rule.name)) {
                return Err(Alone::because("their plans have other steps"));
            }
            drafts.push((job, of_one));
        }
        let mut tx = place.database.begin(Access::ReadOnly).await?;
        let counted = Box::pin(count(&draft, &drafts, &mut tx)).await;
        tx.rollback().await;
        match counted? {
            Counted::Figures(figures) => break (draft, figures, drafts),
            Counted::TooMany(many) => {
                let many: Vec<usize> = many.iter().map(|i| among.left[*i]).collect();
                among.retain(|at| !many.contains(&at));
                let recorded = persons(among, drafted);
                job_of_all = whole(first, place, &recorded.iter().collect::<Vec<_>>(), catalog);
            }
        }
    };
    drop(draft);
    for (at, (mut job, draft)) in among.left.iter().zip(drafts) {
        let facts = Facts {
            rules: std::mem::take(&mut figures[0]),
        };
        figures.remove(0);
        let loosened = draft.loosened(&releases, sight.ahead);
        let plan = Plan::of(draft, facts).after(loosened);
        job.assent = assent(&among.members[*at].ask, Some(plan.report().digest));
        job.approval = true;
        if let Some(plans) = drafted.plans.get_mut(at) {
            plans.push(Some((job, plan)));
        }
    }
    drafted.here.push(Seen {
        store,
        sight,
        catalog: catalog.clone(),
    });
    Ok(())
}

enum Counted {
    /// One for each person and rule.
    Figures(Vec<Vec<RuleFacts>>),
    /// Persons with too many rows, by their place among those that were counted.
    TooMany(Vec<usize>),
}

/// Counts each person's rows. `draft`: that of all of them.
async fn count(draft: &Draft, drafts: &[(Job, Draft)], tx: &mut Tx) -> Result<Counted, Alone> {
    let mut figures: Vec<Vec<RuleFacts>> = drafts.iter().map(|_| Vec::new()).collect();
    let mut many = Vec::new();
    for (index, of_all) in draft.rules.iter().enumerate() {
        let rules: Vec<&RuleDraft> = drafts
            .iter()
            .map(|(_, draft)| &draft.rules[index])
            .collect();
        let shared = Box::pin(shared(of_all, &rules, tx)).await?;
        let empty = if shared.is_some() {
            false
        } else {
            let most = u32::MAX / 4;
            let facts = Box::pin(of_few(of_all, most, tx)).await?;
            facts.is_some_and(|facts| facts.counted.total == 0 && facts.kept == 0)
        };
        for (person, rule) in rules.iter().enumerate() {
            let rows = shared.as_ref().map(|shared| &shared[person]);
            let facts = match rows {
                _ if empty => Some(RuleFacts {
                    related: vec![0; rule.nodes.len()],
                    ..RuleFacts::default()
                }),
                Some(rows) if rows.len() > few() => None,
                Some(rows) => Some(Box::pin(of_rows(rule, rows, tx)).await?),
                None => Box::pin(of_few(rule, FEW, tx)).await?,
            };
            match facts {
                Some(facts) => figures[person].push(facts),
                None => many.push(person),
            }
        }
    }
    Ok(if many.is_empty() {
        Counted::Figures(figures)
    } else {
        Counted::TooMany(many)
    })
}

fn few() -> usize {
    usize::try_from(FEW).unwrap_or(usize::MAX)
}

/// The eligible rows of each person, from one look; `None`: other tables tell whose rows they are.
async fn shared(
    of_all: &RuleDraft,
    rules: &[&RuleDraft],
    tx: &mut Tx,
) -> Result<Option<Vec<Vec<KeyRow>>>, Alone> {
    if !is_direct(of_all) {
        return Ok(None);
    }
    let most = FEW.saturating_mul(u32::try_from(rules.len()).unwrap_or(u32::MAX));
    let change = &of_all.change;
    let rows = tx
        .rows(&change.peek_whose(&Window::default(), most))
        .await?;
    let mut shared: Vec<Vec<KeyRow>> = rules.iter().map(|_| Vec::new()).collect();
    for row in &rows {
        let whose = change.whose(row);
        let mut somebodys = false;
        for (rule, theirs) in rules.iter().zip(&mut shared) {
            if rule
                .change
                .eligible
                .reach()
                .is_some_and(|reach| reach.has(whose))
            {
                somebodys = true;
                theirs.push(change.key_row(row));
            }
        }
        if !somebodys {
            // What was read does not tell: the database does, for each of them.
            return Ok(None);
        }
    }
    let full = rows.len() >= usize::try_from(most).unwrap_or(usize::MAX);
    if full && shared.iter().all(|rows| rows.len() <= few()) {
        return Err(Alone::because("they have too many rows together"));
    }
    Ok(Some(shared))
}

/// Whether a rule's rows tell whose they are by columns of their own, and nothing else is asked of other
/// tables.
pub(super) fn is_direct(rule: &RuleDraft) -> bool {
    let eligible = &rule.change.eligible;
    eligible.reach().is_some()
        && !eligible.looks_elsewhere()
        && rule.groups.is_none()
        && rule.change.seal.is_none()
}

/// The figures of a person's rule whose eligible rows are known.
async fn of_rows(rule: &RuleDraft, rows: &[KeyRow], tx: &mut Tx) -> Result<RuleFacts, Alone> {
    let mut facts = RuleFacts {
        related: vec![0; rule.nodes.len()],
        ..RuleFacts::default()
    };
    let eligible = i64::try_from(rows.len()).unwrap_or(i64::MAX);
    facts.counted.total = eligible;
    facts.counted.eligible = eligible;
    let keepers = Box::pin(keepers(rule, &Window::default(), tx)).await?;
    keepers.enter(&mut facts);
    if !rows.is_empty() && !rule.nodes.is_empty() {
        let mut hanging = Walk::counting(rule);
        facts.related = Box::pin(hanging.count(rows, tx)).await?;
    }
    Ok(facts)
}
