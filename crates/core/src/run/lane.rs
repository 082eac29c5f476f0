//! One worker's way through its range of keys.
//!
//! The unit is the transaction. A lane knows its fence: epoch and sequence of its own checkpoint
//! row. It never assumes how a transaction ended: a lost answer is settled by a locking read, and
//! a fence that missed is looked at the same way (SQL.md section 1).

use std::time::Duration;

use super::pace::Pace;
use crate::api::reason::Reason;
use crate::rows::Rows;
use crate::sql::Window;
use crate::value::Key;

/// Batches under one checkpoint row before it is replaced by a fresh one: 20,000 updates of one row
/// under an old snapshot made the fence 20 times slower (SQL.md section 1).
pub const BATCHES_PER_PART: u32 = 500;
/// How often a transaction is begun anew after a deadlock or a passing fault before the lane stops.
const RETRIES: u32 = 12;

/// How a change reaches its rows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// Statements over the window: one, or on PostgreSQL one that locks and others that go by the lock.
    Window,
    /// Rows chosen and locked first, waiting for locks, then changed by key.
    Keys,
    /// The same, passing over locked rows; the sweep looks for them later. What hangs on them may go by the lock
    /// here, too.
    SkipLocked,
}

/// Which forms a lane uses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Style {
    /// Window, and where it meets a lock SkipLocked (PostgreSQL, InnoDB in Backlog).
    WindowFirst,
    /// SkipLocked at once (InnoDB in Steady; every rule with related rows; sweeps).
    SkipLocked,
    /// Keys, and where the wait is in vain SkipLocked: the last rows are waited for.
    Waiting,
}

/// A checkpoint row as it stands in the ledger.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Saved {
    /// The rightful worker's epoch.
    pub epoch: i64,
    /// Raised by each transaction.
    pub seq: i64,
    /// Raised by whoever places a hold.
    pub hold_gen: i64,
    /// Which row of this lane is the open one.
    pub part: i32,
    /// Rows changed so far by this lane.
    pub done: Rows,
    /// Most rows this lane may change.
    pub ceiling: Rows,
    /// Everything up to here is done; `None`: nothing yet.
    pub cursor: Option<Key>,
    /// The range has been walked to its end.
    pub walked: bool,
}

/// One transaction to be tried.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Order {
    /// Where it begins and must end at the latest.
    pub window: Window,
    /// Rows it spans.
    pub width: u32,
    /// How it reaches them.
    pub form: Form,
    /// Nothing is changed: the window holds a row (or its related rows) that stays locked, and the
    /// cursor passes it by.
    pub pass_by: bool,
    /// What the fence compares.
    pub epoch: i64,
    /// What the fence compares and raises.
    pub seq: i64,
    /// What the fence compares.
    pub hold_gen: i64,
    /// The checkpoint row.
    pub part: i32,
}

/// What is to be done next.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Directive {
    /// Wait, then try this transaction.
    Batch(Duration, Order),
    /// Read the own checkpoint row under lock.
    Settle(Duration),
    /// Replace the checkpoint row by a fresh one.
    RollOver {
        /// The open row.
        part: i32,
    },
    /// The range has been walked.
    Done,
    /// Stop the run.
    Halt(Halt),
}

/// Why a lane stops before its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Halt {
    /// Another worker has raised the epoch.
    TakenOver,
    /// The next batch would pass the ceiling.
    Ceiling,
    /// Faults did not end.
    Fault(Reason),
}

/// How a transaction ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// It committed.
    Committed {
        /// Rows changed.
        changed: Rows,
        /// The window's last key; `None`: the end of the range.
        reached: Option<Key>,
        /// How long it took.
        elapsed: Duration,
        /// Bytes that were written to the server's log meanwhile; `None`: nobody looked.
        log: Option<u64>,
    },
    /// It met a lock and was rolled back.
    Locked,
    /// A statement ran into its time limit; it was rolled back.
    TooLong,
    /// More rows hang on the window than one transaction should change; it was rolled back.
    TooMany,
    /// It was rolled back for a passing reason (deadlock, connection).
    Again(Reason),
    /// It was rolled back for a lasting reason.
    Failed(Reason),
    /// The fence hit no row; it was rolled back.
    Missed {
        /// Rows it would have changed.
        changed: Rows,
    },
    /// COMMIT was sent and not answered.
    Lost,
    /// The checkpoint row as it stands, read under lock; `None`: there is no open row.
    Settled(Option<Saved>),
    /// The lane continues under this part.
    RolledOver(i32),
}

