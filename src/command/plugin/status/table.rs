//! The picture for people.

use jiff::Timestamp;
use oubliette_core::api::reason::Standing;
use oubliette_core::api::retention_policy::KeepUpStatus;
use oubliette_core::report::RunOutcome;

use super::{DatabaseTold, Picture, PolicyTold, RequestTold, Waiting, standing};
use crate::command::columns::{Cell, grid, painted, wrap};
use crate::command::told::words::{number, seconds};

pub(super) fn text(picture: &Picture, place: &str, now: Timestamp, coloured: bool) -> String {
    let Picture {
        databases,
        policies,
        requests,
        waiting,
    } = picture;
    if databases.is_empty() && policies.is_empty() && requests.is_empty() && waiting.is_empty() {
        return format!("no TargetDatabase, RetentionPolicy or ErasureRequest in {place}\n");
    }
    // Where all are of one namespace, it was asked for.
    let databases_in = databases.iter().map(|told| &told.namespace);
    let policies_in = policies.iter().map(|told| &told.namespace);
    let requests_in = requests.iter().map(|told| &told.namespace);
    let waiting_in = waiting.iter().map(|told| &told.namespace);
    let mut namespaces = databases_in
        .chain(policies_in)
        .chain(requests_in)
        .chain(waiting_in);
    let first = namespaces.next();
    let several = namespaces.any(|other| Some(other) != first);
    let named = |namespace: &str, name: &str| {
        if several {
            format!("{namespace}/{name}")
        } else {
            name.to_owned()
        }
    };
    let mut lines = Vec::new();
    if !databases.is_empty() {
        let mut rows = vec![["DATABASE", "ENGINE", "READY", "REASON", "OPEN RUNS"].map(Cell::from)];
        let cells = |told: &DatabaseTold| database(told, named(&told.namespace, &told.name));
        rows.extend(databases.iter().map(cells));
        let right = [false, false, false, false, true];
        lines.extend(grid(&rows, right, &[0, 1], coloured));
        lines.push(String::new());
    }
    if !policies.is_empty() {
        let head = [
            "POLICY", "DATABASE", "MODE", "REASON", "OVERDUE", "NEXT RUN", "LAST RUN",
        ];
        let mut rows = vec![head.map(Cell::from)];
        let cells = |told: &PolicyTold| policy(told, named(&told.namespace, &told.name), now);
        rows.extend(policies.iter().map(cells));
        let right = [false, false, false, false, true, false, false];
        lines.extend(grid(&rows, right, &[1, 0, 3], coloured));
        lines.push(String::new());
    }
    if !requests.is_empty() {
        let head = ["REQUEST", "CASE", "STATE", "OUTCOME", "DUE", "REASON"];
        let mut rows = vec![head.map(Cell::from)];
        let cells = |told: &RequestTold| request(told, named(&told.namespace, &told.name));
        rows.extend(requests.iter().map(cells));
        lines.extend(grid(&rows, [false; 6], &[0, 1, 5], coloured));
        lines.push(String::new());
    }
    let under_way: Vec<String> = policies
        .iter()
        .filter_map(|told| under_way(told, now))
        .collect();
    if !under_way.is_empty() {
        lines.push("UNDER WAY".to_owned());
        for line in under_way {
            wrap(&mut lines, "  ", &line);
        }
        lines.push(String::new());
    }
    let behind: Vec<String> = policies
        .iter()
        .filter_map(|told| behind(told, now))
        .collect();
    if !behind.is_empty() {
        lines.push("FALLING BEHIND".to_owned());
        for line in behind {
            wrap(&mut lines, "  ", &line);
        }
        lines.push(String::new());
    }
    if waiting.is_empty() {
        lines.push("Nothing waits.".to_owned());
    } else {
        lines.push("WHAT WAITS AND WHY".to_owned());
        for waiting in waiting {
            waits(&mut lines, waiting, coloured);
        }
    }
    lines.join("\n") + "\n"
}

fn database(told: &DatabaseTold, name: String) -> [Cell; 5] {
    let engine = [&told.engine, &told.version].map(|part| part.as_deref().unwrap_or_default());
    let engine = match engine {
        ["", ""] => "-".to_owned(),
        // Servers differ in whether they name themselves.
        [engine, version] if version.contains(engine) => version.to_owned(),
        [engine, version] => format!("{engine} {version}"),
    };
    let standing = standing(&told.reason);
    [
        Cell::from(name),
        Cell::from(engine),
        Cell::standing(&told.ready, standing),
        Cell::standing(&told.reason, standing),
        Cell::from(told.open_runs.len().to_string()),
    ]
}

