//! Parsed SQL names. (Being replaced by the full module on branch `leaves`: take that one.)
use serde::{Deserialize, Serialize};
/// An SQL identifier.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
pub struct Ident(String);
/// A possibly qualified table name.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
pub struct TableName {
    /// Schema.
    pub schema: Option<Ident>,
    /// Table.
    pub table: Ident,
}
