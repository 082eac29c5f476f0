//! The form for people: a block per policy, no line longer than [`WIDTH`] but where a name or a
//! remedy's own line is.

use super::words::{day, number, open, outlook, ran, seconds, share, tables, unreadable};
use super::{RefusalTold, Told};

/// Columns of a terminal that everything fits.
const WIDTH: usize = 100;

/// Longest name of a rule or table, and longest walk, that a column makes room for.
const LONGEST: [usize; 2] = [24, 36];

pub(super) fn text<'t>(policies: impl Iterator<Item = &'t Told>) -> String {
    let blocks: Vec<String> = policies.map(block).collect();
    blocks.join("\n")
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
        lines.extend(grid(&rows));
        lines.push(String::new());
    }
    for refusal in &told.refusals {
        refused(&mut lines, refusal);
    }
    let plan = told.plan.iter();
    for note in plan.flat_map(|plan| &plan.rules).filter_map(unreadable) {
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

fn refused(lines: &mut Vec<String>, refusal: &RefusalTold) {
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

fn cells(told: &Told) -> Vec<[String; 8]> {
    let mut all = vec![HEAD.map(str::to_owned)];
    for (index, rule) in told.plan.iter().flat_map(|plan| &plan.rules).enumerate() {
        let time = told.estimated_seconds.get(index).copied().flatten();
        for (position, (table, effect, count)) in tables(rule).into_iter().enumerate() {
            let table = shorten(table, LONGEST[1]);
            let (what, count) = (effect.verb().to_owned(), number(count));
            all.push(if position == 0 {
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
            });
        }
    }
    all
}

/// Lines of columns. Where all of it would be too wide, the names give way.
fn grid(rows: &[[String; 8]]) -> Vec<String> {
    let width_of = |column: usize| {
        let cells = rows.iter().map(|row| row[column].chars().count());
        cells.max().unwrap_or(0)
    };
    let mut widths: [usize; 8] = std::array::from_fn(width_of);
    let gaps = 2 * widths.len();
    for column in [6, 1, 0] {
        let all: usize = widths.iter().sum::<usize>() + gaps;
        let room = widths[column].saturating_sub(all.saturating_sub(WIDTH));
        widths[column] = room.max(widths[column].min(8));
    }
    let line = |row: &[String; 8]| {
        let mut text = String::new();
        for ((cell, width), right) in row.iter().zip(widths).zip(RIGHT) {
            let cell = shorten(cell, width);
            let pad = " ".repeat(width.saturating_sub(cell.chars().count()));
            text.push_str("  ");
            if right {
                text.push_str(&pad);
                text.push_str(&cell);
            } else {
                text.push_str(&cell);
                text.push_str(&pad);
            }
        }
        text.trim_end().to_owned()
    };
    rows.iter().map(line).collect()
}

/// A name that is too long loses its middle: its ends tell it from others.
fn shorten(text: &str, most: usize) -> String {
    let length = text.chars().count();
    if length <= most {
        return text.to_owned();
    }
    let head = most.saturating_sub(1) / 2;
    let tail = most.saturating_sub(1) - head;
    let start: String = text.chars().take(head).collect();
    let end: String = text.chars().skip(length - tail).collect();
    format!("{start}…{end}")
}

/// Adds a text as lines of at most [`WIDTH`] columns, broken between words; its own line feeds stay.
fn wrap(lines: &mut Vec<String>, indent: &str, text: &str) {
    let mut before = indent.to_owned();
    for paragraph in text.lines() {
        let mut line = before.clone();
        for word in paragraph.split(' ') {
            let begun = line.len() > before.len();
            if begun && line.chars().count() + 1 + word.chars().count() > WIDTH {
                before = format!("{indent}  ");
                lines.push(std::mem::replace(&mut line, before.clone()));
            } else if begun {
                line.push(' ');
            }
            line.push_str(word);
        }
        lines.push(line);
        before = format!("{indent}  ");
    }
}
