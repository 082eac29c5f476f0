//! Oubliette: effects around `oubliette-core`.
