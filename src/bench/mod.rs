//! The effects of the benchmark: its tables, what others do with them, and what is looked at
//! afterwards. What is written and judged of it is `oubliette_core::bench`'s.

pub mod archiver;
pub mod check;
pub mod foreground;
pub mod ground;
pub mod machine;
pub mod meter;
pub mod peer;
pub mod race;
pub mod snapshot;
