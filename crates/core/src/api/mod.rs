//! The custom resources as people write them, and the reasons they read.

pub mod reason;