/// The state of one worker in one step.
#[derive(Clone, Debug)]
pub struct Lane {
    /// Exclusive lower and inclusive upper bound of the range.
    range: Window,
    /// The range was walked before and is looked through again.
    sweeping: bool,
    saved: Saved,
    style: Style,
    form: Form,
    pace: Pace,
    /// Narrowed width after locks; `None`: the pace decides.
    narrowed: Option<u32>,
    pass_by: bool,
    /// Rows of the transaction whose fence missed, to tell a ceiling from a takeover.
    missed: Option<Rows>,
    settling: bool,
    halted: Option<Halt>,
    batches: u32,
    retries: u32,
    delay: Duration,
    passed_by: u64,
    too_large: u64,
    /// What the window holds ran into the time limit of a statement, not into a lock.
    long: bool,
    /// Why nothing was committed of late.
    waits: Option<Reason>,
}

impl Lane {
    /// A lane that continues from its checkpoint; `pace`: a new one, or what an earlier lane of the
    /// same table has learnt.
    pub fn new(range: Window, saved: Saved, style: Style, pace: Pace) -> Self {
        Self {
            range,
            sweeping: false,
            saved,
            style,
            form: first_form(style),
            pace,
            narrowed: None,
            pass_by: false,
            missed: None,
            settling: false,
            halted: None,
            batches: 0,
            retries: 0,
            delay: Duration::ZERO,
            passed_by: 0,
            too_large: 0,
            long: false,
            waits: None,
        }
    }

    /// A lane that looks once more through a part of a range that has been walked; `waits`: for
    /// locks.
    pub fn sweep(window: Window, saved: &Saved, waits: bool, pace: Pace) -> Self {
        let again = Saved {
            walked: false,
            cursor: None,
            ..saved.clone()
        };
        Self {
            sweeping: true,
            ..Self::new(
                window,
                again,
                if waits {
                    Style::Waiting
                } else {
                    Style::SkipLocked
                },
                pace,
            )
        }
    }

    /// Rows changed so far, as the ledger has them.
    pub fn changed(&self) -> i64 {
        self.saved.done.all
    }

    /// The checkpoint as far as it is known.
    pub fn saved(&self) -> &Saved {
        &self.saved
    }

    /// What the lane has learnt of its table.
    pub fn pace(&self) -> &Pace {
        &self.pace
    }

    /// Rows that were passed by because they stayed locked.
    pub fn passed_by(&self) -> u64 {
        self.passed_by
    }

    /// Rows that were passed by because what hangs on them does not go in one transaction.
    pub fn too_large(&self) -> u64 {
        self.too_large
    }

    /// Why nothing was committed of late; `None` while the lane moves.
    pub fn waits(&self) -> Option<Reason> {
        self.waits
    }

    /// What is to be done next. Asking twice gives the same answer.
    pub fn next(&self) -> Directive {
        if let Some(halt) = self.halted {
            return Directive::Halt(halt);
        }
        if self.settling {
            return Directive::Settle(self.delay);
        }
        if self.saved.walked {
            return Directive::Done;
        }
        if self.batches >= self.pace.part() {
            return Directive::RollOver {
                part: self.saved.part,
            };
        }
        Directive::Batch(
            self.delay,
            Order {
                window: Window {
                    after: self
                        .saved
                        .cursor
                        .clone()
                        .or_else(|| self.range.after.clone()),
                    upto: self.range.upto.clone(),
                },
                width: self.width(),
                form: self.form,
                pass_by: self.pass_by,
                epoch: self.saved.epoch,
                seq: self.saved.seq,
                hold_gen: self.saved.hold_gen,
                part: self.saved.part,
            },
        )
    }

    /// Takes the answer to the last directive.
    pub fn take(&mut self, outcome: Outcome) {
        match outcome {
            Outcome::Committed {
                changed,
                reached,
                elapsed,
                log,
            } => {
                if let Some(bytes) = log {
                    self.pace.wrote(bytes);
                }
                self.committed(changed, reached, elapsed);
            }
            Outcome::TooMany => self.narrow(),
            Outcome::Locked => self.locked(),
            Outcome::TooLong => self.too_long(),
            Outcome::Again(reason) => self.again(reason),
            Outcome::Failed(reason) => self.halted = Some(Halt::Fault(reason)),
            Outcome::Missed { changed } => {
                self.missed = Some(changed);
                self.settling = true;
            }
            Outcome::Lost => self.settling = true,
            Outcome::Settled(found) => self.settled(found),
            Outcome::RolledOver(part) => {
                self.saved.part = part;
                self.batches = 0;
                self.progressed();
            }
        }
    }

