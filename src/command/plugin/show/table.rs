//! A request for people.

use jiff::Timestamp;
use oubliette_core::api::erasure_plan::{ErasurePlanSpec, PlannedEffect, PlannedTable};
use oubliette_core::api::erasure_request::{DatabaseErasure, ErasureRequestStatus, PlaceStatus};
use oubliette_core::api::rule::RelatedActionType;
use oubliette_core::api::words::Choice;
use oubliette_core::erasure::duplicates::named;

use super::Told;
use crate::command::columns::{Cell, grid, wrap};
use crate::command::plugin::status::waits;
use crate::command::told::words::{number, rows, seconds};

pub(super) fn text(told: &Told, now: Timestamp, coloured: bool) -> String {
    let mut lines = vec![format!("ErasureRequest {}/{}", told.namespace, told.name)];
    head(&mut lines, told, now);
    if let Some(waiting) = &told.waiting {
        lines.push(String::new());
        waits(&mut lines, waiting, coloured);
    }
    lines.push(String::new());
    match (&told.plan, &told.plan_not_shown) {
        (Some(found), _) => plan(&mut lines, found, coloured),
        (None, Some(why)) => {
            figures(&mut lines, &told.status);
            wrap(
                &mut lines,
                "  ",
                &format!("What is planned for each table is not shown: {why}"),
            );
        }
        (None, None) => lines.push("Nothing is planned yet.".to_owned()),
    }
    let residue: Vec<String> = told.status.databases.iter().flat_map(residue).collect();
    if !residue.is_empty() {
        lines.push(String::new());
        lines.push("STILL IN TEXTS".to_owned());
        for what in &residue {
            wrap(&mut lines, "  ", what);
        }
    }
    places(&mut lines, &told.status.elsewhere, coloured);
    if !told.status.to_confirm.is_empty() {
        lines.push(String::new());
        lines.push("TO BE CONFIRMED by whoever knows that it is done".to_owned());
        let confirm = |item| format!("  kubectl oubliette confirm {} {item}", told.name);
        lines.extend(told.status.to_confirm.iter().map(confirm));
    }
    lines.join("\n") + "\n"
}

/// Who asked, how it stands, and by when the person must be answered.
fn head(lines: &mut Vec<String>, told: &Told, now: Timestamp) {
    let (spec, status) = (&told.spec, &told.status);
    let mut fact = |name: &str, value: String| lines.push(format!("  {name:<12}  {value}"));
    fact("case", spec.case_ref.clone().unwrap_or_default());
    fact("filed by", spec.requested_by.clone().unwrap_or_default());
    let state = status
        .state
        .as_ref()
        .map_or("not looked at yet", Choice::text);
    let outcome = status.outcome.as_ref().map(Choice::text);
    fact(
        "state",
        match outcome {
            Some(outcome) => format!("{state}, {outcome}"),
            None => state.to_owned(),
        },
    );
    if let Some(received) = spec.received_at {
        fact("received", day(received));
    }
    let identity = spec.identity.as_ref();
    if identity.and_then(|identity| identity.required) == Some(true) {
        let proved = identity.and_then(|identity| identity.satisfied_at);
        fact(
            "identity",
            proved.map_or_else(
                || "not proved yet".to_owned(),
                |at| format!("proved {}", day(at)),
            ),
        );
    }
    let sent = spec.reply.as_ref().and_then(|reply| reply.sent_at);
    match (sent, &status.due_on) {
        (Some(sent), _) => fact("answered", day(sent)),
        (None, Some(due)) => fact("answer by", due_on(due, now)),
        (None, None) => fact("answer by", "not known yet".to_owned()),
    }
    if let Some(kept) = &status.kept {
        let ends = kept.next_ends_at.map_or_else(String::new, |at| {
            format!(", the first of them until {}", day(at))
        });
        fact("kept", format!("{}{ends}", rows(kept.rows)));
    }
    if let Some(certificate) = &status.certificate {
        fact(
            "certificate",
            format!(
                "ConfigMap {}, {}",
                certificate.config_map, certificate.digest
            ),
        );
    }
    for duplicate in &status.duplicates {
        let name = named(duplicate);
        fact(
            "see also",
            format!("{name}: it gives one of the same identifiers"),
        );
    }
    if spec.suspend == Some(true) {
        fact("suspended", "until it is resumed".to_owned());
    }
}

/// The day, and how far it is. Days count in the regulator's zone, so the distance is only coarse.
fn due_on(due: &str, now: Timestamp) -> String {
    let end = due.parse::<jiff::civil::Date>().ok();
    let end = end.and_then(|date| date.to_zoned(jiff::tz::TimeZone::UTC).ok());
    let Some(end) = end.map(|zoned| zoned.timestamp()) else {
        return due.to_owned();
    };
    let apart = end.duration_since(now).as_secs();
    if apart < 0 {
        format!("{due}, {} ago", seconds(Some(-apart)))
    } else {
        format!("{due}, in {}", seconds(Some(apart)))
    }
}

