//! What a search of all texts after an erasure comes to. It holds nothing up: a person decides.

use super::Verdict;
use super::say::rows_of;
use crate::api::condition::State;
use crate::api::reason::Reason;
use crate::erasure::outcome::PlaceRun;

/// What a search of all texts has found. `None`: no map asks for it.
pub(super) fn residue(runs: &[PlaceRun]) -> Option<(State, Verdict)> {
    let mut scanned = false;
    let mut found = Vec::new();
    for place in runs {
        let Some(residue) = &place.residue else {
            continue;
        };
        scanned = true;
        found.extend(residue.found.iter().map(|one| {
            let (table, column) = (&one.table, &one.column);
            format!(
                "{}: {} of {table}.{column}",
                place.database,
                rows_of(one.rows)
            )
        }));
        let not = residue.not_searched.iter();
        found.extend(not.map(|table| format!("{}: {table} was not searched", place.database)));
    }
    if !scanned {
        return None;
    }
    if found.is_empty() {
        return Some((
            State::False,
            Verdict::new(Reason::ResidueNone, Reason::ResidueNone.meaning()),
        ));
    }
    let message = format!("{}. {}", found.join("; "), Reason::ResidueFound.remedy());
    Some((State::True, Verdict::new(Reason::ResidueFound, message)))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::api::residue::{ResidueCount, ResidueStatus};

    fn run(residue: Option<ResidueStatus>) -> PlaceRun {
        let digest = format!("sha256:{}", "0".repeat(64));
        PlaceRun {
            map: "crm/crm".to_owned(),
            database: "crm/main".to_owned(),
            run: serde_json::from_value(json!({
                "run": "r", "plan": digest, "asOf": "2026-01-01T00:00:00Z",
                "startedAt": "2026-01-01T00:00:00Z", "finishedAt": "2026-01-01T00:00:01Z",
                "outcome": "Completed", "rules": [],
            }))
            .unwrap(),
            residue,
        }
    }

    #[test]
    fn what_is_left_in_texts_is_told_with_what_to_do_and_nothing_where_nobody_asked() {
        assert!(residue(&[run(None)]).is_none());
        let (state, none) = residue(&[run(None), run(Some(ResidueStatus::default()))]).unwrap();
        assert_eq!((state, none.reason), (State::False, Reason::ResidueNone));
        let count = ResidueCount {
            table: "public.notes".to_owned(),
            column: "body".to_owned(),
            rows: 2,
        };
        let left = ResidueStatus::of(vec![count], vec!["public.old".to_owned()]);
        let (state, found) = residue(&[run(Some(left))]).unwrap();
        assert_eq!((state, found.reason), (State::True, Reason::ResidueFound));
        assert!(
            found.message.starts_with(
                "crm/main: 2 rows of public.notes.body; crm/main: public.old was not searched. Look at"
            ),
            "{}",
            found.message
        );
    }

    #[test]
    fn the_most_is_told_first_and_what_is_left_out_is_counted() {
        let count = |n: i64| ResidueCount {
            table: format!("t{n}"),
            column: "c".to_owned(),
            rows: n,
        };
        let status = ResidueStatus::of((1..=70).map(count).collect(), Vec::new());
        assert_eq!((status.found[0].rows, status.left_out), (70, 6));
    }
}
