//! The commands that people type, one file each. They share `inputs` and `work` with the controller
//! and never import it.

pub mod apply;
mod ask;
pub mod crd;
pub mod generate;
pub mod grants;
pub mod ledger;
pub mod plan;
mod progress;
pub mod rbac;
pub mod reference;
pub mod source;
pub mod told;
