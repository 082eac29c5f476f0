//! Real servers for tests, demo and bench: PostgreSQL, MariaDB, MySQL and a Kubernetes control plane.
//!
//! Each listens on a free loopback port, with TLS by a certificate authority of the bed's, on a data
//! folder of its own, and none outlives the process that started it, also not after `kill -9`.
//! Everything here is blocking. It must not know Oubliette: who uses it is above it.
//!
//! ```no_run
//! use bed::{Bed, Kind, Wanted};
//! # fn main() -> anyhow::Result<()> {
//! let bed = Bed::start(&Wanted::parse("postgres15,mariadb,cluster")?)?;
//! let server = bed.server(Kind::Postgres15)?;
//! server.create_database("crm")?;
//! server.sql("crm", "CREATE TABLE t (id int)")?;
//! bed.cluster()?.kubectl(&["get", "namespaces"], "")?;
//! # Ok(()) }
//! ```

mod authority;
mod bed;
mod cache;
mod client;
mod cluster;
mod distance;
mod dump;
mod external;
mod kind;
mod port;
mod process;
mod scratch;
mod server;
pub mod setup;
mod slow_disk;

pub use authority::{Authority, Issued, authority};
pub use bed::{Bed, Wanted};
pub use cache::{folder as cache_folder, tool};
pub use client::Login;
pub use cluster::Cluster;
pub use kind::Kind;
pub use process::wait_until;
pub use rustix::process::Signal;
pub use server::{Bench, Options, Server};
