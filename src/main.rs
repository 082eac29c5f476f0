//! The `oubliette` program: dispatch only.
fn main() {}
