//! The ledger: its tables, and every statement that reads or writes them. It lives in the target
//! database, because a row batch, its checkpoint and its evidence commit in one transaction (P2).

mod chain;
mod erased;
mod evidence;
mod hold;
mod intent;
mod many;
mod owner;
mod rewound;
mod schema;
mod statements;
mod subject;

pub use chain::{Break, Chain, Entry};
pub use erased::{ErasedAt, ErasedRow, ErasedUnder, second};
pub use evidence::{Evidence, Link};
pub use hold::{HoldRow, KeptHold, Released};
pub use intent::{IntentRow, IntentState};
pub use many::NewTally;
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
    "subject",
    "erased",
];

/// Tables that came after the first ledgers: one without them is a ledger all the same, and gets them
/// when it is opened. Until then nothing is in them.
const ADDED: &[&str] = &["erased", "subject"];
