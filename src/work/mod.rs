//! The work on a database: inspect, measure, plan, run, verify. Thin effects around
//! `oubliette_core`'s decisions; knows no Kubernetes, so that the CLI does the same.

pub mod job;
