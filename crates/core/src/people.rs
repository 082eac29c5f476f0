//! Persons in a database, as the planner sees them: the half of a parsed DataMap that requests for
//! erasure use. `api::people` is what people write.

use std::collections::BTreeMap;

use crate::name::{Ident, TableName};
use crate::policy::Normalise;
use crate::target::KeyOf;
use crate::value::Personal;

/// Where persons are, and what becomes of their rows.
#[derive(Clone, Debug, Default)]
pub struct People {
    /// The roles; names are unique. None: the map is about duties only.
    pub roles: Vec<Role>,
    /// Places outside the database; names are unique.
    pub elsewhere: Vec<Elsewhere>,
    /// Whether what has no decision is only reported.
    pub reports_unclassified: bool,
    /// Whether all texts of the database are searched for the person after an erasure.
    pub scans_residue: bool,
    /// Whether a request is carried out once more when the person is in the database again.
    pub erases_again: bool,
    /// Where the key of pseudonyms is.
    pub pseudonym_key: Option<KeyOf>,
}

impl People {
    /// The role of that name.
    pub fn role(&self, name: &str) -> Option<&Role> {
        self.roles.iter().find(|role| role.name == name)
    }
}

/// A role in which persons are in the database.
#[derive(Clone, Debug)]
pub struct Role {
    /// Its name.
    pub name: String,
    /// The table in which a person in this role has a row.
    pub table: TableName,
    /// By what a person is found. Never empty.
    pub identifiers: Vec<Identifier>,
    /// What of the row is an identifier elsewhere: its name there, and the column.
    pub leads_to: Vec<(String, Ident)>,
    /// The rows are other persons', who named this one in them.
    pub in_rows_of_others: bool,
}

impl Role {
    /// The columns that it names.
    pub fn columns(&self) -> impl Iterator<Item = &Ident> {
        let identifiers = self.identifiers.iter().map(|one| &one.column);
        identifiers.chain(self.leads_to.iter().map(|(_, column)| column))
    }
}

/// A column by which a person is found.
#[derive(Clone, Debug)]
pub struct Identifier {
    /// The identifier's name.
    pub name: String,
    /// The column.
    pub column: Ident,
    /// How both sides are made comparable.
    pub normalise: Option<Normalise>,
}

/// One way to a person's rows in a table.
#[derive(Clone, Debug)]
pub enum Way {
    /// The role's own rows.
    Role(String),
    /// Rows that hang on a role's by these columns: `(of this table, of the role's)`.
    OfRole(String, Vec<(Ident, Ident)>),
    /// Rows that hang on another entry's by these columns: `(of this table, of the entry's)`.
    OfEntry(String, Vec<(Ident, Ident)>),
    /// Rows with an identifier of their own.
    Own(Identifier),
}

/// What becomes of a person's rows in a table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Decision {
    /// They go.
    Delete,
    /// Columns are transformed.
    Anonymise,
    /// Columns are transformed; the row is another person's, too.
    Shared,
}

/// How a person's rows in a table are reached, and what becomes of them.
#[derive(Clone, Debug)]
pub struct Reached {
    /// The ways; any of them. Never empty.
    pub ways: Vec<Way>,
    /// What becomes of the rows.
    pub decision: Decision,
    /// What the rows are used for.
    pub purposes: Vec<String>,
}

/// A place outside the database.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Elsewhere {
    /// Its name.
    pub name: String,
    /// Who does it; `None`: the operator, over HTTP.
    pub owner: Option<String>,
}

/// What a person is known by: names of identifiers, each with its texts.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Known(BTreeMap<String, Vec<Personal>>);

impl Known {
    /// Adds an identifier; whether it is new.
    pub fn add(&mut self, name: &str, text: Personal) -> bool {
        let texts = self.0.entry(name.to_owned()).or_default();
        let new = !texts.contains(&text);
        if new {
            texts.push(text);
        }
        new
    }

    /// What is known under a name.
    pub fn texts(&self, name: &str) -> &[Personal] {
        self.0.get(name).map_or(&[], Vec::as_slice)
    }

    /// Adds all that another one is known by; whether any of it is new.
    pub fn add_all(&mut self, other: &Self) -> bool {
        let mut new = false;
        for (name, texts) in &other.0 {
            for text in texts {
                new |= self.add(name, text.clone());
            }
        }
        new
    }

    /// The names.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.0.keys().map(String::as_str)
    }
}