    fn committed(&mut self, changed: Rows, reached: Option<Key>, elapsed: Duration) {
        let width = self.width();
        let whole = reached.is_some() && !self.pass_by;
        let wait = self.pace.took(width, changed.all, elapsed, whole);
        self.saved.seq += 1;
        self.saved.done += changed;
        self.saved.walked = reached.is_none();
        if reached.is_some() {
            self.saved.cursor = reached;
        }
        if self.pass_by {
            let passed = if self.long {
                &mut self.too_large
            } else {
                &mut self.passed_by
            };
            *passed += 1;
        }
        self.batches += 1;
        self.progressed();
        self.form = first_form(self.style);
        self.pass_by = false;
        self.long = false;
        // Widen again step by step: the neighbourhood of a lock is likely to hold more.
        self.narrowed = self
            .narrowed
            .map(|w| w.saturating_mul(4))
            .filter(|w| *w < self.pace.width());
        self.delay = wait;
    }

    fn progressed(&mut self) {
        self.waits = None;
        self.retries = 0;
        self.delay = Duration::ZERO;
        self.missed = None;
        self.settling = false;
    }

    /// First the form that passes over locked rows; where that waits too (related rows, a fence of
    /// a dying worker), narrower windows; at a single row, pass it by.
    fn locked(&mut self) {
        self.waits = Some(Reason::RowsLocked);
        self.pace.locked();
        if self.form != Form::SkipLocked {
            self.form = Form::SkipLocked;
            return;
        }
        self.narrow_or_pass_by(false);
    }

    /// Narrower windows; a single row that takes too long is passed by.
    fn too_long(&mut self) {
        self.waits = Some(Reason::RowsTooLarge);
        self.narrow_or_pass_by(true);
    }

    fn narrow_or_pass_by(&mut self, long: bool) {
        if self.width() > 1 {
            self.narrow();
        } else if self.pass_by {
            // Even an empty transaction waits: it is the checkpoint row that is locked.
            self.again(Reason::RowsLocked);
        } else {
            self.pass_by = true;
            self.long = long;
        }
    }

    fn narrow(&mut self) {
        self.narrowed = Some((self.width() / 4).max(1));
    }

    fn width(&self) -> u32 {
        self.narrowed.unwrap_or_else(|| self.pace.width())
    }

    fn again(&mut self, reason: Reason) {
        self.waits = Some(reason);
        self.retries += 1;
        if self.retries > RETRIES {
            self.halted = Some(Halt::Fault(reason));
            return;
        }
        let shift = self.retries.min(6);
        self.delay = Duration::from_millis(50) * 2_u32.pow(shift);
    }

    fn settled(&mut self, found: Option<Saved>) {
        let missed = self.missed.take();
        let Some(found) = found else {
            self.halted = Some(Halt::TakenOver);
            return;
        };
        if found.epoch != self.saved.epoch {
            self.halted = Some(Halt::TakenOver);
            return;
        }
        let (is, was) = (&found, &self.saved);
        if (is.part, is.seq) < (was.part, was.seq) || is.hold_gen < was.hold_gen {
            // No row of a ledger goes back. A server has taken over that had not got all that was committed.
            self.halted = Some(Halt::Fault(Reason::LedgerRewound));
            return;
        }
        // The answer to a roll-over was lost: at our epoch nobody else can have done it.
        let rolled = found.part != self.saved.part;
        let raised = found.seq != self.saved.seq;
        let moved = rolled || raised || found.hold_gen != self.saved.hold_gen;
        let full = missed.is_some_and(|changed| !(found.done + changed).fit(found.ceiling));
        self.saved = if self.sweeping {
            // The row says of the range that it has been walked; where this sweep is, only its own
            // transactions tell.
            let (cursor, walked) = if raised {
                let walked = found.cursor.is_none();
                (found.cursor.clone(), walked)
            } else {
                (self.saved.cursor.clone(), false)
            };
            Saved {
                cursor,
                walked,
                ..found
            }
        } else {
            found
        };
        self.settling = false;
        if rolled {
            self.batches = 0;
        }
        if moved {
            // The lost transaction was committed after all, or a hold was placed: go on from there.
            self.progressed();
        } else if full {
            self.halted = Some(Halt::Ceiling);
        } else {
            self.again(Reason::RunFailed);
        }
    }
}

fn first_form(style: Style) -> Form {
    match style {
        Style::WindowFirst => Form::Window,
        Style::SkipLocked => Form::SkipLocked,
        Style::Waiting => Form::Keys,
    }
}
