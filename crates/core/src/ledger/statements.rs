//! The statements over a ledger's rows. Counts are raised, never set; a checkpoint is raised by
//! compare-and-swap as the last statement of a batch.

use super::many::NewTally;
use super::owner::Owner;
use super::rewound::ACCEPTED;
use super::schema::Ledger;
use crate::catalog::Engine;
use crate::rows::Rows;
use crate::run::{Order, Saved};
use crate::sql::{Bound, Window, Writer};
use crate::value::{Key, Value};

/// A run to be recorded.
#[derive(Clone, Debug)]
pub struct NewRun {
    /// Primary key: resource UID and scheduled time, or token; a tick cannot run twice.
    pub id: String,
    /// The policy's UID.
    pub policy_uid: String,
    /// Its namespace and name, for people.
    pub policy: String,
    /// The plan's digest.
    pub plan: String,
    /// The instant from which cutoffs are counted, RFC 3339.
    pub as_of: String,
    /// When it was recorded, RFC 3339.
    pub started_at: String,
    /// Its steps with nothing done yet, JSON.
    pub steps: String,
}

/// A run as recorded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RunRow {
    /// Primary key.
    pub id: String,
    /// The policy's UID.
    pub policy_uid: String,
    /// Its namespace and name when the run was recorded.
    pub policy: String,
    /// The plan's digest.
    pub plan: String,
    /// RFC 3339.
    pub as_of: String,
    /// The rightful worker's epoch.
    pub epoch: i64,
    /// `open`, `done`, `abandoned`, `drifted`.
    pub state: String,
    /// RFC 3339.
    pub started_at: String,
    /// Its steps with nothing done yet, JSON.
    pub steps: String,
    /// The report as JSON, once the run has ended.
    pub report: Option<String>,
}

/// The open checkpoint row of one worker in one step.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CheckpointRow {
    /// The rule's index.
    pub step: i32,
    /// The worker's index.
    pub worker: i32,
    /// `open`, `walked` (the range has been walked), `finished` (the step has ended).
    pub state: String,
    /// The worker's range.
    pub range: Window,
    /// What its lane continues from.
    pub saved: Saved,
}

/// Rows of one table that one step has changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Tally {
    /// The rule's index.
    pub step: i32,
    /// 0: the rule's own table; then its nodes, counted from 1.
    pub target: i32,
    /// Rows.
    pub n: i64,
}

/// The place of a checkpoint in time.
#[derive(Clone, Copy)]
struct Fenced {
    part: i32,
    epoch: i64,
    seq: i64,
    hold_gen: i64,
}

pub(super) fn text(value: &str) -> Value {
    Value::Text(value.to_owned())
}

impl Ledger {
    /// Version and owner; no row: the ledger is nobody's yet.
    pub fn meta(&self) -> Bound {
        let mut w = self.writer();
        w.sql("SELECT version, owner_cluster, owner_database FROM ");
        self.table(&mut w, "meta");
        w.sql(" WHERE id = 1");
        w.finish()
    }

    /// Hands the ledger to a new owner.
    pub fn adopt(&self, owner: &Owner) -> Bound {
        let mut w = self.writer();
        w.sql("UPDATE ");
        self.table(&mut w, "meta");
        w.sql(" SET owner_cluster = ").bind(text(&owner.cluster));
        w.sql(", owner_database = ")
            .bind(text(&owner.database))
            .sql(" WHERE id = 1");
        w.finish()
    }

    /// The runs of a policy that have not ended, oldest first.
    pub fn open_runs(&self, policy_uid: &str) -> Bound {
        let mut w = self.select_run();
        w.sql("policy_uid = ").bind(text(policy_uid));
        w.sql(" AND state = 'open' ORDER BY started_at, id");
        w.finish()
    }

    /// The runs of all policies that have not ended, oldest first.
    pub fn all_open_runs(&self) -> Bound {
        let mut w = self.select_run();
        w.sql("state = 'open' ORDER BY started_at, id");
        w.finish()
    }

