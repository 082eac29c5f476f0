//! The rounds of a request that has begun: the first takes what nothing keeps, each later one what a duty
//! kept until then. In a ledger a round stands in its runs' ids, behind the owner's name.

use jiff::Timestamp;

use crate::report::{RunOutcome, RunReport};

/// What a ledger has of a request's runs.
#[derive(Clone, Copy, Debug)]
pub struct Recorded<'a> {
    /// As what the request is known there.
    pub owner: &'a str,
    /// The runs that have ended.
    pub runs: &'a [RunReport],
    /// The id of the one that has not.
    pub open: Option<&'a str>,
}

impl Recorded<'_> {
    /// The round of a run. A run that was ended early and done over has a number behind it.
    fn round<'i>(&self, id: &'i str) -> Option<&'i str> {
        let rest = id.strip_prefix(self.owner)?;
        Some(rest.split_once('~').map_or(rest, |(round, _)| round))
    }

    fn of<'r>(&'r self, round: &'r str) -> impl Iterator<Item = &'r RunReport> {
        let runs = self.runs.iter();
        runs.filter(move |run| self.round(&run.run) == Some(round))
    }
}

/// The round that a request goes on with: the one that is under way, another one where a duty has ended
/// since, or the last one, of which nothing is left to do.
pub fn round(all: &[Recorded<'_>], now: Timestamp) -> String {
    let open = all.iter().find_map(|one| one.round(one.open?));
    if let Some(open) = open {
        return open.to_owned();
    }
    let ended = all.iter().flat_map(|one| {
        let runs = one.runs.iter();
        runs.filter_map(|run| one.round(&run.run))
    });
    // Their names are instants, and nothing stands before the first.
    let last = ended.max().unwrap_or_default();
    let is_done = |one: &Recorded<'_>| one.of(last).any(|run| run.outcome == RunOutcome::Completed);
    if !all.iter().all(is_done) {
        return last.to_owned();
    }
    let rules = all
        .iter()
        .flat_map(|one| one.of(last))
        .flat_map(|run| &run.rules);
    let mut ends = rules.flat_map(|rule| &rule.kept.duties);
    let due = ends.any(|duty| duty.next_ends_at.is_some_and(|at| at <= now));
    if due {
        format!("@{now}")
    } else {
        last.to_owned()
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    const OWNER: &str = "uid.0a1b2c3d";

    fn run(id: &str, outcome: &str, ends_at: Option<&str>) -> RunReport {
        let digest = format!("sha256:{}", "0".repeat(64));
        let duties: Vec<_> = ends_at
            .map(|at| json!({"duty": "crm/crm notes[0]", "rows": 1, "openEnded": 0, "nextEndsAt": at}))
            .into_iter()
            .collect();
        let mut report = json!({
            "run": format!("{OWNER}{id}"), "plan": digest, "asOf": "2026-01-01T00:00:00Z",
            "startedAt": "2026-01-01T00:00:00Z", "finishedAt": "2026-01-01T00:00:01Z",
            "outcome": outcome,
            "rules": [{
                "rule": "notes", "cutoff": "2026-01-01T00:00:00Z", "batches": 1,
                "changed": [{"table": "notes", "effect": "Deleted", "rows": 1}],
                "residual": {"held": 0, "kept": 1, "locked": 0, "newlyEligible": 0, "unexplained": 0},
                "kept": {"rows": 1, "duties": duties},
            }],
        });
        if outcome != "Completed" {
            report["reason"] = json!("RowsLocked");
        }
        serde_json::from_value(report).unwrap()
    }

    fn of(runs: &[RunReport], open: Option<&str>) -> String {
        let at = "2026-06-01T00:00:00Z".parse().unwrap();
        let recorded = Recorded {
            owner: OWNER,
            runs,
            open,
        };
        round(&[recorded], at)
    }

    #[test]
    fn a_round_is_gone_on_with_until_it_is_done_in_every_database() {
        let (before, after) = (Some("2026-05-31T00:00:00Z"), Some("2026-06-02T00:00:00Z"));
        assert_eq!(of(&[], None), "");
        assert_eq!(of(&[run("", "Failed", before)], None), "");
        let open = format!("{OWNER}@2026-03-01T00:00:00Z~1");
        assert_eq!(
            of(&[run("", "Completed", before)], Some(&open)),
            "@2026-03-01T00:00:00Z"
        );
        assert_eq!(of(&[run("", "Completed", after)], None), "");
        assert_eq!(of(&[run("~1", "Completed", None)], None), "");
        let due = of(
            &[run("", "Failed", None), run("~1", "Completed", before)],
            None,
        );
        assert_eq!(due, "@2026-06-01T00:00:00Z");
        let second = [
            run("", "Completed", before),
            run("@2026-06-01T00:00:00Z", "Completed", None),
        ];
        assert_eq!(of(&second, None), "@2026-06-01T00:00:00Z");
        let nothing = Recorded {
            owner: OWNER,
            runs: &[],
            open: None,
        };
        let done = Recorded {
            runs: &second,
            ..nothing
        };
        let at = "2026-06-01T00:00:00Z".parse().unwrap();
        assert_eq!(round(&[done, nothing], at), "@2026-06-01T00:00:00Z");
    }
}
