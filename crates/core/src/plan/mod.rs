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
mod erased;
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
mod reach;
mod refusal;
mod seal;

pub use approve::{ApprovedPlan, Plan, is_unindexed};
pub use assent::Assent;
pub(crate) use assent::voided;
pub use clock::{Due, ReadAs};
pub use column::untreatable;
pub use consent::Consent;
pub use draft::{BelowLocked, Draft, Intent, MOST_HANGING, RuleDraft, Setting};
pub use duty::misfits;
pub use erased::{ErasedColumn, erased_columns, identified_tables, identifiers_of};
pub use facts::{Facts, RuleFacts, reads_whole_table};
pub(crate) use graph::are_comparable;
pub use graph::{Above, Link, Node, entry};
pub use groups::GroupDraft;
pub use hold::{
    InForce, PersonHold, fitting, fitting_person, held_person, maps_of, unfit, unfit_person,
};
pub use refusal::Refusal;
