//! What the Approvals of a policy or request come to: whether its plan may be carried out, and if not, why.

use std::cmp::Reverse;
use std::collections::BTreeMap;

use jiff::Timestamp;

use super::Verdict;
use super::say::rows_of;
use crate::api::reason::Reason;
use crate::api::retention_policy::ApprovalStatus;
use crate::approval::{ApprovalGuard, Asks, Decision, PlanParts, Ruling, difference};
use crate::digest::Digest;
use crate::plan::{Assent, voided};
use crate::report::Loosened;

/// Approvals that a status names.
const NAMED: usize = 16;

/// An Approval of something of that kind and name, as it was found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Filed {
    /// The Approval's own name.
    pub name: String,
    /// When it was created, by the operator's clock and rather too early than too late: it is compared
    /// with releases of holds.
    pub at: Timestamp,
    /// What it says, or what is wrong with it.
    pub ruling: Result<Ruling, String>,
}

/// The plan that is to be carried out.
#[derive(Clone, Copy, Debug)]
pub struct Planned<'a> {
    /// Its digest.
    pub digest: &'a Digest,
    /// What the digest is made of.
    pub parts: Option<&'a PlanParts>,
    /// Rows that it changes; `None`: they do not matter, for its run has begun under a ceiling.
    pub rows: Option<i64>,
    /// Holds on its tables that were released: what was approved before does not count.
    pub loosened: &'a [Loosened],
}

/// Weighs the Approvals of the policy or request `uid`. `before`: what was approved last, to say what has changed
/// since. An error says what people are waited for.
pub fn weigh(
    asks: Asks,
    uid: &str,
    plan: &Planned<'_>,
    filed: &[Filed],
    before: Option<&ApprovalStatus>,
) -> Result<ApprovalStatus, Verdict> {
    let read: Vec<(&Filed, &Ruling)> = filed
        .iter()
        .filter_map(|filed| Some((filed, filed.ruling.as_ref().ok()?)))
        .filter(|(_, ruling)| ruling.uid == uid)
        .collect();
    // Of each person the newest word on this plan.
    let mut said: BTreeMap<&str, (&Filed, &Ruling)> = BTreeMap::new();
    for (filed, ruling) in read.iter().filter(|(_, r)| r.plan == *plan.digest) {
        let newer =
            |(other, _): &(&Filed, &Ruling)| (filed.at, &filed.name) > (other.at, &other.name);
        if said.get(ruling.by.as_str()).is_none_or(newer) {
            said.insert(&ruling.by, (filed, ruling));
        }
    }
    for (decision, reason, what) in [
        (Decision::Reject, Reason::Rejected, "rejects the plan"),
        (
            Decision::RequestChanges,
            Reason::ChangesRequested,
            "asks for changes to the plan",
        ),
    ] {
        if let Some((filed, _)) = said.values().find(|(_, r)| r.decision == decision) {
            let message = format!(
                "the Approval {} {what} {}. {}",
                filed.name,
                plan.digest,
                reason.remedy()
            );
            return Err(Verdict::new(reason, message));
        }
    }
    let newest = plan.loosened.iter().max_by_key(|loosened| loosened.at);
    let (older, said): (Vec<_>, Vec<_>) = said
        .into_values()
        .partition(|(filed, _)| newest.is_some_and(|loosened| filed.at <= loosened.at));
    let (mut enough, short): (Vec<_>, Vec<_>) = said
        .into_iter()
        .partition(|(_, r)| plan.rows.is_none_or(|rows| r.max_rows >= rows));
    // Whoever allows most first; the last of those who are needed is the ceiling.
    enough.sort_by_key(|(filed, ruling)| (Reverse(ruling.max_rows), filed.at, &filed.name));
    let needed = asks.people();
    if let Some((_, ruling)) = needed.checked_sub(1).and_then(|last| enough.get(last)) {
        let counted = enough.iter().take(needed);
        let names = enough.iter().take(needed.min(NAMED));
        return Ok(ApprovalStatus {
            approved_at: counted.map(|(filed, _)| filed.at).min(),
            plan: *plan.digest,
            parts: plan.parts.copied(),
            max_rows: ruling.max_rows,
            approvals: names.map(|(filed, _)| filed.name.clone()).collect(),
        });
    }
    if let (true, Some((older, _)), Some(loosened)) = (short.is_empty(), older.first(), newest) {
        let remedy = Reason::ApprovalVoid.remedy();
        let message = format!(
            "the Approval {} is void: {}. {remedy}",
            older.name,
            voided(loosened)
        );
        return Err(Verdict::new(Reason::ApprovalVoid, message));
    }
    Err(waits(needed, plan, &enough, &short, &read, filed, before))
}

