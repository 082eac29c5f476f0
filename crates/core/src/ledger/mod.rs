//! The ledger: its tables, and every statement that reads or writes them. It lives in the target
//! database, because a row batch, its checkpoint and its evidence commit in one transaction (P2).

mod evidence;
mod hold;
mod intent;
mod owner;
mod rewound;
mod schema;
mod statements;

pub use evidence::{Evidence, Link};
pub use hold::{HoldRow, Released};
pub use intent::{IntentRow, IntentState};
pub use owner::{Owner, uuid};
pub use rewound::{ACCEPT, Rewound};
pub use schema::{Ledger, VERSION, looks_like_a_ledgers, printed};
pub use statements::{CheckpointRow, NewRun, RunRow, Tally};

/// The tables, without schema or prefix.
pub const TABLES: &[&str] = &[
    "meta",
    "run",
    "checkpoint",
    "tally",
    "chain_head",
    "evidence",
    "hold",
    "intent",
];
