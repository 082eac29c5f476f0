//! Oubliette: effects around `oubliette-core`.

pub mod database;
pub mod lease;
pub mod metrics;
pub mod serve;
pub mod shutdown;
pub mod telemetry;
pub mod work;
