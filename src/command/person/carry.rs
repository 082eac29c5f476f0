//! Carries a request out, or goes on with it; then the certificate, and what is left to do.

use std::path::Path;

use anyhow::Context;
use jiff::Timestamp;
use oubliette_core::api::erasure_request::RequestOutcome as Outcome;
use oubliette_core::api::reason::Reason;
use oubliette_core::decide::elsewhere::places as left_behind;
use oubliette_core::decide::whole_second;
use oubliette_core::digest::Digest;
use oubliette_core::erasure::certificate::LeftPlace;
use oubliette_core::erasure::certify::Facts;
use oubliette_core::erasure::outcome::{PlaceRun, RequestOutcome, RequestReport, kept};
use oubliette_core::erasure::{SuppressionKey, elsewhere};
use oubliette_core::ledger::{Owner, uuid};
use oubliette_core::plan::Refusal;
use oubliette_core::settings::Settings;
use tokio_util::sync::CancellationToken;

use super::super::ask as terminal;
use super::super::progress::{self, Shown};
use super::super::refused::of_ledger;
use super::super::told::{self, CertificateTold, PersonTold};
use super::{allowed, enter, look, not_done, planned};
use crate::inputs::offline::Offline;
use crate::inputs::requests::Petition;
use crate::ledger::LedgerFault;
use crate::signing::{self, SigningKey};
use crate::work::erase::{self, Allowed, Ask, Digests, Place, Standing, digests, perform};
use crate::work::owned;

/// How requests are carried out.
pub(in crate::command) struct How<'a> {
    /// Nobody is asked: an Approval must allow the plan.
    pub(in crate::command) yes: bool,
    /// Where the certificate is written.
    pub(in crate::command) certificate: Option<&'a Path>,
    /// What the platform says.
    pub(in crate::command) platform: &'a Settings,
    /// The key of certificates.
    pub(in crate::command) signing: Option<&'a SigningKey>,
    /// The key of digests of erased identifiers.
    pub(in crate::command) suppression: Option<&'a SuppressionKey>,
}

/// Carries a request out, or goes on with it.
pub(in crate::command) async fn apply(
    offline: &mut Offline,
    petition: &Petition,
    how: &How<'_>,
    stop: &CancellationToken,
) -> anyhow::Result<PersonTold> {
    let mut told = PersonTold::of(petition);
    let now = whole_second(Timestamp::now());
    let Some(mut looked) = look(offline, petition, now, &mut told).await else {
        return Ok(told);
    };
    let (report, agreed) = match &looked.standing {
        Standing::Begun {
            round, begun_at, ..
        } => {
            told.note("it has begun, and goes on with what was planned then");
            let allowed = Allowed {
                // The ledgers have the plans that were allowed.
                digest: Digest::of_bytes(&petition.uid),
                max_rows: i64::MAX,
                approved_at: Some(begun_at.unwrap_or(now)),
            };
            (None, (!told.suspended).then(|| (allowed, round.clone())))
        }
        Standing::New | Standing::Ended => {
            let shown = progress::on_terminal_or(Shown::Lines);
            let report = planned(petition, &looked, (now, shown), stop, &mut told).await;
            let agreed = match &report {
                Some(report) if !told.suspended => {
                    agree(petition, report, now, how, stop, &mut told).await?
                }
                _ => None,
            };
            (report, agreed.map(|allowed| (allowed, String::new())))
        }
    };
    let Some((allowed, round)) = agreed else {
        return Ok(told);
    };
    if let Err(refusal) = claim(&mut looked.places).await {
        told.refuse(None, &refusal);
        return Ok(told);
    }
    let mut ask = super::ask(petition, &looked.subject, now);
    ask.allowed = Some(allowed);
    ask.round = round;
    let mut outcome = carried(&ask, &looked.places, stop).await;
    if let RequestOutcome::Outdated(rest) = &outcome {
        told.note(
            "a map or a schema is another one since the plan was allowed: this is what is left of it",
        );
        enter(rest, petition, &mut told);
        let Some(allowed) = agree(petition, rest, now, how, stop, &mut told).await? else {
            return Ok(told);
        };
        ask.allowed = Some(allowed);
        outcome = carried(&ask, &looked.places, stop).await;
    }
    match outcome {
        RequestOutcome::Erased(runs) => {
            let done = Carried {
                petition,
                places: &looked.places,
                report: report.as_ref(),
                runs: &runs,
                how,
            };
            done.enter(&mut told).await?;
        }
        outcome => not_done(outcome, petition, &mut told),
    }
    Ok(told)
}