    /// Every run of a policy by its namespace and name, newest first: a policy that was made anew has
    /// another UID.
    pub fn runs_of(&self, policy: &str) -> Bound {
        let mut w = self.select_run();
        w.sql("policy = ").bind(text(policy));
        w.sql(" ORDER BY started_at DESC, id DESC");
        w.finish()
    }

    /// One run.
    pub fn run(&self, id: &str) -> Bound {
        let mut w = self.select_run();
        w.sql("id = ").bind(text(id));
        w.finish()
    }

    fn select_run(&self) -> Writer<'static> {
        let mut w = self.writer();
        w.sql(
            "SELECT id, policy_uid, policy, plan, as_of, epoch, state, started_at, steps, report \
             FROM ",
        );
        self.table(&mut w, "run");
        w.sql(" WHERE ");
        w
    }

    /// Reads a row of `run` or `open_runs`.
    pub fn read_run(row: &[Value]) -> Option<RunRow> {
        let [
            id,
            policy_uid,
            policy,
            plan,
            as_of,
            epoch,
            state,
            started_at,
            steps,
            report,
        ] = row
        else {
            return None;
        };
        Some(RunRow {
            id: id.as_text()?.to_owned(),
            policy_uid: policy_uid.as_text()?.to_owned(),
            policy: policy.as_text()?.to_owned(),
            plan: plan.as_text()?.to_owned(),
            as_of: as_of.as_text()?.to_owned(),
            epoch: epoch.as_int()?,
            state: state.as_text()?.to_owned(),
            started_at: started_at.as_text()?.to_owned(),
            steps: steps.as_text()?.to_owned(),
            report: report.as_text().map(str::to_owned),
        })
    }

    /// Records one worker of one step. All are recorded with the run: a batch never inserts, or a
    /// stale worker could open a step without a fence.
    pub fn insert_checkpoint(&self, run: &str, row: &CheckpointRow) -> Bound {
        self.insert_checkpoints(&[(run, row)])
    }

    /// Records a count of one table of one worker, beginning at 0.
    pub fn insert_tally(&self, run: &str, step: i32, worker: i32, part: i32, target: i32) -> Bound {
        self.insert_tallies(&[NewTally {
            run,
            step,
            worker,
            part,
            target,
        }])
    }

    /// Takes a run over: hits one row while it is open.
    pub fn raise_epoch(&self, run: &str) -> Bound {
        let mut w = self.writer();
        w.sql("UPDATE ");
        self.table(&mut w, "run");
        w.sql(" SET epoch = epoch + 1 WHERE id = ")
            .bind(text(run))
            .sql(" AND state = 'open'");
        w.finish()
    }

    /// Raises the epoch of every open run and of its workers: whoever works on one has lost it.
    pub fn raise_all_epochs(&self) -> [Bound; 2] {
        let raise = |table, open: &'static str| {
            let mut w = self.writer();
            w.sql("UPDATE ");
            self.table(&mut w, table);
            w.sql(" SET epoch = epoch + 1 WHERE state ").sql(open);
            w.finish()
        };
        [
            raise("run", "= 'open'"),
            raise("checkpoint", "IN ('open', 'walked')"),
        ]
    }

    /// Carries the run's epoch to its workers. Waits for transactions under way: what they commit
    /// is settled when this returns.
    pub fn spread_epoch(&self, run: &str, epoch: i64) -> Bound {
        let mut w = self.writer();
        w.sql("UPDATE ");
        self.table(&mut w, "checkpoint");
        w.sql(" SET epoch = ");
        self.cast_int(&mut w, epoch);
        w.sql(" WHERE run = ")
            .bind(text(run))
            .sql(" AND state IN ('open', 'walked')");
        w.finish()
    }

    /// The run row, locked, at this epoch: one row for the rightful worker, none for another.
    pub fn lock_run(&self, run: &str, epoch: i64) -> Bound {
        let mut w = self.writer();
        w.sql("SELECT 1 FROM ");
        self.table(&mut w, "run");
        w.sql(" WHERE id = ").bind(text(run)).sql(" AND epoch = ");
        self.cast_int(&mut w, epoch);
        w.sql(" AND state = 'open' FOR UPDATE");
        w.finish()
    }

    /// All checkpoint rows of a run that are not replaced.
    pub fn checkpoints(&self, run: &str) -> Bound {
        let mut w = self.select_checkpoint();
        w.sql("run = ").bind(text(run));
        w.sql(" AND state <> 'replaced' ORDER BY step, worker");
        w.finish()
    }

    /// One worker's row, read under lock: how a lost answer is settled.
    pub fn lock_checkpoint(&self, run: &str, step: i32, worker: i32) -> Bound {
        let mut w = self.select_checkpoint();
        w.sql("run = ").bind(text(run));
        self.and_int(&mut w, " AND step = ", i64::from(step));
        self.and_int(&mut w, " AND worker = ", i64::from(worker));
        w.sql(" AND state <> 'replaced' FOR UPDATE");
        w.finish()
    }

    /// The rows of all workers of a step, locked.
    pub fn lock_step(&self, run: &str, step: i32) -> Bound {
        let mut w = self.select_checkpoint();
        w.sql("run = ").bind(text(run));
        self.and_int(&mut w, " AND step = ", i64::from(step));
        w.sql(" AND state <> 'replaced' ORDER BY worker FOR UPDATE");
        w.finish()
    }

    /// Sets what a worker may change, under the run's lock and its own row's.
    pub fn set_ceiling(&self, place: &(String, i32, i32), saved: &Saved, ceiling: Rows) -> Bound {
        let (run, step, worker) = place;
        let mut w = self.writer();
        w.sql("UPDATE ");
        self.table(&mut w, "checkpoint");
        w.sql(" SET own_ceiling = ");
        self.cast_int(&mut w, ceiling.own);
        w.sql(", ceiling = ");
        self.cast_int(&mut w, ceiling.all);
        w.sql(" WHERE run = ").bind(text(run));
        self.and_int(&mut w, " AND step = ", i64::from(*step));
        self.and_int(&mut w, " AND worker = ", i64::from(*worker));
        self.and_int(&mut w, " AND part = ", i64::from(saved.part));
        self.and_int(&mut w, " AND epoch = ", saved.epoch);
        self.and_int(&mut w, " AND seq = ", saved.seq);
        w.finish()
    }

    fn select_checkpoint(&self) -> Writer<'static> {
        let mut w = self.writer();
        w.sql(
            "SELECT step, worker, part, epoch, seq, hold_gen, own, own_ceiling, n, ceiling, state, \
             low, high, cursor_key FROM ",
        );
        self.table(&mut w, "checkpoint");
        w.sql(" WHERE ");
        w
    }

    /// Reads a checkpoint row; `None` where it has another shape.
    pub fn read_checkpoint(row: &[Value]) -> Option<CheckpointRow> {
        let [
            step,
            worker,
            part,
            epoch,
            seq,
            hold_gen,
            own,
            own_ceiling,
            n,
            ceiling,
            state,
            low,
            high,
            cursor,
        ] = row
        else {
            return None;
        };
        let small = |v: &Value| v.as_int().and_then(|n| i32::try_from(n).ok());
        let state = state.as_text()?.to_owned();
        Some(CheckpointRow {
            step: small(step)?,
            worker: small(worker)?,
            range: Window {
                after: decode(low).ok()?,
                upto: decode(high).ok()?,
            },
            saved: Saved {
                epoch: epoch.as_int()?,
                seq: seq.as_int()?,
                hold_gen: hold_gen.as_int()?,
                part: small(part)?,
                done: Rows {
                    own: own.as_int()?,
                    all: n.as_int()?,
                },
                ceiling: Rows {
                    own: own_ceiling.as_int()?,
                    all: ceiling.as_int()?,
                },
                cursor: decode(cursor).ok()?,
                walked: state != "open",
            },
            state,
        })
    }

    /// The fence: the last statement of every batch. Exactly one row, or the transaction is rolled
    /// back. `reached`: the new cursor; `None`: the range has been walked to its end.
    pub fn fence(
        &self,
        place: &(String, i32, i32),
        order: &Order,
        changed: Rows,
        reached: Option<&Key>,
    ) -> Bound {
        let mut w = self.begin_fence(changed);
        match reached {
            Some(key) => {
                w.sql(", cursor_key = ").bind(encode(Some(key)));
            }
            // The cursor may hold a personal key: it goes as soon as it is not needed (P4).
            None => {
                w.sql(", cursor_key = NULL, state = 'walked'");
            }
        }
        let fenced = Fenced {
            part: order.part,
            epoch: order.epoch,
            seq: order.seq,
            hold_gen: order.hold_gen,
        };
        self.write_fence(&mut w, place, fenced, changed);
        w.finish()
    }

    /// The fence of a change that is no part of the walk: the cursor stays where it is.
    pub fn fence_beside(&self, place: &(String, i32, i32), saved: &Saved, changed: Rows) -> Bound {
        let mut w = self.begin_fence(changed);
        let fenced = Fenced {
            part: saved.part,
            epoch: saved.epoch,
            seq: saved.seq,
            hold_gen: saved.hold_gen,
        };
        self.write_fence(&mut w, place, fenced, changed);
        w.finish()
    }

    fn begin_fence(&self, changed: Rows) -> Writer<'static> {
        let mut w = self.writer();
        w.sql("UPDATE ");
        self.table(&mut w, "checkpoint");
        w.sql(" SET seq = seq + 1, own = own + ");
        self.cast_int(&mut w, changed.own);
        w.sql(", n = n + ");
        self.cast_int(&mut w, changed.all);
        w
    }

    /// What a fence compares.
    fn write_fence(
        &self,
        w: &mut Writer<'_>,
        place: &(String, i32, i32),
        fenced: Fenced,
        changed: Rows,
    ) {
        let (run, step, worker) = place;
        w.sql(" WHERE run = ").bind(text(run));
        self.and_int(w, " AND step = ", i64::from(*step));
        self.and_int(w, " AND worker = ", i64::from(*worker));
        self.and_int(w, " AND part = ", i64::from(fenced.part));
        self.and_int(w, " AND epoch = ", fenced.epoch);
        self.and_int(w, " AND seq = ", fenced.seq);
        self.and_int(w, " AND hold_gen = ", fenced.hold_gen);
        self.and_int(w, " AND own_ceiling >= own + ", changed.own);
        self.and_int(w, " AND ceiling >= n + ", changed.all);
        w.sql(" AND state IN ('open', 'walked')");
    }

    /// Raises the count of one related table, before the fence.
    pub fn count(&self, place: &(String, i32, i32), part: i32, target: i32, rows: i64) -> Bound {
        let (run, step, worker) = place;
        let mut w = self.writer();
        w.sql("UPDATE ");
        self.table(&mut w, "tally");
        w.sql(" SET n = n + ");
        self.cast_int(&mut w, rows);
        w.sql(" WHERE run = ").bind(text(run));
        for (column, value) in [
            (" AND step = ", *step),
            (" AND worker = ", *worker),
            (" AND part = ", part),
            (" AND target = ", target),
        ] {
            self.and_int(&mut w, column, i64::from(value));
        }
        w.finish()
    }

    /// Marks a checkpoint row as replaced by its successor; part of rolling over.
    pub fn replace(&self, place: &(String, i32, i32), saved: &Saved) -> Bound {
        let (run, step, worker) = place;
        let mut w = self.writer();
        w.sql("UPDATE ");
        self.table(&mut w, "checkpoint");
        w.sql(" SET state = 'replaced', low = NULL, high = NULL, cursor_key = NULL WHERE run = ");
        w.bind(text(run));
        self.and_int(&mut w, " AND step = ", i64::from(*step));
        self.and_int(&mut w, " AND worker = ", i64::from(*worker));
        self.and_int(&mut w, " AND part = ", i64::from(saved.part));
        self.and_int(&mut w, " AND epoch = ", saved.epoch);
        self.and_int(&mut w, " AND seq = ", saved.seq);
        self.and_int(&mut w, " AND hold_gen = ", saved.hold_gen);
        w.sql(" AND state IN ('open', 'walked')");
        w.finish()
    }

    /// Ends a step: its ranges and cursors, which may hold personal keys, are cleared.
    pub fn finish_step(&self, run: &str, step: i32) -> Bound {
        let mut w = self.writer();
        w.sql("UPDATE ");
        self.table(&mut w, "checkpoint");
        w.sql(" SET state = 'finished', low = NULL, high = NULL, cursor_key = NULL WHERE run = ");
        w.bind(text(run));
        self.and_int(&mut w, " AND step = ", i64::from(step));
        w.sql(" AND state <> 'replaced'");
        w.finish()
    }

    /// Ends a run at this epoch, with its report.
    pub fn finish_run(&self, run: &str, epoch: i64, state: &str, report: &str) -> Bound {
        let mut w = self.writer();
        w.sql("UPDATE ");
        self.table(&mut w, "run");
        w.sql(" SET state = ")
            .bind(text(state))
            .sql(", report = ")
            .bind(text(report));
        w.sql(" WHERE id = ").bind(text(run)).sql(" AND epoch = ");
        self.cast_int(&mut w, epoch);
        w.sql(" AND state = 'open'");
        w.finish()
    }

    /// Takes the ranges and cursors, which may hold personal keys, from all workers of a run.
    pub fn clear_keys(&self, run: &str) -> Bound {
        let mut w = self.writer();
        w.sql("UPDATE ");
        self.table(&mut w, "checkpoint");
        w.sql(" SET low = NULL, high = NULL, cursor_key = NULL WHERE run = ")
            .bind(text(run));
        w.finish()
    }

    /// Rows changed per step and table.
    pub fn totals(&self, run: &str) -> Bound {
        let mut w = self.writer();
        // A replaced row's count was carried to its successor.
        w.sql("SELECT step, 0 AS target, ");
        sum(&mut w, "sum(own)");
        w.sql(" FROM ");
        self.table(&mut w, "checkpoint");
        w.sql(" WHERE state <> 'replaced' AND run = ")
            .bind(text(run));
        w.sql(" GROUP BY step UNION ALL SELECT step, target, ");
        sum(&mut w, "sum(n)");
        w.sql(" FROM ");
        self.table(&mut w, "tally");
        w.sql(" WHERE run = ")
            .bind(text(run))
            .sql(" GROUP BY step, target");
        w.finish()
    }

    /// Reads a row of `totals`.
    pub fn read_tally(row: &[Value]) -> Option<Tally> {
        let [step, target, n] = row else { return None };
        Some(Tally {
            step: i32::try_from(step.as_int()?).ok()?,
            target: i32::try_from(target.as_int()?).ok()?,
            n: n.as_int()?,
        })
    }

    /// The head of the evidence chain: hash and length.
    pub fn head(&self) -> Bound {
        self.select_head().finish()
    }

    /// The same, locked: two runs that end together must not fail each other.
    pub fn lock_head(&self) -> Bound {
        let mut w = self.select_head();
        w.sql(" FOR UPDATE");
        w.finish()
    }

    fn select_head(&self) -> Writer<'static> {
        let mut w = self.writer();
        w.sql("SELECT hash, length FROM ");
        self.table(&mut w, "chain_head");
        w.sql(" WHERE id = 1");
        w
    }

    /// Raises the head from `previous` by one link: one row, or somebody else was first.
    pub fn raise_head(&self, previous: &str, hash: &str) -> Bound {
        self.raise_head_by(1, previous, hash)
    }

    /// The same by so many links.
    pub fn raise_head_by(&self, links: i64, previous: &str, hash: &str) -> Bound {
        let mut w = self.writer();
        w.sql("UPDATE ");
        self.table(&mut w, "chain_head");
        w.sql(" SET hash = ")
            .bind(text(hash))
            .sql(", length = length + ");
        self.cast_int(&mut w, links);
        w.sql(" WHERE id = 1");
        w.sql(" AND hash = ").bind(text(previous));
        w.finish()
    }

    /// The bodies of a run's links, in order.
    pub fn evidence_of(&self, run: &str) -> Bound {
        let mut w = self.writer();
        w.sql("SELECT body FROM ");
        self.table(&mut w, "evidence");
        w.sql(" WHERE run = ").bind(text(run)).sql(" ORDER BY seq");
        w.finish()
    }

    /// Those of these hashes that the chain has.
    pub fn links(&self, hashes: &[String]) -> Bound {
        let mut w = self.writer();
        w.sql("SELECT hash FROM ");
        self.table(&mut w, "evidence");
        w.sql(" WHERE hash IN (");
        w.joined(hashes, ", ", |w, hash| {
            w.bind(text(hash));
        });
        w.sql(")");
        w.finish()
    }

    /// The bodies of the links by which a person accepted the ledger.
    pub fn acceptances(&self) -> Bound {
        self.evidence_of(ACCEPTED)
    }

    /// Adds the link by which a person accepted the ledger.
    pub fn insert_acceptance(&self, seq: i64, link: &super::Link) -> Bound {
        self.insert_evidence(seq, ACCEPTED, link)
    }

    /// Adds a link of the chain.
    pub fn insert_evidence(&self, seq: i64, run: &str, link: &super::Link) -> Bound {
        self.insert_links(&[(seq, run, link)])
    }

    pub(super) fn bind_int(&self, w: &mut Writer<'_>, n: i64) {
        w.sql(", ");
        self.cast_int(w, n);
    }

    pub(super) fn and_int(&self, w: &mut Writer<'_>, condition: &'static str, n: i64) {
        w.sql(condition);
        self.cast_int(w, n);
    }

    pub(super) fn cast_int(&self, w: &mut Writer<'_>, n: i64) {
        w.bind(Value::Int(n));
        if self.engine == Engine::Postgres {
            w.sql("::bigint");
        }
    }
}

