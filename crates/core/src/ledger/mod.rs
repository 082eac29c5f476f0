//! The ledger: its tables, and every statement that reads or writes them. It lives in the target
//! database, because a row batch, its checkpoint and its evidence commit in one transaction (P2).

mod evidence;
mod schema;
mod statements;

pub use evidence::{Evidence, Link};
pub use schema::{Ledger, VERSION, printed};
pub use statements::{CheckpointRow, NewRun, Owner, RunRow, Tally, uuid};

/// The tables, without schema or prefix.
pub const TABLES: &[&str] = &[
    "meta",
    "run",
    "checkpoint",
    "tally",
    "chain_head",
    "evidence",
];
