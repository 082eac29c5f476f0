//! The ledger: its tables, and the statements that read and write them.

/// The tables, without schema or prefix.
pub const TABLES: &[&str] = &[
    "meta",
    "run",
    "checkpoint",
    "tally",
    "chain_head",
    "evidence",
];
