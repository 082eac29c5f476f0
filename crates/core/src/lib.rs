//! Oubliette decisions.
