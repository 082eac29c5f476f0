//! The commands that people type, one file each. They share `inputs` and `work` with the controller
//! and never import it.

pub mod apply;
mod ask;
pub mod bench;
pub mod bench_page;
mod columns;
pub mod completion;
pub mod coverage;
pub mod crd;
pub mod discover;
mod form;
pub mod generate;
pub mod grants;
pub mod hold;
pub mod init;
pub mod ledger;
mod person;
pub mod plan;
pub mod plugin;
mod progress;
pub mod rbac;
pub mod reference;
mod refused;
pub mod source;
pub mod suppressed;
pub mod told;
pub mod verify;

use std::io;

/// What a command says that needs a database and was given none.
const NO_DATABASE: &str = "no database: give it with --database-url, such as \
    postgres://USER@HOST:5432/DATABASE or mysql://USER@HOST:3306/DATABASE";

/// What went wrong, from the outside in. A cause that the message before it repeats is left out.
pub fn told_once(error: &anyhow::Error) -> String {
    let mut text = String::new();
    for cause in error.chain().map(ToString::to_string) {
        if text.is_empty() {
            text = cause;
        } else if !text.contains(&cause) {
            text.push_str(": ");
            text.push_str(&cause);
        }
    }
    text
}

/// Whether whoever read the output has closed it, as `head` does.
pub fn is_unread(error: &anyhow::Error) -> bool {
    let io = error.root_cause().downcast_ref::<io::Error>();
    io.is_some_and(|error| error.kind() == io::ErrorKind::BrokenPipe)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, thiserror::Error)]
    #[error("the database cannot be used: {0}")]
    struct Repeats(#[source] io::Error);

    #[test]
    fn a_cause_that_was_told_is_not_told_again() {
        let refused = || io::Error::new(io::ErrorKind::ConnectionRefused, "refused");
        let repeated = anyhow::Error::new(Repeats(refused())).context("no plan");
        assert_eq!(
            told_once(&repeated),
            "no plan: the database cannot be used: refused"
        );
        let plain = anyhow::Error::new(refused()).context("no plan");
        assert_eq!(told_once(&plain), "no plan: refused");
        assert!(!is_unread(&plain));
        let closed = anyhow::Error::new(io::Error::from(io::ErrorKind::BrokenPipe));
        assert!(is_unread(&closed.context("failed to write")));
    }
}
