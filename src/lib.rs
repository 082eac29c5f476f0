//! Oubliette: effects around `oubliette-core`.

pub mod bench;
pub mod cli;
pub mod command;
pub mod controller;
pub mod database;
pub mod inputs;
pub mod lease;
pub mod ledger;
pub mod metrics;
pub mod notify;
pub mod operator;
pub mod program;
pub mod resource;
pub mod serve;
pub mod settings;
pub mod shutdown;
pub mod signing;
pub mod telemetry;
pub mod work;