/// A key as JSON text, with its shapes: `[{"i":7},{"t":"x"}]`.
pub(super) fn encode(key: Option<&Key>) -> Value {
    let Some(key) = key else { return Value::Null };
    let items: Vec<_> = key
        .iter()
        .map(|value| match value {
            Value::Null => serde_json::Value::Null,
            Value::Int(n) => serde_json::json!({ "i": n }),
            Value::Text(t) => serde_json::json!({ "t": t }),
            Value::Bytes(b) => serde_json::json!({ "b": hex::encode(b) }),
        })
        .collect();
    Value::Text(serde_json::Value::Array(items).to_string())
}

/// A stored text that is not a key of this program.
#[derive(Debug, PartialEq, Eq)]
struct NotAKey;

fn sum(w: &mut Writer<'_>, sum: &'static str) {
    w.dialect().whole(w, &mut |w| {
        w.sql(sum);
    });
}

/// The key that `encode` wrote, or none; `Err` where it is something else.
fn decode(stored: &Value) -> Result<Option<Key>, NotAKey> {
    let text = match stored {
        Value::Null => return Ok(None),
        other => other.as_text().ok_or(NotAKey)?,
    };
    let items: Vec<serde_json::Value> = serde_json::from_str(text).map_err(|_| NotAKey)?;
    let value = |item: &serde_json::Value| {
        if item.is_null() {
            Some(Value::Null)
        } else if let Some(n) = item.get("i") {
            n.as_i64().map(Value::Int)
        } else if let Some(t) = item.get("t") {
            t.as_str().map(|t| Value::Text(t.to_owned()))
        } else {
            let bytes = hex::decode(item.get("b")?.as_str()?).ok()?;
            Some(Value::Bytes(bytes))
        }
    };
    let key: Option<Key> = items.iter().map(value).collect();
    key.map(Some).ok_or(NotAKey)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_of_every_shape_survives_the_ledger() {
        let key = vec![
            Value::Int(i64::MIN),
            Value::Text("o'Hara \"x\" \u{1F600}".into()),
            Value::Bytes(vec![0, 255]),
            Value::Null,
        ];
        assert_eq!(decode(&encode(Some(&key))), Ok(Some(key)));
        assert_eq!(decode(&encode(None)), Ok(None));
        assert_eq!(decode(&Value::Text("not a key".into())), Err(NotAKey));
    }
}