fn day(at: Timestamp) -> String {
    at.strftime("%Y-%m-%d").to_string()
}

/// What may be known of a plan by everybody who sees the request.
fn figures(lines: &mut Vec<String>, status: &ErasureRequestStatus) {
    if let Some(plan) = &status.plan {
        lines.push(format!("PLAN {} as of {}", plan.digest, plan.as_of));
        lines.push(format!(
            "  {} deleted, {} transformed, {} kept by duties, {} by legal holds",
            rows(plan.deletes),
            number(plan.transforms),
            number(plan.keeps),
            number(plan.held)
        ));
    }
}

/// The plan in three groups: what goes, what is changed, what stays and why.
pub(in crate::command) fn plan(lines: &mut Vec<String>, plan: &ErasurePlanSpec, coloured: bool) {
    lines.push(format!("PLAN {} as of {}", plan.digest, plan.as_of));
    let (mut deleted, mut transformed, mut kept) = (Vec::new(), Vec::new(), Vec::new());
    for database in &plan.databases {
        for table in &database.tables {
            let row =
                |name: &str, count| [number(count), name.to_owned(), database.database.clone()];
            if table.rows > 0 {
                match table.effect.known() {
                    Some(PlannedEffect::Delete) => deleted.push(row(&table.table, table.rows)),
                    Some(PlannedEffect::Transform) | None => {
                        transformed.push(row(&table.table, table.rows));
                    }
                }
            }
            for related in table.related.iter().filter(|related| related.rows > 0) {
                let row = row(&related.table, related.rows);
                match related.effect.known() {
                    Some(RelatedActionType::Delete) => deleted.push(row),
                    _ => transformed.push(row),
                }
            }
            let place = format!("{} ({})", table.table, database.database);
            let stays = stays(table);
            kept.extend(stays.map(|(count, what)| format!("{} of {place} {what}", rows(count))));
        }
    }
    let columns = ["ROWS", "TABLE", "DATABASE"];
    for (title, rows) in [("DELETED", deleted), ("TRANSFORMED", transformed)] {
        section(lines, title, columns, rows, &[1, 2], coloured);
    }
    lines.push(String::new());
    if kept.is_empty() {
        lines.push("KEPT: nothing".to_owned());
    } else {
        lines.push("KEPT".to_owned());
        // Whole: laws are cited, not cut.
        for what in &kept {
            wrap(lines, "  ", what);
        }
    }
    let unclassified = plan.databases.iter();
    let unclassified = unclassified.flat_map(|database| {
        database
            .unclassified
            .iter()
            .map(|what| format!("{}: {what}", database.map))
    });
    let unclassified: Vec<String> = unclassified.collect();
    if !unclassified.is_empty() {
        lines.push(String::new());
        lines.push("NOBODY HAS DECIDED ABOUT".to_owned());
        lines.extend(unclassified.iter().map(|what| format!("  {what}")));
    }
}

/// What duties and holds keep of an entry's rows: how many, until when, and why.
fn stays(table: &PlannedTable) -> impl Iterator<Item = (i64, String)> {
    let duties = table.kept.iter().map(|kept| {
        let until = match (kept.until, kept.open_ended) {
            (Some(at), 0) => format!("until {}", day(at)),
            (Some(at), open) => format!("until {}, {} of them without end", day(at), number(open)),
            (None, _) => "without a known end".to_owned(),
        };
        let ground = kept.ground.as_ref();
        let ground = ground.map_or_else(String::new, |ground| format!("{}, ", ground.text()));
        let told = if kept.tell_subject {
            ""
        } else {
            "; the person is not told"
        };
        (kept.rows, format!("{until}: {ground}{}{told}", kept.law))
    });
    let holds = table.held.iter();
    let holds = holds.map(|held| {
        (
            held.rows,
            format!("until LegalHold {} is released", held.hold),
        )
    });
    duties.chain(holds)
}

/// What a search of all texts still found in a database, a line each.
pub(in crate::command) fn residue(erased: &DatabaseErasure) -> Vec<String> {
    let Some(residue) = &erased.residue else {
        return Vec::new();
    };
    let database = &erased.database;
    let mut lines: Vec<String> = residue
        .found
        .iter()
        .map(|one| {
            let (table, column) = (&one.table, &one.column);
            format!(
                "{database}: {} of {table}.{column} still have an identifier",
                rows(one.rows)
            )
        })
        .collect();
    let not = residue.not_searched.iter();
    lines.extend(
        not.map(|table| format!("{database}: {table} could not be searched for identifiers")),
    );
    if residue.left_out > 0 {
        lines.push(format!("{database}: and {} more", number(residue.left_out)));
    }
    if lines.is_empty() {
        lines.push(format!("{database}: no text has an identifier any more"));
    }
    lines
}

