//! The only place that knows the database driver: connections, transactions, what goes wrong with
//! them, and what the catalogs say.
//!
//! Everything above works with [`Database`], [`Tx`] and [`Fault`] and is written once for all
//! engines. No statement about a user's table is written here: those come from `oubliette_core::sql`.

mod apart;
mod at_hand;
mod authorities;
mod cancel;
mod catalog;
mod connect;
mod fault;
mod mysql;
mod postgres;
mod probe;
mod session;

pub use apart::Apart;
pub use authorities::PUBLIC_AUTHORITIES;
pub use cancel::Canceller;
pub use catalog::{inspect, may_exchange, readers, survey, survey_stored, tables};
pub use connect::{ConnectSettings, Database, DeclaredEngine, Tls, Version};
pub use fault::{Fault, FaultClass};
pub use probe::{Concern, ServerFacts, Warning, give_pads};
pub use session::{Access, CommitFault, Timeouts, Tx};