async fn carried(ask: &Ask, places: &[Place], stop: &CancellationToken) -> RequestOutcome {
    let name = format!("{}/{}", ask.namespace, ask.name);
    let shown = progress::on_terminal_or(Shown::Lines);
    progress::shown(&name, shown, stop, async |sender, signal| {
        Box::pin(perform(ask, places, sender, signal)).await
    })
    .await
}

/// What allows a plan: an Approval among the files, or whoever is shown it. A word against it counts in
/// either case.
async fn agree(
    petition: &Petition,
    report: &RequestReport,
    now: Timestamp,
    how: &How<'_>,
    stop: &CancellationToken,
    told: &mut PersonTold,
) -> anyhow::Result<Option<Allowed>> {
    match allowed(petition, report, now) {
        Ok(allowed) if how.yes => return Ok(Some(allowed)),
        Err(refusal)
            if how.yes || matches!(refusal.reason, Reason::Rejected | Reason::ChangesRequested) =>
        {
            told.refuse(None, &refusal);
            return Ok(None);
        }
        Ok(_) | Err(_) => {}
    }
    let rows = report.totals().rows();
    let question = format!("Change {} of the request above?", told::rows(rows));
    let answer = terminal::agreed(&told::person(told), &question, stop).await?;
    if answer == Some(false) {
        told.note("nothing was changed: the answer was not yes");
    }
    Ok((answer == Some(true)).then_some(Allowed {
        digest: report.digest,
        max_rows: rows,
        approved_at: Some(now),
    }))
}

/// Makes whoever calls the owner of each ledger.
async fn claim(places: &mut [Place]) -> Result<(), Refusal> {
    for place in places {
        let newcomer = Owner::without_cluster(uuid(rand::random()));
        let owner = owned::claim(&place.database, &place.target.ledger, newcomer).await;
        place.owner = owner.map_err(|fault| of_ledger(&fault))?;
    }
    Ok(())
}

/// What was done.
struct Carried<'a> {
    petition: &'a Petition,
    places: &'a [Place],
    /// The plan; `None`: an earlier call made it.
    report: Option<&'a RequestReport>,
    runs: &'a [PlaceRun],
    how: &'a How<'a>,
}