fn section<const N: usize>(
    lines: &mut Vec<String>,
    title: &str,
    columns: [&str; N],
    rows: Vec<[String; N]>,
    yielding: &[usize],
    coloured: bool,
) {
    lines.push(String::new());
    if rows.is_empty() {
        lines.push(format!("{title}: nothing"));
        return;
    }
    lines.push(title.to_owned());
    let mut cells = vec![columns.map(Cell::from)];
    cells.extend(rows.into_iter().map(|row| row.map(Cell::from)));
    let mut right = [false; N];
    right[0] = columns[0] == "ROWS";
    lines.extend(grid(&cells, right, yielding, coloured));
}

fn places(lines: &mut Vec<String>, places: &[PlaceStatus], coloured: bool) {
    if places.is_empty() {
        return;
    }
    let row = |place: &PlaceStatus| {
        let by = place
            .owner
            .as_ref()
            .map_or_else(|| "the operator".to_owned(), Clone::clone);
        let since = place.at.map_or_else(|| "-".to_owned(), day);
        [place.name.clone(), by, place.state.clone(), since]
    };
    let rows: Vec<_> = places.iter().map(row).collect();
    section(
        lines,
        "ELSEWHERE",
        ["PLACE", "BY", "STATE", "SINCE"],
        rows,
        &[0, 1],
        coloured,
    );
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn told() -> Told {
        let digest = format!("sha256:{}", "0".repeat(64));
        let value = |value| serde_json::from_value(value).unwrap();
        Told {
            namespace: "crm".to_owned(),
            name: "sr-0042".to_owned(),
            spec: serde_json::from_value(json!({
                "caseRef": "SR-0042", "requestedBy": "jane", "receivedAt": "2026-11-02T09:00:00Z",
                "identity": {"required": true, "satisfiedAt": "2026-11-03T09:00:00Z"},
            }))
            .unwrap(),
            status: serde_json::from_value(json!({
                "state": "AwaitingApproval", "dueOn": "2026-12-03",
                "duplicates": [{"uid": "u-1", "name": "sr-0040", "state": "Open"}],
                "plan": {
                    "digest": digest, "asOf": "2026-11-03T10:00:00Z", "databases": 1, "deletes": 42,
                    "transforms": 1, "keeps": 1, "held": 2,
                },
                "elsewhere": [{
                    "name": "paper-files", "via": "Manual", "owner": "reception", "state": "Pending",
                }],
                "toConfirm": ["elsewhere/paper-files"],
            }))
            .unwrap(),
            waiting: None,
            plan: Some(value(json!({
                "requestRef": {"name": "sr-0042", "uid": "u"}, "digest": digest,
                "asOf": "2026-11-03T10:00:00Z",
                "databases": [{
                    "map": "crm/crm", "database": "crm/main",
                    "tables": [
                        {
                            "entry": "learners", "table": "public.learners", "effect": "Transform",
                            "rows": 1,
                            "kept": [
                                {
                                    "duty": "d", "law": "Education Act 1996, s. 537A",
                                    "ground": "Art17_3_b", "rows": 1,
                                    "until": "2031-08-31T00:00:00Z", "tellSubject": true,
                                },
                                {"duty": "d", "law": "a contract", "rows": 3, "openEnded": 3, "tellSubject": false},
                            ],
                            "held": [{"hold": "crm/matter-14", "rows": 2}],
                        },
                        {
                            "entry": "enquiries", "table": "public.enquiries", "effect": "Delete",
                            "rows": 12,
                            "related": [{"table": "public.notes", "effect": "Delete", "rows": 30}],
                        },
                    ],
                    "unclassified": ["public.badges"],
                }],
            }))),
            plan_not_shown: None,
        }
    }

    fn shown(told: &Told) -> String {
        text(told, "2026-11-30T00:00:00Z".parse().unwrap(), false)
    }

    #[test]
    fn a_request_is_shown_with_its_clock_and_plan() {
        insta::assert_snapshot!(shown(&told()));
    }

    #[test]
    fn who_may_not_see_the_plan_sees_its_figures() {
        let mut told = told();
        told.plan = None;
        told.plan_not_shown = Some("forbidden".to_owned());
        let text = shown(&told);
        assert!(
            text.contains("42 rows deleted, 1 transformed, 1 kept by duties, 2 by legal holds")
        );
        assert!(
            text.contains("not shown: forbidden") && !text.contains("public."),
            "{text}"
        );
        told.status.plan = None;
        told.plan_not_shown = None;
        assert!(shown(&told).contains("Nothing is planned yet."));
    }
}
