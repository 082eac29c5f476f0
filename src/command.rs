//! The commands that people type, one file each. They share `inputs` and `work` with the controller
//! and never import it.

pub mod apply;
mod ask;
mod columns;
pub mod completion;
pub mod crd;
mod form;
pub mod generate;
pub mod grants;
pub mod hold;
pub mod init;
pub mod ledger;
pub mod plan;
pub mod plugin;
mod progress;
pub mod rbac;
pub mod reference;
pub mod source;
pub mod told;