impl Carried<'_> {
    fn outcome(&self) -> Outcome {
        match kept(self.runs) {
            Some(_) => Outcome::ErasedInPart,
            None => Outcome::Erased,
        }
    }

    /// Enters what was done, and sees to what is left to do.
    async fn enter(&self, told: &mut PersonTold) -> anyhow::Result<()> {
        told.outcome = Some(self.outcome().into());
        told.erased = self.runs.iter().map(PlaceRun::erasure).collect();
        told.kept = kept(self.runs);
        self.enter_left(told);
        let confirmed = &self.petition.request.confirmations;
        let now = whole_second(Timestamp::now());
        // Whom the operator would tell over HTTP, a person tells here.
        let look = elsewhere::look(self.petition.elsewhere(), |_| false, confirmed, &[], now);
        let maps = self.petition.maps.iter();
        let reviews = maps.flat_map(|chosen| chosen.map.reviews());
        let reviews = reviews.map(|column| format!("review/{column}"));
        let open = |item: &String| !confirmed.iter().any(|one| one.item == *item);
        told.to_confirm.clone_from(&look.to_confirm);
        told.to_confirm.extend(reviews.filter(open));
        if !told.to_confirm.is_empty() {
            told.note(
                "nothing here tells places outside of the databases, or looks at columns: do it, write each \
                 into spec.confirmations, and call it again",
            );
        }
        if let Some(file) = self.how.certificate {
            self.certify(file, &look, now, told).await?;
        }
        self.finish(told).await;
        Ok(())
    }

    fn enter_left(&self, told: &mut PersonTold) {
        for place in self.places {
            let plans = self.report.iter().flat_map(|report| &report.places);
            let plans = plans.filter(|plan| plan.database == place.name);
            let survivors: Vec<String> =
                plans.flat_map(|plan| plan.plan.survivors.clone()).collect();
            for left in left_behind(Some(place.database.engine()), &survivors) {
                if !told.left_elsewhere.contains(&left) {
                    told.left_elsewhere.push(left);
                }
            }
        }
    }

    /// Writes the certificate, once nothing is left to be confirmed.
    async fn certify(
        &self,
        file: &Path,
        look: &elsewhere::Look,
        now: Timestamp,
        told: &mut PersonTold,
    ) -> anyhow::Result<()> {
        if !told.to_confirm.is_empty() {
            let words = "no certificate was written: it says what others were told, and that is not \
                         confirmed";
            let refusal = Refusal::whole(Reason::AwaitingConfirmation, words)
                .remedy("write each of them into spec.confirmations, and call it again");
            told.refuse(None, &refusal);
            return Ok(());
        }
        let name = self.petition.name.to_string();
        let done = match erase::done(&name, &self.petition.uid, self.places).await {
            Ok(done) => done,
            Err(fault) => {
                told.refuse(None, &of_ledger(&fault));
                return Ok(());
            }
        };
        let platform = self.how.platform;
        let begun = done.iter().flat_map(|done| &done.runs);
        let mut certificate = Facts {
            uid: &self.petition.uid,
            request: &self.petition.request,
            plan: self.report.map(|report| (report.digest, report.as_of)),
            begun_at: begun.map(|run| run.started_at).min(),
            outcome: self.outcome(),
            databases: &told.erased,
            done: &done,
            elsewhere: &look.places,
            maps: &super::maps(self.petition),
            backups_end: platform.backups_end(now),
            now,
        }
        .certificate(env!("CARGO_PKG_VERSION"));
        let of_a_cluster = LeftPlace::ClusterHistory;
        certificate.left.retain(|left| left.place != of_a_cluster);
        let document = signing::issue(&certificate, self.how.signing);
        let path = file.display().to_string();
        std::fs::write(file, document.to_canonical())
            .with_context(|| format!("--certificate: failed to write {path}"))?;
        told.certificate = Some(CertificateTold {
            file: path,
            digest: document.digest,
            key: document.key.map(|key| key.to_string()),
        });
        Ok(())
    }

    /// Forgets the person where the request has ended, or says what is waited for.
    async fn finish(&self, told: &mut PersonTold) {
        if let Some(kept) = &told.kept {
            let rows = told::rows(kept.rows);
            let note = match kept.next_ends_at {
                Some(at) => format!(
                    "{rows} stay; what a duty keeps goes with a call after it has ended, the first of them \
                     at {at}"
                ),
                None => format!(
                    "{rows} stay until a hold is released or the date that is missing stands"
                ),
            };
            told.note(note);
            return;
        }
        if !told.to_confirm.is_empty() {
            return;
        }
        if self.petition.request.replied_at.is_none() {
            told.note(
                "the ledgers remember who it was: once the person is answered, write reply.sentAt and call \
                 it again",
            );
            return;
        }
        match self.forget(told).await {
            Ok(()) => told.note(
                "the request has ended: the ledgers have forgotten who it was. Delete the Secret's file",
            ),
            Err(fault) => told.refuse(None, &of_ledger(&fault)),
        }
    }

    async fn forget(&self, told: &PersonTold) -> Result<(), LedgerFault> {
        let platform = self.how.platform;
        let at = told.erased.iter().map(|one| one.verified_at).max();
        let at = at.unwrap_or_else(Timestamp::now);
        let by = platform.suppression.as_ref().zip(self.how.suppression);
        let by = by.map(|(suppression, key)| Digests {
            suppression,
            key,
            in_part: !self.petition.request.scope.purposes.is_empty(),
            at,
            until: platform.backups_end(at),
        });
        let uid = &self.petition.uid;
        let rows = match by {
            Some(by) => Box::pin(digests(uid, self.places, by)).await?,
            None => Vec::new(),
        };
        erase::forget(uid, self.places, &rows).await
    }
}
