//! From a policy and a catalog to statements that may run. Pure: the same inputs give the same
//! plan, and nothing here can touch a database.
//!
//! `Draft::of` decides what would be done, the caller measures it, `Plan::of` adds the figures,
//! and only `Plan::approve` makes the one type whose statements can run.

mod approve;
mod assent;
mod clock;
mod column;
mod consent;
mod constant;
mod draft;
mod duty;
pub mod estimate;
mod facts;
mod graph;
mod groups;
mod guard;
mod hold;
mod limits;
mod lookup;
mod loosened;
mod overlap;
pub mod partition;
mod parts;
mod refusal;
mod seal;

pub use approve::{ApprovedPlan, Plan, is_unindexed};
pub use assent::Assent;
pub(crate) use assent::voided;
pub use clock::{Due, ReadAs};
pub use consent::Consent;
pub use draft::{Draft, Intent, RuleDraft, Setting};
pub use duty::misfits;
pub use facts::{Facts, RuleFacts, reads_whole_table};
pub use graph::{Above, Link, Node, entry};
pub use groups::GroupDraft;
pub use hold::{fitting, unfit};
pub use refusal::Refusal;
