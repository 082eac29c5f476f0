//! What can be wrong with manifests, and where it was written.

use std::fmt;
use std::io;

use super::files::{API_VERSION, DATABASE, MOST_BYTES, POLICY};

/// Where a manifest was written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Origin {
    /// The file as it was named, `-` for standard input.
    pub file: String,
    /// Which of its documents that are not empty, from 1.
    pub document: usize,
    /// Which item, from 1, where the document is a List.
    pub item: Option<usize>,
}

impl fmt::Display for Origin {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            file,
            document,
            item,
        } = self;
        write!(formatter, "{file}, document {document}")?;
        item.map_or(Ok(()), |item| write!(formatter, ", item {item}"))
    }
}

/// One thing that is wrong with what was read.
#[derive(Debug, thiserror::Error)]
pub enum Fault {
    /// A file or folder cannot be read.
    #[error("failed to read {file}: {source}")]
    Unreadable {
        /// The file.
        file: String,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// Larger than any file of manifests.
    #[error("{file} is larger than {} MB: it is no file of manifests", MOST_BYTES >> 20)]
    TooLarge {
        /// The file.
        file: String,
    },
    /// No text.
    #[error("{file} is not UTF-8 text: it is no file of manifests")]
    NotText {
        /// The file.
        file: String,
    },
    /// A folder without manifests.
    #[error("{folder} holds no file that ends in .yaml, .yml or .json")]
    EmptyFolder {
        /// The folder.
        folder: String,
    },
    /// Not YAML, a key twice, or not an object.
    #[error("{origin}: {message}")]
    Malformed {
        /// Where.
        origin: Origin,
        /// What is wrong.
        message: String,
    },
    /// A kind or version of our group that this program does not know.
    #[error(
        "{origin}: this program knows {DATABASE} and {POLICY} of {API_VERSION}, not {kind} of {version}"
    )]
    UnknownKind {
        /// Where.
        origin: Origin,
        /// The kind.
        kind: String,
        /// The apiVersion.
        version: String,
    },
    /// A field that is missing, not known, or has a value that cannot be used.
    #[error("{origin}: {kind} {name}: {message}")]
    Field {
        /// Where.
        origin: Origin,
        /// The resource's kind.
        kind: &'static str,
        /// The resource's name.
        name: String,
        /// The field's path and what is wrong with it.
        message: String,
    },
    /// The same resource twice: which one holds would depend on the order.
    #[error("{origin}: {kind} {namespace}/{name} is written twice, first in {first}")]
    Twice {
        /// Where the second one is.
        origin: Origin,
        /// Its kind.
        kind: &'static str,
        /// Its namespace.
        namespace: String,
        /// Its name.
        name: String,
        /// Where the first one is.
        first: Origin,
    },
}

/// Everything that is wrong, one line each.
#[derive(Debug)]
pub struct Faults(pub Vec<Fault>);

impl fmt::Display for Faults {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, fault) in self.0.iter().enumerate() {
            let separator = if index == 0 { "" } else { "\n" };
            write!(formatter, "{separator}{fault}")?;
        }
        Ok(())
    }
}

impl std::error::Error for Faults {}
