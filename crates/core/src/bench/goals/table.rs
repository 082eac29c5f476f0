//! Every goal, set before it was measured.

use super::measure::Percentile;
use super::{Bound, Cores, Goal, Measure};
use crate::bench::Condition::{Alone, Foreground};
use crate::bench::Server::{self, Mariadb, Mysql, Postgresql};
use crate::bench::{Who, Work};

/// The most memory of the operator's process while nothing is wanted of it, in MB: what
/// [`Work::Operator`] counts.
pub const MEMORY: &str = "memory at most while idle";
/// Calls to the API server in an idle hour for each database, without reads of Secrets and Leases.
pub const CALLS: &str = "calls for each database";
/// Memory in MB once the run of [`Work::Memory`] is well under way.
pub const MEMORY_FIRST: &str = "memory after a quarter";
/// The most memory of it that was seen.
pub const MEMORY_MOST: &str = "memory highest";

const ALL: &[Server] = &[Postgresql, Mariadb, Mysql];
const INNODB: &[Server] = &[Mariadb, Mysql];
const POSTGRES: &[Server] = &[Postgresql];
/// Plain deletes of a large share of a table.
const DELETES: &[Work] = &[
    Work::DeleteNarrow,
    Work::DeleteNarrowIndexed,
    Work::DeleteNarrowCorrelated,
    Work::DeleteWide,
];
const LOOKUPS: &[Work] = &[Work::DeleteUnless, Work::DeleteNewestChild];
const GRAPHS: &[Work] = &[Work::DeleteGraph, Work::OrderEntry];
/// What a batch takes where the manifest says nothing.
const TARGET: f64 = 50.0;

const CORES: Who = Who::OublietteBacklog;
const ONE: Who = Who::OublietteBacklogOne;
const STEADY: Who = Who::OublietteSteady;
const SINGLE: Who = Who::Single;

