//! Calendar periods. (Being replaced by the full module on branch `leaves`: take that one.)
/// An ISO 8601 calendar period.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Period(());
