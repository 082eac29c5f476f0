//! The form for a comment on a pull request.

use std::fmt::Write as _;

use super::words::{
    alike, changed, day, held, kept, number, open, outlook, ran, rows, seconds, share, tables,
    unreadable, whole,
};
use super::{RefusalTold, Report, Told, person};

pub(super) fn text(report: &Report) -> String {
    let (refused, planned): (Vec<&Told>, Vec<&Told>) = report
        .policies
        .iter()
        .partition(|told| !told.refusals.is_empty());
    let pending: i64 = planned.iter().map(|told| told.pending()).sum();
    let refused = match refused.len() {
        0 => String::new(),
        1 => ", 1 policy is refused".to_owned(),
        more => format!(", {more} policies are refused"),
    };
    let ran: Vec<i64> = report.policies.iter().filter_map(done).collect();
    let what = if ran.is_empty() {
        match pending {
            0 if planned.is_empty() => "plan: nothing would change".to_owned(),
            0 => "plan: nothing to do".to_owned(),
            count => format!("plan: {} would change", rows(count)),
        }
    } else {
        format!("run: {} changed", rows(ran.iter().sum()))
    };
    let mut text = String::new();
    if !report.policies.is_empty() || report.requests.is_empty() {
        let _ = writeln!(text, "## Retention {what}{refused}");
    }
    for told in &report.policies {
        policy(&mut text, told);
    }
    if !report.requests.is_empty() {
        text.push_str("## Erasure\n");
    }
    for told in &report.requests {
        person::in_markdown(&mut text, told);
    }
    text
}

/// What stood in the way before there was a policy to tell of. Indented: its text is no Markdown.
pub(super) fn failed(what: &str, error: &str) -> String {
    let mut text = format!("## Retention {what}: failed\n\n");
    for line in error.lines() {
        text.push_str("    ");
        text.push_str(line);
        text.push('\n');
    }
    text
}

/// Rows that were changed, where anything was begun.
fn done(told: &Told) -> Option<i64> {
    let open = told.open_run.as_ref().map(|open| open.rows_changed);
    told.run.as_ref().map(changed).or(open)
}

fn policy(text: &mut String, told: &Told) {
    let mut add = |piece: &str| text.push_str(piece);
    let name = format!("{}/{}", told.namespace, told.name);
    add(&format!("\n### {}\n\n", plain(&name)));
    let server = told.server.as_deref().unwrap_or("not connected");
    let suspended = if told.suspended { ", suspended" } else { "" };
    let as_of = told
        .plan
        .as_ref()
        .map_or_else(String::new, |plan| format!(", as of {}", plan.as_of));
    add(&format!(
        "**{}**. Mode {}{suspended}; TargetDatabase {} at {} ({}){as_of}.\n",
        outlook(told),
        told.mode,
        code(&told.database),
        code(&told.address),
        plain(server),
    ));
    if let Some(plan) = &told.plan {
        add("\n| Rule | Table | What | Rows | Share | Overdue since | Walk | Time |\n");
        add("|---|---|---|--:|--:|---|---|--:|\n");
        for (index, rule) in plan.rules.iter().enumerate() {
            let time = told.estimated_seconds.get(index).copied().flatten();
            for (position, (table, effect, count)) in tables(rule).into_iter().enumerate() {
                let own = position == 0;
                let only = |cell: String| if own { cell } else { String::new() };
                add(&format!(
                    "| {} | {} | {} | {} | {} | {} | {} | {} |\n",
                    only(plain(&rule.rule)),
                    code(table),
                    effect.verb(),
                    number(count),
                    only(share(rule)),
                    only(day(rule.overdue_since)),
                    only(code(&rule.walk)),
                    only(seconds(time)),
                ));
            }
        }
    }
    for refusal in &told.refusals {
        add(&refused(refusal));
    }
    let plan = told.plan.iter();
    let rules = plan.flat_map(|plan| &plan.rules);
    let unreadable = rules.clone().filter_map(unreadable);
    let alike = rules.clone().filter_map(alike);
    let whole = rules.clone().filter_map(whole);
    let held = rules.clone().filter_map(held).chain(rules.filter_map(kept));
    let warnings = told.plan.iter().flat_map(|plan| &plan.warnings);
    let warnings = warnings.map(|warning| format!("warning: {warning}"));
    let notes = told.notes.iter().map(|note| format!("note: {note}"));
    let stopped = told.open_run.iter().map(open);
    let run = told.run.iter().flat_map(ran);
    let places = told.left_elsewhere.iter().filter(|_| told.run.is_some());
    let places = places.map(|place| format!("left elsewhere: {place}"));
    let said = unreadable
        .chain(whole)
        .chain(held)
        .chain(alike)
        .chain(warnings)
        .chain(notes);
    let lines: Vec<String> = said.chain(stopped).chain(run).chain(places).collect();
    if !lines.is_empty() {
        add("\n");
    }
    for line in lines {
        add(&format!("- {}\n", plain(&line)));
    }
    for statements in &told.statements {
        let mut sql = String::new();
        for statement in &statements.sql {
            sql.push_str(statement);
            sql.push_str(";\n");
        }
        add(&format!(
            "\n<details><summary>Statements of rule {}</summary>\n\n{}\n</details>\n",
            plain(&statements.rule),
            fenced("sql", &sql),
        ));
    }
}

pub(super) fn refused(refusal: &RefusalTold) -> String {
    let RefusalTold {
        rule,
        reason,
        message,
        remedy,
    } = refusal;
    let rule = rule
        .as_ref()
        .map_or_else(String::new, |rule| format!("rule {}: ", plain(rule)));
    let head = format!("\n**Refused, {reason}:** {rule}{}\n", plain(message));
    if remedy.contains('\n') {
        format!("{head}\n{}", fenced("", remedy))
    } else {
        format!("{head}\n{}\n", plain(remedy))
    }
}

/// A block of code with a fence that is longer than any in it.
pub(super) fn fenced(language: &str, text: &str) -> String {
    let mut fence = "```".to_owned();
    while text.contains(&fence) {
        fence.push('`');
    }
    format!("{fence}{language}\n{}\n{fence}\n", text.trim_end())
}

/// A name as code, which nothing in it ends.
pub(in crate::command) fn code(text: &str) -> String {
    if text.is_empty() {
        return String::new();
    }
    let one_line = text.replace(['\n', '\r'], " ");
    let mut fence = "`".to_owned();
    while one_line.contains(&fence) {
        fence.push('`');
    }
    let pad = if one_line.starts_with('`') || one_line.ends_with('`') {
        " "
    } else {
        ""
    };
    format!("{fence}{pad}{}{pad}{fence}", one_line.replace('|', "\\|"))
}

/// Text in which nothing is markup: names come from manifests and catalogs.
pub(in crate::command) fn plain(text: &str) -> String {
    let mut escaped = String::new();
    for character in text.chars() {
        match character {
            '\n' | '\r' => escaped.push(' '),
            '\\' | '`' | '*' | '[' | ']' | '<' | '>' | '|' | '#' | '@' | '!' => {
                escaped.push('\\');
                escaped.push(character);
            }
            _ => escaped.push(character),
        }
    }
    escaped
}