/// All of them.
pub fn goals() -> Vec<Goal> {
    let speed = |of: Who, to: Who| Measure::Speed { of, to };
    // Whoever calls something else instead of this program waits for its end, whatever it does meanwhile.
    let whole = |of: Who, to: Who| Measure::Whole { of, to };
    let goal = |id, sentence, servers, works, measure, bound| Goal {
        id,
        sentence,
        servers,
        works,
        condition: Alone,
        cores: Cores::Any,
        measure,
        bound,
    };
    let least = Bound::AtLeast;
    let most = Bound::AtMost;
    let on = |cores: Cores, goal: Goal| Goal { cores, ..goal };
    let beside = |goal: Goal| Goal {
        condition: Foreground,
        ..goal
    };
    let tail = |percentile| Measure::Tail {
        of: STEADY,
        percentile,
    };
    vec![
        on(
            Cores::Four,
            goal(
                "delete-4-cores",
                "Delete in Backlog, one worker per core, on 4 cores, against the single statement",
                ALL,
                DELETES,
                speed(CORES, SINGLE),
                least(1.5),
            ),
        ),
        on(
            Cores::Two,
            goal(
                "delete-2-cores",
                "Delete in Backlog, one worker per core, on 2 cores, against the single statement",
                ALL,
                DELETES,
                speed(CORES, SINGLE),
                least(1.2),
            ),
        ),
        goal(
            "delete-one-pages",
            "Delete in Backlog, one worker, by pages, the sweep apart, against the single statement",
            POSTGRES,
            DELETES,
            speed(ONE, SINGLE),
            least(0.85),
        ),
        goal(
            "delete-one-key",
            "Delete in Backlog, one worker, by windows of the key, against the single statement",
            POSTGRES,
            &[Work::DeleteWideFew],
            speed(ONE, SINGLE),
            least(0.6),
        ),
        goal(
            "delete-one-innodb",
            "Delete in Backlog, one worker, against the single statement",
            INNODB,
            DELETES,
            speed(ONE, SINGLE),
            least(0.75),
        ),
        goal(
            "anonymise-one",
            "Anonymise columns without an index by a scattered clock, one worker, against the single statement",
            POSTGRES,
            &[Work::Anonymise],
            speed(ONE, SINGLE),
            least(1.9),
        ),
        on(
            Cores::Four,
            goal(
                "anonymise-4-cores",
                "Anonymise columns without an index by a scattered clock, one worker per core, on 4 cores, against the single statement",
                POSTGRES,
                &[Work::Anonymise],
                speed(CORES, SINGLE),
                least(2.5),
            ),
        ),
        goal(
            "lookups-postgresql",
            "Rules that look at other tables, one worker, against the single statement, rows renewed meanwhile kept",
            POSTGRES,
            LOOKUPS,
            speed(ONE, SINGLE),
            least(0.5),
        ),
        goal(
            "lookups-innodb",
            "Rules that look at other tables, one worker, against the single statement, rows renewed meanwhile kept",
            INNODB,
            LOOKUPS,
            speed(ONE, SINGLE),
            least(0.6),
        ),
        goal(
            "graph",
            "Parents with their children in one transaction, against the same statements typed by hand",
            ALL,
            GRAPHS,
            speed(ONE, SINGLE),
            least(0.7),
        ),
        goal(
            "guards",
            "What guards, fence and checkpoint cost while rows are changed, no hold being in force: time against the same walk without them",
            ALL,
            &[],
            Measure::Cost {
                of: ONE,
                to: Who::BareWalk,
            },
            most(1.1),
        ),
        goal(
            "archiver-best-cores",
            "Against pt-archiver with the flags recommended for speed, one worker per core, from the call to its end",
            INNODB,
            &[],
            whole(CORES, Who::PtArchiverBest),
            least(2.0),
        ),
        goal(
            "archiver-best-one",
            "Against pt-archiver with the flags recommended for speed, one worker, from the call to its end",
            INNODB,
            &[],
            whole(ONE, Who::PtArchiverBest),
            least(1.0),
        ),
        goal(
            "archiver-defaults",
            "Against pt-archiver with its defaults, one worker, from the call to its end",
            INNODB,
            &[],
            whole(ONE, Who::PtArchiverDefaults),
            least(25.0),
        ),
        goal(
            "in-select",
            "Against loops of `IN (SELECT … LIMIT)`, one worker, from the call to its end",
            ALL,
            &[],
            whole(ONE, Who::InSelectLimit),
            least(2.5),
        ),
        goal(
            "row-by-row",
            "Against row by row with a commit each, one worker, from the call to its end",
            ALL,
            &[],
            whole(ONE, Who::RowByRow),
            least(7.0),
        ),
        beside(goal(
            "steady-p99",
            "Steady beside an application: its p99 against idle",
            ALL,
            &[],
            tail(Percentile::P99),
            most(1.5),
        )),
        beside(goal(
            "steady-p95",
            "Steady beside an application: its p95 against idle",
            ALL,
            &[],
            tail(Percentile::P95),
            most(1.2),
        )),
        beside(goal(
            "steady-rate",
            "Steady beside an application: rows a second against the single statement",
            ALL,
            &[],
            speed(STEADY, SINGLE),
            least(0.2),
        )),
        beside(goal(
            "lock-wait",
            "Steady beside an application: the longest wait for a lock against what a batch should take",
            ALL,
            &[],
            Measure::LockWait {
                of: STEADY,
                target: TARGET,
            },
            most(2.0),
        )),
        goal(
            "grouped",
            "1,000 subjects erased together, against one by one",
            ALL,
            &[Work::Subjects],
            Measure::Whole {
                of: Who::Grouped,
                to: Who::OneByOne,
            },
            least(3.0),
        ),
        goal(
            "operator-memory",
            "Memory of the operator beside 20,000 requests and 500 databases",
            &[],
            &[Work::Operator],
            Measure::Counted {
                of: Who::Operator,
                name: MEMORY,
                unit: "MB",
            },
            most(40.0),
        ),
        goal(
            "operator-calls",
            "Calls to the API server in an idle hour, reads of Secrets and Leases apart, for each of 500 databases",
            &[],
            &[Work::Operator],
            Measure::Counted {
                of: Who::Operator,
                name: CALLS,
                unit: "calls/h",
            },
            most(2.0),
        ),
        goal(
            "memory-flat",
            "Memory during a run of 10 million rows: the most against that after a quarter",
            ALL,
            &[Work::Memory],
            Measure::Growth {
                of: Who::Operator,
                last: MEMORY_MOST,
                first: MEMORY_FIRST,
            },
            most(1.1),
        ),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_target_is_the_default_and_ids_are_unique() {
        let default = crate::api::target_database::DEFAULT_BATCH_DURATION;
        assert_eq!(format!("{TARGET}ms"), default);
        let all = goals();
        let ids: std::collections::BTreeSet<&str> = all.iter().map(|goal| goal.id).collect();
        assert_eq!(ids.len(), all.len());
    }
}
