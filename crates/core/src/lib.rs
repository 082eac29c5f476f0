//! Oubliette's decisions: what is written in a manifest, what a database's catalog says, which
//! rows a promise reaches, which statements carry it out and what is reported of it.
//!
//! No I/O, no clock, no randomness: whoever calls passes facts and `now` as arguments.

pub mod api;
pub mod approval;
pub mod backoff;
pub mod bench;
pub mod catalog;
pub mod coverage;
pub mod decide;
pub mod digest;
pub mod discover;
pub mod duty;
pub mod erasure;
pub mod grants;
pub mod groups;
pub mod hmac;
pub mod hold;
pub mod ledger;
pub mod name;
pub mod people;
pub mod period;
pub mod plan;
pub mod policy;
pub mod propose;
pub mod report;
pub mod rows;
pub mod run;
pub mod schedule;
pub mod settings;
pub mod sql;
pub mod strategy;
pub mod target;
pub mod value;
pub mod yaml;
pub mod zone;
