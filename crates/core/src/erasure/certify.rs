//! The certificate of a request, put together from what the ledgers have of its runs and what was
//! recorded beside them. Pure: whoever calls has read it.

use jiff::Timestamp;

use super::certificate::{
    Certificate, Changed, Erased, Kept, Left, LeftPlace, PlaceOutcome, Remains, TableErased, Told,
    Version,
};
use super::{Request, elsewhere};
use crate::api::erasure_request::{DatabaseErasure, PlaceStatus, RequestOutcome};
use crate::api::people::ViaName;
use crate::api::words::Word;
use crate::digest::Digest;
use crate::duty::{NamedMap, duty_named};
use crate::report::{RuleRun, RunReport};

/// What was done in one database, as its ledger has it.
#[derive(Clone, Debug)]
pub struct Done {
    /// PostgreSQL, MySQL or MariaDB.
    pub engine: &'static str,
    /// The server's version.
    pub version: String,
    /// UID of the TargetDatabase.
    pub owner: String,
    /// What the runs did, the first one first.
    pub runs: Vec<RunReport>,
}

/// What a certificate is made from.
#[derive(Clone, Copy, Debug)]
pub struct Facts<'a> {
    /// UID of the request.
    pub uid: &'a str,
    /// The request.
    pub request: &'a Request,
    /// Digest and instant of the plan that was carried out, where they are known.
    pub plan: Option<(Digest, Timestamp)>,
    /// When the first row was changed.
    pub begun_at: Option<Timestamp>,
    /// How it came out.
    pub outcome: RequestOutcome,
    /// What was done in each database, and beside it what its ledger has of that.
    pub databases: &'a [DatabaseErasure],
    /// The ledgers' word, in the same order.
    pub done: &'a [Done],
    /// Places outside the databases.
    pub elsewhere: &'a [PlaceStatus],
    /// The maps, for what duties say.
    pub maps: &'a [&'a NamedMap],
    /// When the last backup has expired that is older.
    pub backups_end: Option<Timestamp>,
    /// When it is issued.
    pub now: Timestamp,
}

impl Facts<'_> {
    /// The certificate. `operator`: the program's version.
    pub fn certificate(&self, operator: &str) -> Certificate {
        let databases = self.databases.iter().zip(self.done);
        Certificate {
            version: Version::V1,
            request: self.uid.to_owned(),
            case: self.request.case.clone(),
            subject: None,
            received_at: self.request.received_at,
            plan: self.plan.map(|(digest, _)| digest),
            as_of: self.plan.map(|(_, as_of)| as_of),
            approvals: Vec::new(),
            begun_at: self.begun_at,
            verified_at: self.databases.iter().map(|d| d.verified_at).max(),
            outcome: self.outcome,
            databases: databases
                .map(|(told, done)| erased(told, done, self.maps))
                .collect(),
            elsewhere: self.elsewhere.iter().filter_map(told).collect(),
            left: left(self.backups_end),
            operator: operator.to_owned(),
            issued_at: self.now,
        }
    }
}

fn erased(told: &DatabaseErasure, done: &Done, maps: &[&NamedMap]) -> Erased {
    let last = done.runs.last();
    Erased {
        map: told.map.clone(),
        database: told.database.clone(),
        uid: done.owner.clone(),
        engine: done.engine.to_owned(),
        server: done.version.clone(),
        runs: done.runs.iter().map(|run| run.run.clone()).collect(),
        evidence: told.evidence,
        verified_at: told.verified_at,
        tables: last
            .iter()
            .flat_map(|run| &run.rules)
            .filter_map(|rule| table(rule, done, maps))
            .collect(),
        residue: told
            .residue
            .iter()
            .flat_map(|residue| &residue.found)
            .map(|one| Remains {
                table: one.table.clone(),
                column: one.column.clone(),
                rows: one.rows,
            })
            .collect(),
    }
}

/// What became of the rows of one entry, over all runs; `None`: it has none.
fn table(rule: &RuleRun, done: &Done, maps: &[&NamedMap]) -> Option<TableErased> {
    let runs = done.runs.iter().flat_map(|run| &run.rules);
    let same = runs.filter(|other| other.rule == rule.rule);
    let mut changed: Vec<Changed> = Vec::new();
    for count in same.filter_map(|rule| rule.changed.first()) {
        match changed.iter_mut().find(|one| one.effect == count.effect) {
            Some(one) => one.rows += count.rows,
            None => changed.push(Changed {
                effect: count.effect,
                rows: count.rows,
            }),
        }
    }
    changed.retain(|one| one.rows > 0);
    let kept = rule.kept.duties.iter().map(|count| {
        let duty = duty_named(maps, &count.duty);
        Kept {
            duty: count.duty.clone(),
            law: duty.map(|duty| duty.law.clone()).unwrap_or_default(),
            ground: duty.and_then(|duty| duty.ground.clone()),
            rows: count.rows,
            until: count.next_ends_at,
        }
    });
    let kept: Vec<Kept> = kept.collect();
    let held = rule.residual.held;
    let table = rule.changed.first()?.table.clone();
    (!changed.is_empty() || !kept.is_empty() || held > 0).then(|| TableErased {
        entry: rule.rule.clone(),
        table,
        changed,
        kept,
        held,
    })
}

fn told(place: &PlaceStatus) -> Option<Told> {
    let outcome = elsewhere::PlaceState::of(place);
    let outcome = PlaceOutcome::ALL
        .iter()
        .find(|(_, text)| *text == outcome.as_str());
    let via = ViaName::ALL.iter().find(|(_, text)| *text == place.via);
    Some(Told {
        name: place.name.clone(),
        via: via?.0,
        outcome: outcome?.0,
        at: place.at?,
    })
}

/// What is left where the program does not reach.
fn left(backups_end: Option<Timestamp>) -> Vec<Left> {
    let left = |place, until| Left {
        place,
        database: None,
        until,
    };
    vec![
        left(LeftPlace::Backups, backups_end),
        left(LeftPlace::DatabaseLogs, None),
        left(LeftPlace::Replicas, None),
        left(LeftPlace::ClusterHistory, None),
    ]
}
