//! What `limits` allow: of a plan before it is approved, and of its run where rows change.

use std::collections::BTreeMap;

use super::Refusal;
use super::draft::Draft;
use crate::api::reason::Reason;
use crate::report::{PlanReport, RulePlan};
use crate::rows::Rows;

/// Rows that may become eligible during a run beyond the plan, at the least.
const SLACK_ROWS: i64 = 1_000;
/// Rows that may become eligible during a run beyond the plan, one part in this many.
const SLACK_PART: i64 = 10;

/// What stands in the way of the plan.
pub(super) fn exceeded(draft: &Draft, report: &PlanReport) -> Vec<Refusal> {
    let mut refusals = Vec::new();
    let planned = report.rows();
    if let Some(max) = draft.limits.max_rows
        && u64::try_from(planned).unwrap_or(0) > max
    {
        refusals.push(
            Refusal::whole(
                Reason::LimitExceeded,
                format!("the plan changes {planned} rows, limits.maxRows allows {max}"),
            )
            .remedy(format!(
                "check the counts in status.plan; if they are right: limits: {{maxRows: {planned}}}"
            )),
        );
    }
    if let Some(percent) = draft.limits.max_percent {
        for (table, share) in Shares::of(report, percent).0 {
            let Share {
                planned,
                total,
                room: _,
            } = share;
            if planned * 100 > total * i64::from(percent) {
                let needed = (planned * 100 + total - 1) / total.max(1);
                let message = format!(
                    "the plan changes {planned} of {total} rows of {table}, limits.maxPercent allows \
                     {percent} %"
                );
                let mut of_table = report.rules.iter().filter(|rule| rule.table == table);
                let refusal = match (of_table.next(), of_table.next()) {
                    (Some(only), None) => Refusal::of(&only.rule, Reason::LimitExceeded, message),
                    _ => Refusal::whole(Reason::LimitExceeded, message),
                };
                refusals.push(refusal.remedy(format!(
                    "check the counts in status.plan; if they are right: limits: {{maxPercent: {needed}}}"
                )));
            }
        }
    }
    refusals
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
        Self(rules.iter().map(of_table).collect())
    }

    fn room(&mut self, table: &str) -> Option<&mut i64> {
        self.0.get_mut(table).map(|share| &mut share.room)
    }
}
