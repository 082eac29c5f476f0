//! What `limits` allow: of a plan before it is approved, and of its run where rows change.

use std::collections::BTreeMap;

use super::Refusal;
use super::draft::Draft;
use crate::api::reason::Reason;
use crate::policy::{Limits, Seal};
use crate::report::{PlanReport, RulePlan};
use crate::rows::{Rows, number};

/// Rows that may become eligible during a run beyond the plan, at the least.
const SLACK_ROWS: i64 = 1_000;
/// Rows that may become eligible during a run beyond the plan, one part in this many.
const SLACK_PART: i64 = 10;

/// What stands in the way of the plan.
pub(super) fn exceeded(limits: &Limits, report: &PlanReport) -> Vec<Refusal> {
    let mut refusals = Vec::new();
    let planned = report.rows();
    if let Some(max) = limits.max_rows
        && u64::try_from(planned).unwrap_or(0) > max
    {
        let (field, remedy) = raised(limits.guarded.rows, "maxRows", planned);
        let message = format!(
            "the plan changes {} rows, {field} allows {}",
            number(planned),
            number(i64::try_from(max).unwrap_or(i64::MAX))
        );
        refusals.push(Refusal::whole(Reason::LimitExceeded, message).remedy(remedy));
    }
    if let Some(percent) = limits.max_percent {
        for (table, share) in Shares::of(report, percent).0 {
            let Share {
                planned,
                total,
                room: _,
            } = share;
            if planned * 100 > total * i64::from(percent) {
                let needed = (planned * 100 + total - 1) / total.max(1);
                let (field, remedy) = raised(limits.guarded.percent, "maxPercent", needed);
                let message = format!(
                    "the plan changes {} of {} rows of {table}, {field} allows {percent} %",
                    number(planned),
                    number(total)
                );
                let mut of_table = report.rules.iter().filter(|rule| rule.table == table);
                let refusal = match (of_table.next(), of_table.next()) {
                    (Some(only), None) => Refusal::of(&only.rule, Reason::LimitExceeded, message),
                    _ => Refusal::whole(Reason::LimitExceeded, message),
                };
                refusals.push(refusal.remedy(remedy));
            }
        }
    }
    refusals
}

/// A ceiling's name, and what to write where the plan is right.
fn raised(guarded: bool, field: &str, needed: i64) -> (String, String) {
    let (of, place) = if guarded {
        ("guards", "the TargetDatabase")
    } else {
        ("limits", "the policy")
    };
    (
        format!("{of}.{field} of {place}"),
        format!("if the counts are right, write in {place}: {of}: {{{field}: {needed}}}"),
    )
}

/// Most rows that each rule may change.
pub(super) fn ceilings(draft: &Draft, report: &PlanReport) -> Vec<Rows> {
    let limits = &draft.limits;
    let most = limits
        .max_rows
        .map_or(i64::MAX, |max| i64::try_from(max).unwrap_or(i64::MAX));
    // What one rule uses up beyond its plan, the next ones have no more.
    let mut left = (most - report.rows()).max(0);
    let mut shares = limits
        .max_percent
        .map(|percent| Shares::of(report, percent));
    let mut ceiling = |rule: &RulePlan| {
        let planned = rule.planned();
        let slack = (planned.all / SLACK_PART).max(SLACK_ROWS).min(left);
        left -= slack;
        let mut ceiling = planned + Rows::own(slack);
        // Related rows are no part of the table's share.
        if let Some(room) = shares.as_mut().and_then(|shares| shares.room(&rule.table)) {
            let slack = slack.min(*room);
            *room -= slack;
            ceiling.own = planned.own + slack;
        }
        ceiling
    };
    report.rules.iter().map(&mut ceiling).collect()
}

/// What a share of each rule's table allows, whichever rules change it.
struct Shares<'a>(BTreeMap<&'a str, Share>);

#[derive(Clone, Copy)]
struct Share {
    planned: i64,
    total: i64,
    room: i64,
}

impl<'a> Shares<'a> {
    fn of(report: &'a PlanReport, percent: u8) -> Self {
        let rules = &report.rules;
        let of_table = |rule: &'a RulePlan| {
            let table = rule.table.as_str();
            let total = rules.iter().filter(|r| r.table == table).map(|r| r.total);
            let own = rules
                .iter()
                .filter(|r| r.table == table)
                .map(|r| r.eligible);
            let related = rules.iter().flat_map(|r| &r.related);
            let related = related.filter(|t| t.table == table).map(|t| t.rows);
            let planned = own.chain(related).sum();
            let total = total.max().unwrap_or_default();
            let allowed = total * i64::from(percent) / 100;
            let share = Share {
                planned,
                total,
                room: (allowed - planned).max(0),
            };
            (table, share)
        };
        // A sealed table empties by itself, and at once where it was filled at once.
        let shared = rules.iter().filter(|rule| !Seal::is_ending(&rule.rule));
        Self(shared.map(of_table).collect())
    }

    fn room(&mut self, table: &str) -> Option<&mut i64> {
        self.0.get_mut(table).map(|share| &mut share.room)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::digest::Digest;
    use crate::policy::Guarded;
    use crate::report::Effect;

    #[test]
    fn a_refusal_names_the_ceiling_that_is_lower_and_where_to_raise_it() {
        let report = PlanReport {
            digest: Digest::of_bytes("plan"),
            parts: None,
            as_of: jiff::Timestamp::UNIX_EPOCH,
            rules: vec![RulePlan {
                rule: "old".to_owned(),
                table: "public.t".to_owned(),
                effect: Effect::Deleted,
                cutoff: jiff::Timestamp::UNIX_EPOCH,
                eligible: 45_600,
                total: 100_000,
                clock_null: 0,
                held: 0,
                held_by: Vec::new(),
                implausible: 0,
                overdue_since: None,
                related: Vec::new(),
                walk: "id".to_owned(),
            }],
            warnings: Vec::new(),
            survivors: Vec::new(),
        };
        let told = |rows, percent| {
            let limits = Limits {
                max_rows: Some(1_200),
                max_percent: Some(20),
                guarded: Guarded { rows, percent },
            };
            let refusals = exceeded(&limits, &report);
            refusals.iter().map(ToString::to_string).collect::<Vec<_>>()
        };
        assert_eq!(
            told(true, false),
            [
                "the plan changes 45,600 rows, guards.maxRows of the TargetDatabase allows 1,200\n\
                 if the counts are right, write in the TargetDatabase: guards: {maxRows: 45600}",
                "rule old: the plan changes 45,600 of 100,000 rows of public.t, limits.maxPercent of \
                 the policy allows 20 %\n\
                 if the counts are right, write in the policy: limits: {maxPercent: 46}",
            ]
        );
        let other = told(false, true);
        assert!(
            other[0].ends_with("the policy: limits: {maxRows: 45600}"),
            "{other:?}"
        );
        assert!(
            other[1].ends_with("the TargetDatabase: guards: {maxPercent: 46}"),
            "{other:?}"
        );
    }
}