fn policy(told: &PolicyTold, name: String, now: Timestamp) -> [Cell; 7] {
    let own = format!("{}/", told.namespace);
    let database = told.database.strip_prefix(&own).unwrap_or(&told.database);
    let next = match told.next_run_at {
        Some(at) if at > now => format!("in {}", apart(now, at)),
        Some(_) => "now".to_owned(),
        None => "-".to_owned(),
    };
    let last = told.last_run.as_ref().map(|run| {
        let ago = apart(run.finished_at, now);
        let (outcome, standing) = match run.outcome {
            RunOutcome::Completed => ("Completed".to_owned(), Standing::Well),
            RunOutcome::Stopped(reason) => (reason.to_string(), reason.standing()),
            RunOutcome::Failed(reason) => (reason.to_string(), Standing::Stalled),
        };
        Cell::standing(format!("{outcome} {ago} ago"), Some(standing))
    });
    [
        Cell::from(name),
        Cell::from(database),
        Cell::from(told.mode.as_str()),
        Cell::standing(&told.reason, standing(&told.reason)),
        Cell::from(told.overdue_rows.map_or_else(|| "-".to_owned(), number)),
        Cell::from(next),
        last.unwrap_or_else(|| Cell::from("-")),
    ]
}

fn request(told: &RequestTold, name: String) -> [Cell; 6] {
    let or_dash = |text: &Option<String>| text.clone().unwrap_or_else(|| "-".to_owned());
    let due = if told.answered {
        "answered".to_owned()
    } else {
        or_dash(&told.due_on)
    };
    [
        Cell::from(name),
        Cell::from(told.case.as_str()),
        Cell::from(or_dash(&told.state)),
        Cell::from(or_dash(&told.outcome)),
        Cell::from(due),
        Cell::standing(&told.reason, standing(&told.reason)),
    ]
}

/// How far a plan or run is.
fn under_way(told: &PolicyTold, now: Timestamp) -> Option<String> {
    let progress = told.progress.as_ref()?;
    let mut parts = vec![match &progress.rule {
        Some(rule) => format!("{}, rule {rule}", progress.phase),
        None => progress.phase.clone(),
    }];
    if progress.rows_planned > 0 {
        let (done, planned) = (number(progress.rows_done), number(progress.rows_planned));
        parts.push(format!("{done} of {planned} rows"));
    }
    if progress.rows_per_second > 0 {
        parts.push(format!("{} rows/s", number(progress.rows_per_second)));
    }
    if let Some(end) = progress.estimated_end_at {
        parts.push(format!("{} left", apart(now, end)));
    }
    if let Some(reason) = &progress.waiting_for {
        parts.push(format!("waits: {reason}"));
    }
    let (namespace, name) = (&told.namespace, &told.name);
    Some(format!("{namespace}/{name}: {}", parts.join(", ")))
}

/// Why a policy falls behind, and when it will have caught up.
fn behind(told: &PolicyTold, now: Timestamp) -> Option<String> {
    let reason = told.falling_behind.as_ref()?;
    let mut parts = vec![reason.clone()];
    if let Some(rows) = told.overdue_rows {
        parts.push(format!("{} rows overdue", number(rows)));
    }
    if let Some(oldest) = told.oldest_overdue_at {
        parts.push(format!("the oldest for {}", apart(oldest, now)));
    }
    parts.push(match &told.keep_up {
        Some(keep_up) if keep_up.never => "never caught up at this pace".to_owned(),
        Some(KeepUpStatus {
            caught_up_at: Some(at),
            ..
        }) => format!("caught up in {}", apart(now, *at)),
        _ => "not known yet when it will have caught up".to_owned(),
    });
    let (namespace, name) = (&told.namespace, &told.name);
    Some(format!("{namespace}/{name}: {}", parts.join(", ")))
}

pub(in crate::command::plugin) fn waits(
    lines: &mut Vec<String>,
    waiting: &Waiting,
    coloured: bool,
) {
    let Waiting {
        kind,
        namespace,
        name,
        reason,
        stands,
        message,
        remedy,
    } = waiting;
    let shown = painted(reason, standing(reason), coloured);
    let stands = stands.map_or_else(String::new, |stands| format!(", {stands}"));
    lines.push(format!("  {kind} {namespace}/{name}"));
    lines.push(format!("    {shown}{stands}"));
    // Its other lines are YAML or SQL to copy: `kubectl describe` has them.
    wrap(lines, "    ", message.lines().next().unwrap_or_default());
    wrap(lines, "    ", &format!("What to do: {remedy}"));
}

/// How long from one instant to a later one, coarsely.
fn apart(from: Timestamp, to: Timestamp) -> String {
    seconds(Some(to.duration_since(from).as_secs().max(0)))
}
