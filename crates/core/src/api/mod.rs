//! The custom resources as people write them, and the reasons they read.
//!
//! API structs are data: every field optional, what is not known kept in `unknown`. `parse` turns
//! them into `crate::policy` and `crate::target`, or names every fault at once. The kinds themselves
//! (group, names, columns) are in the root package's `resource`, because core knows no client.

pub mod approval;
pub mod condition;
pub mod data_map;
pub mod erasure_plan;
pub mod erasure_request;
pub mod guards;
pub mod legal_hold;
pub mod lookup;
pub mod parse;
pub mod people;
pub mod reason;
pub mod refs;
pub mod residue;
pub mod retention_policy;
pub mod rule;
pub mod since;
pub mod small_groups;
mod status;
pub mod target_database;
pub mod words;

pub use status::pending;