/// Whether a run that was begun under such an assent may go on.
pub fn is_still_approved(asks: Asks, uid: &str, under: Option<&Assent>, filed: &[Filed]) -> bool {
    if asks.approval == ApprovalGuard::None {
        return true;
    }
    let Some(Assent {
        plan,
        parts,
        max_rows: Some(most),
        approved_at: _,
    }) = under
    else {
        return false;
    };
    let plan = Planned {
        digest: plan,
        parts: parts.as_ref(),
        rows: None,
        // Whoever carries it out looks at the releases in the ledger.
        loosened: &[],
    };
    weigh(asks, uid, &plan, filed, None).is_ok_and(|approved| approved.max_rows >= *most)
}

type Read<'a> = (&'a Filed, &'a Ruling);

/// What is missing, the nearest to an approval first.
fn waits(
    needed: usize,
    plan: &Planned<'_>,
    enough: &[Read<'_>],
    short: &[Read<'_>],
    read: &[Read<'_>],
    filed: &[Filed],
    before: Option<&ApprovalStatus>,
) -> Verdict {
    let void = |message: String| {
        let remedy = Reason::ApprovalVoid.remedy();
        Verdict::new(Reason::ApprovalVoid, format!("{message}. {remedy}"))
    };
    if let (Some((filed, ruling)), Some(rows)) = (short.first(), plan.rows) {
        return void(format!(
            "the plan {} changes {} now, and the Approval {} allows {}",
            plan.digest,
            rows_of(rows),
            filed.name,
            ruling.max_rows
        ));
    }
    let missing = |message: String| {
        let remedy = Reason::ApprovalMissing.remedy();
        Verdict::new(Reason::ApprovalMissing, format!("{message}. {remedy}"))
    };
    let would = match plan.rows {
        Some(rows) => format!("the plan {} changes {}", plan.digest, rows_of(rows)),
        None => format!("the plan {}", plan.digest),
    };
    if let Some((filed, _)) = enough.first() {
        return missing(format!(
            "{would} and {needed} people must approve it; the Approval {} is of one of them",
            filed.name
        ));
    }
    let approves = |(_, ruling): &&Read<'_>| ruling.decision == Decision::Approve;
    // The newest of what was approved before this plan.
    let newest = read
        .iter()
        .filter(approves)
        .max_by_key(|(filed, _)| filed.at);
    if let Some((filed, ruling)) = newest {
        let parts = before.filter(|before| before.plan == ruling.plan);
        let then = (&ruling.plan, parts.and_then(|before| before.parts.as_ref()));
        return void(format!(
            "the Approval {} is of another plan: {}; {would}",
            filed.name,
            difference(then, (plan.digest, plan.parts))
        ));
    }
    let faulty = filed.iter().find_map(|filed| {
        let message = filed.ruling.as_ref().err()?;
        Some(format!(
            "; the Approval {} does not count: {message}",
            filed.name
        ))
    });
    // Approvals of what had this name before.
    let older = filed.iter().find(|filed| filed.ruling.is_ok());
    let older = older.filter(|_| read.is_empty()).map(|filed| {
        let name = &filed.name;
        format!("; the Approval {name} is of an earlier resource of this name (another uid)")
    });
    let people = if needed == 1 {
        "nobody has approved it".to_owned()
    } else {
        format!("none of the {needed} people who must approve it has")
    };
    missing(format!(
        "{would}, and {people}{}",
        faulty.or(older).unwrap_or_default()
    ))
}

#[cfg(test)]
mod tests;
