//! The form for people: a block per policy.

use super::super::columns::{Cell, grid, shorten, wrap};
use super::words::{
    alike, day, held, kept, number, open, outlook, ran, seconds, share, tables, unreadable, whole,
};
use super::{RefusalTold, Told};

/// Longest name of a rule or table, and longest walk, that a column makes room for.
const LONGEST: [usize; 2] = [24, 36];

pub(super) fn text<'t>(policies: impl Iterator<Item = &'t Told>) -> String {
    blocks(policies).collect::<Vec<_>>().join("\n")
}

/// A text for each policy.
pub(super) fn blocks<'t>(policies: impl Iterator<Item = &'t Told>) -> impl Iterator<Item = String> {
    policies.map(block)
}

fn block(told: &Told) -> String {
    let mut lines = vec![format!(
        "{}/{}: {}",
        told.namespace,
        told.name,
        outlook(told)
    )];
    let server = told.server.as_deref().unwrap_or("not connected");
    let suspended = if told.suspended { ", suspended" } else { "" };
    let as_of = told
        .plan
        .as_ref()
        .map_or_else(String::new, |plan| format!(", as of {}", plan.as_of));
    wrap(
        &mut lines,
        "  ",
        &format!(
            "mode {}{suspended}, TargetDatabase {} at {} ({server}){as_of}",
            told.mode, told.database, told.address
        ),
    );
    let rows = cells(told);
    if rows.len() > 1 {
        lines.push(String::new());
        lines.extend(grid(&rows, RIGHT, &YIELDING, false));
        lines.push(String::new());
    }
    for refusal in &told.refusals {
        refused(&mut lines, refusal);
    }
    let plan = told.plan.iter();
    for note in plan.flat_map(|plan| &plan.rules).filter_map(unreadable) {
        wrap(&mut lines, "  ", &note);
    }
    let plan = told.plan.iter();
    for note in plan.flat_map(|plan| &plan.rules).filter_map(whole) {
        wrap(&mut lines, "  ", &note);
    }
    let plan = told.plan.iter();
    for rule in plan.flat_map(|plan| &plan.rules) {
        for note in held(rule).into_iter().chain(kept(rule)) {
            wrap(&mut lines, "  ", &note);
        }
    }
    let plan = told.plan.iter();
    for note in plan.flat_map(|plan| &plan.rules).filter_map(alike) {
        wrap(&mut lines, "  ", &note);
    }
    if told.estimated_seconds.contains(&None) && told.pending() > 0 {
        wrap(
            &mut lines,
            "  ",
            "?: known once the first batches are measured, or with pacing.maxRowsPerSecond",
        );
    }
    for warning in told.plan.iter().flat_map(|plan| &plan.warnings) {
        wrap(&mut lines, "  ", &format!("warning: {warning}"));
    }
    for note in &told.notes {
        wrap(&mut lines, "  ", &format!("note: {note}"));
    }
    for statements in &told.statements {
        lines.push(format!("  statements of rule {}:", statements.rule));
        let sql = statements.sql.iter();
        lines.extend(sql.map(|statement| format!("    {statement};")));
    }
    for line in told.open_run.iter().map(open) {
        wrap(&mut lines, "  ", &line);
    }
    if let Some(run) = &told.run {
        for line in ran(run) {
            wrap(&mut lines, "  ", &line);
        }
        for place in &told.left_elsewhere {
            wrap(&mut lines, "  ", &format!("left elsewhere: {place}"));
        }
    }
    let mut text = lines.join("\n");
    text.push('\n');
    text
}

pub(super) fn refused(lines: &mut Vec<String>, refusal: &RefusalTold) {
    let RefusalTold {
        rule,
        reason,
        message,
        remedy,
    } = refusal;
    let rule = rule
        .as_ref()
        .map_or_else(String::new, |rule| format!("rule {rule}: "));
    wrap(lines, "  ", &format!("refused ({reason}): {rule}{message}"));
    for line in remedy.lines() {
        // To be copied as it is, unless it is a sentence.
        if remedy.contains('\n') {
            lines.push(format!("    {line}").trim_end().to_owned());
        } else {
            wrap(lines, "    ", line);
        }
    }
}

const HEAD: [&str; 8] = [
    "RULE",
    "TABLE",
    "WHAT",
    "ROWS",
    "SHARE",
    "OVERDUE SINCE",
    "WALK",
    "TIME",
];

/// Columns of numbers stand to the right.
const RIGHT: [bool; 8] = [false, false, false, true, true, false, false, true];

/// Walk, table and rule.
const YIELDING: [usize; 3] = [6, 1, 0];

fn cells(told: &Told) -> Vec<[Cell; 8]> {
    let mut all = vec![HEAD.map(Cell::from)];
    for (index, rule) in told.plan.iter().flat_map(|plan| &plan.rules).enumerate() {
        let time = told.estimated_seconds.get(index).copied().flatten();
        for (position, (table, effect, count)) in tables(rule).into_iter().enumerate() {
            let table = shorten(table, LONGEST[1]);
            let (what, count) = (effect.verb().to_owned(), number(count));
            let row = if position == 0 {
                [
                    shorten(&rule.rule, LONGEST[0]),
                    table,
                    what,
                    count,
                    share(rule),
                    day(rule.overdue_since),
                    shorten(&rule.walk, LONGEST[0]),
                    seconds(time),
                ]
            } else {
                let none = String::new;
                [
                    none(),
                    format!("+ {table}"),
                    what,
                    count,
                    none(),
                    none(),
                    none(),
                    none(),
                ]
            };
            all.push(row.map(Cell::from));
        }
    }
    all
}
