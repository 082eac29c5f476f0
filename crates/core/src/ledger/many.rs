//! Rows of many runs in one statement: what one run writes row by row is written together where many
//! are begun and ended at once. The rows are the same.

use super::Link;
use super::schema::Ledger;
use super::statements::{CheckpointRow, NewRun, encode, text};
use crate::erasure::recorded::Recorded;
use crate::sql::{Bound, Writer};
use crate::value::Value;

/// A count of one related table of one step, beginning at 0.
#[derive(Clone, Copy, Debug)]
pub struct NewTally<'a> {
    /// The run.
    pub run: &'a str,
    /// The rule's index.
    pub step: i32,
    /// The worker's index.
    pub worker: i32,
    /// The checkpoint's part.
    pub part: i32,
    /// The table, counted from 1.
    pub target: i32,
}

impl Ledger {
    /// Remembers persons; changes nothing where a request has one already. Not empty.
    pub fn insert_subjects(&self, map: &str, persons: &[(&str, &Recorded)]) -> Bound {
        let mut w = self.writer();
        self.insert_new(&mut w, "subject");
        w.sql("(request, map, state, body) VALUES ");
        w.joined(persons, ", ", |w, (request, recorded)| {
            let body = recorded.to_text();
            w.sql("(");
            w.joined([request, map, "open", body.as_str()], ", ", |w, value| {
                w.bind(text(value));
            });
            w.sql(")");
        });
        self.unless_present(&mut w);
        w.finish()
    }

    /// Which of these requests have a person in a map, or had one. Not empty.
    pub fn subjects_of(&self, map: &str, requests: &[&str]) -> Bound {
        let mut w = self.writer();
        w.sql("SELECT request FROM ");
        self.table(&mut w, "subject");
        w.sql(" WHERE map = ").bind(text(map)).sql(" AND ");
        among(&mut w, "request", requests);
        w.finish()
    }

    /// Which of these policies have a run that has not ended. Not empty.
    pub fn open_of(&self, policies: &[&str]) -> Bound {
        let mut w = self.writer();
        w.sql("SELECT policy_uid FROM ");
        self.table(&mut w, "run");
        w.sql(" WHERE ");
        among(&mut w, "policy_uid", policies);
        w.sql(" AND state = 'open'");
        w.finish()
    }

    /// Records runs. Their keys are new, or the statement fails. Not empty.
    pub fn insert_runs(&self, runs: &[&NewRun]) -> Bound {
        let mut w = self.writer();
        w.sql("INSERT INTO ");
        self.table(&mut w, "run");
        w.sql(" (id, policy_uid, policy, plan, as_of, epoch, state, started_at, steps) VALUES ");
        w.joined(runs, ", ", |w, run| {
            w.sql("(");
            for value in [&run.id, &run.policy_uid, &run.policy, &run.plan, &run.as_of] {
                w.bind(text(value)).sql(", ");
            }
            w.sql("0, 'open', ");
            w.bind(text(&run.started_at)).sql(", ");
            w.bind(text(&run.steps)).sql(")");
        });
        w.finish()
    }

    /// Records the workers of runs. Not empty.
    pub fn insert_checkpoints(&self, rows: &[(&str, &CheckpointRow)]) -> Bound {
        let mut w = self.writer();
        w.sql("INSERT INTO ");
        self.table(&mut w, "checkpoint");
        w.sql(
            " (run, step, worker, part, epoch, seq, hold_gen, own, own_ceiling, n, ceiling, state, \
             low, high, cursor_key) VALUES ",
        );
        w.joined(rows, ", ", |w, (run, row)| {
            let saved = &row.saved;
            w.sql("(").bind(text(run));
            for n in [
                i64::from(row.step),
                i64::from(row.worker),
                i64::from(saved.part),
                saved.epoch,
                saved.seq,
                saved.hold_gen,
                saved.done.own,
                saved.ceiling.own,
                saved.done.all,
                saved.ceiling.all,
            ] {
                self.bind_int(w, n);
            }
            w.sql(", ").bind(text(&row.state));
            for key in [&row.range.after, &row.range.upto, &saved.cursor] {
                w.sql(", ").bind(encode(key.as_ref()));
            }
            w.sql(")");
        });
        w.finish()
    }

    /// Records counts of related tables. Not empty.
    pub fn insert_tallies(&self, rows: &[NewTally<'_>]) -> Bound {
        let mut w = self.writer();
        w.sql("INSERT INTO ");
        self.table(&mut w, "tally");
        w.sql(" (run, step, worker, part, target, n) VALUES ");
        w.joined(rows, ", ", |w, row| {
            w.sql("(").bind(text(row.run));
            for n in [row.step, row.worker, row.part, row.target] {
                self.bind_int(w, i64::from(n));
            }
            w.sql(", 0)");
        });
        w.finish()
    }

    /// Those of these runs that are open at an epoch, locked. Not empty.
    pub fn lock_runs(&self, runs: &[&str], epoch: i64) -> Bound {
        let mut w = self.writer();
        w.sql("SELECT id FROM ");
        self.table(&mut w, "run");
        w.sql(" WHERE ");
        among(&mut w, "id", runs);
        self.and_int(&mut w, " AND epoch = ", epoch);
        // In one order, so that two that lock the same runs do not wait for each other.
        w.sql(" AND state = 'open' ORDER BY id FOR UPDATE");
        w.finish()
    }

    /// Adds links of the chain, each with its place and its run. Not empty.
    pub fn insert_links(&self, links: &[(i64, &str, &Link)]) -> Bound {
        let mut w = self.writer();
        w.sql("INSERT INTO ");
        self.table(&mut w, "evidence");
        w.sql(" (seq, run, body, previous, hash) VALUES ");
        w.joined(links, ", ", |w, (seq, run, link)| {
            w.sql("(");
            self.cast_int(w, *seq);
            for value in [*run, &link.body, &link.previous, &link.hash] {
                w.sql(", ").bind(text(value));
            }
            w.sql(")");
        });
        w.finish()
    }

    /// Ends every step of these runs, and takes ranges and cursors from their workers. Not empty.
    pub fn finish_steps(&self, runs: &[&str]) -> Bound {
        let mut w = self.writer();
        w.sql("UPDATE ");
        self.table(&mut w, "checkpoint");
        w.sql(
            " SET state = CASE WHEN state = 'replaced' THEN state ELSE 'finished' END, \
             low = NULL, high = NULL, cursor_key = NULL WHERE ",
        );
        among(&mut w, "run", runs);
        w.finish()
    }
}

fn among(w: &mut Writer<'_>, column: &'static str, values: &[&str]) {
    w.sql(column).sql(" IN (");
    w.joined(values, ", ", |w, value| {
        w.bind(Value::Text((*value).to_owned()));
    });
    w.sql(")");
}
