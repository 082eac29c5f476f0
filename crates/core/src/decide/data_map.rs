//! What a DataMap needs next: to be held against the tables of its database, or to wait; and its whole
//! status. Whether it binds a policy is not decided here: it does from the moment it exists.

use std::time::Duration;

use jiff::Timestamp;

use super::retention_policy::whole_second;
use super::retry::Failures;
use super::{Event, Verdict, known, of_faults};
use crate::api::condition::{self, READY};
use crate::api::data_map::{DataMapStatus, MAX_BOUND};
use crate::api::parse::FieldError;
use crate::api::reason::Reason;
use crate::duty::DataMap;

/// How often a map that is well is held against its database: a table may have gone.
const CHECK_EVERY: Duration = Duration::from_mins(5);

/// What the controller found.
#[derive(Clone, Debug)]
pub struct Observed<'a> {
    /// Generation of the spec.
    pub generation: i64,
    /// What the spec says, or what is wrong with it.
    pub spec: Result<&'a DataMap, &'a [FieldError]>,
    /// The status as stored.
    pub status: &'a DataMapStatus,
    /// Whether it fits the database's tables, now that they were looked at.
    pub fits: Option<&'a Result<(), Verdict>>,
    /// The policies on the database, sorted.
    pub policies: &'a [String],
    /// When this process last looked at the tables, for which generation.
    pub checked: Option<(Timestamp, i64)>,
    /// What is remembered of failures.
    pub failures: Failures,
    /// Between 0 and 1, new each time.
    pub jitter: f64,
    /// The clock.
    pub now: Timestamp,
}

/// What to do, and what to tell.
#[derive(Clone, Debug)]
pub struct Decision {
    /// Whether to look at the tables, and to decide again with what was found.
    pub look: bool,
    /// The whole status.
    pub status: DataMapStatus,
    /// Events, each once.
    pub events: Vec<Event>,
    /// What to remember of failures.
    pub failures: Failures,
    /// What failed.
    pub failed: Option<Reason>,
    /// When to look again at the latest.
    pub requeue_after: Duration,
}

/// Decides.
pub fn decide(o: &Observed<'_>) -> Decision {
    let mut status = o.status.clone();
    let mut failures = o.failures;
    let mut look = false;
    let verdict = match (o.spec, o.fits) {
        (Err(faults), _) => of_faults(faults),
        (Ok(map), Some(fits)) => {
            let verdict = match fits {
                Ok(()) => {
                    status.accepted_generation = Some(o.generation);
                    mapped(map)
                }
                Err(verdict) => verdict.clone(),
            };
            failures = failures.after(verdict.reason, o.jitter, o.now);
            verdict
        }
        (Ok(_), None) => {
            look = failures.look_is_due(o.checked, o.generation, CHECK_EVERY, o.now);
            known(
                &o.status.conditions,
                o.status.observed_generation == Some(o.generation),
                "the tables are being looked at",
            )
        }
    };
    status.tables = o.spec.ok().map(|map| count(map.tables.len()));
    status.duties = o.spec.ok().map(|map| count(map.duties()));
    let (named, left_out) = o.policies.split_at(o.policies.len().min(MAX_BOUND));
    status.bound_policies = named.to_vec();
    status.bound_policies_left_out = (!left_out.is_empty()).then(|| count(left_out.len()));
    let before = o.status.conditions.iter().find(|c| c.type_ == READY);
    let said = before.is_some_and(|c| c.reason == verdict.reason.as_str());
    let mut events = Vec::new();
    if !said && verdict.reason != Reason::Pending {
        let warning = verdict.reason.is_failure();
        events.push(Event::new(
            warning,
            verdict.reason,
            "Check",
            &verdict.message,
        ));
    }
    let failed = verdict.reason.is_failure() && (o.fits.is_some() || !said);
    status.observed_generation = Some(o.generation);
    condition::summarise(
        &mut status.conditions,
        verdict.reason,
        &verdict.message,
        Some(o.generation),
        whole_second(o.now),
    );
    Decision {
        look,
        status,
        events,
        failed: failed.then_some(verdict.reason),
        requeue_after: failures
            .retry_at
            .filter(|at| *at > o.now)
            .map_or(CHECK_EVERY, |at| at.duration_since(o.now).unsigned_abs())
            .min(CHECK_EVERY),
        failures,
    }
}

fn mapped(map: &DataMap) -> Verdict {
    let message = format!(
        "{} tables with {} duties, which bind every policy on the database",
        map.tables.len(),
        map.duties()
    );
    Verdict::new(Reason::Mapped, message)
}

fn count(n: usize) -> i64 {
    i64::try_from(n).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn map() -> DataMap {
        let spec = json!({
            "databaseRef": {"name": "crm"},
            "tables": [{"name": "t", "table": "public.t", "mustKeep": [{
                "until": {"latestOf": [{"column": "a", "plus": "P1Y"}]},
                "against": ["Expiry"], "law": "a contract",
            }]}],
        });
        DataMap::alone(&serde_json::from_value(spec).unwrap()).unwrap()
    }

    fn observed<'a>(map: &'a DataMap, status: &'a DataMapStatus) -> Observed<'a> {
        Observed {
            generation: 2,
            spec: Ok(map),
            status,
            fits: None,
            policies: &[],
            checked: None,
            failures: Failures::default(),
            jitter: 0.5,
            now: "2026-01-10T12:00:00Z".parse().unwrap(),
        }
    }

    #[test]
    fn a_map_is_ready_once_its_tables_were_looked_at() {
        let (map, status) = (map(), DataMapStatus::default());
        let first = decide(&observed(&map, &status));
        assert!(first.look);
        assert_eq!(first.status.accepted_generation, None);
        let policies: Vec<String> = (0..40).map(|i| format!("crm/p{i}")).collect();
        let fits = Ok(());
        let second = decide(&Observed {
            fits: Some(&fits),
            policies: &policies,
            ..observed(&map, &first.status)
        });
        assert!(!second.look);
        let status = second.status;
        assert_eq!(status.accepted_generation, Some(2));
        assert_eq!((status.tables, status.duties), (Some(1), Some(1)));
        assert_eq!(status.bound_policies.len(), MAX_BOUND);
        assert_eq!(status.bound_policies_left_out, Some(8));
        assert_eq!(second.events.len(), 1);
        let known = decide(&Observed {
            policies: &policies,
            checked: Some(("2026-01-10T11:59:00Z".parse().unwrap(), 2)),
            ..observed(&map, &status)
        });
        assert!(!known.look && known.events.is_empty());
        assert_eq!(known.status, status);
    }

    #[test]
    fn one_that_does_not_fit_says_so_and_keeps_what_it_had_accepted() {
        let map = map();
        let status = DataMapStatus {
            accepted_generation: Some(1),
            ..DataMapStatus::default()
        };
        let fits = Err(Verdict::new(
            Reason::DutiesUnfit,
            "public.t has no column a",
        ));
        let decision = decide(&Observed {
            fits: Some(&fits),
            ..observed(&map, &status)
        });
        assert_eq!(decision.failed, Some(Reason::DutiesUnfit));
        assert_eq!(decision.failures.count, 1);
        assert_eq!(decision.status.accepted_generation, Some(1));
        assert!(decision.requeue_after < CHECK_EVERY);
    }
}
