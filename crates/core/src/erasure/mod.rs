//! Requests for erasure: what is asked, who is meant, what becomes of their rows, and what is proved of
//! it afterwards.

pub mod again;
pub mod certificate;
pub mod certify;
pub mod deadline;
mod document;
pub mod duplicates;
pub mod elsewhere;
pub mod find;
pub mod gate;
pub mod letter;
pub mod lower;
pub mod outcome;
mod planned;
pub mod recorded;
mod records;
pub mod remembered;
mod request;
mod restored;
pub mod rounds;
pub mod several;
mod suppression;

pub use certificate::Certificate;
pub use document::{Claims, Document, FormFault, Signature};
pub use request::{Close, Confirmation, Extension, MapName, Request, Scope};
pub use restored::{Completed, Reappeared, Restored};
pub use suppression::{
    IdentifierKey, LEAST_KEY, ShortKey, SuppressionKey, SuppressionKeys, comparable, normalise_of,
    normalise_word,
};
