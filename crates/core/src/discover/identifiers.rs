//! By what a person could be found: what names, types and unique indexes give away.

use super::can_be_written;
use super::links::Links;
use crate::api::people::MAX_IDENTIFIERS;
use crate::catalog::{Column, ColumnKind, Table};
use crate::coverage::{is_of_a_life, words};
use crate::policy::Normalise;

/// A column by which a person could be found.
#[derive(Clone, Debug)]
pub(super) struct FoundIdentifier<'c> {
    pub(super) name: String,
    pub(super) column: &'c Column,
    pub(super) normalise: Option<Normalise>,
    pub(super) why: &'static str,
    sort: Sort,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Sort {
    Email,
    National,
    Number,
    Username,
    Phone,
    /// Nothing says so but that each row has another value.
    Key,
}

/// Words of numbers that a state gives.
const NATIONAL: [&str; 6] = ["nhs", "nino", "passport", "ssn", "uln", "vat"];
/// Last words of numbers that an organisation gives.
const NUMBERS: [&str; 8] = [
    "code",
    "guid",
    "no",
    "nr",
    "num",
    "number",
    "ref",
    "reference",
];
const USERNAMES: [&str; 4] = ["login", "loginname", "nickname", "username"];
const PHONES: [&str; 4] = ["cell", "mobile", "phone", "telephone"];
/// Last words of columns that say something about an identifier and are none.
const ABOUT: [&str; 12] = [
    "confirmed",
    "count",
    "domain",
    "flag",
    "format",
    "hash",
    "language",
    "preference",
    "status",
    "token",
    "type",
    "verified",
];
/// Parts of names that only persons have.
const OF_PERSONS: [&str; 7] = [
    "firstname",
    "forename",
    "fullname",
    "givenname",
    "lastname",
    "familyname",
    "surname",
];

/// The identifiers of persons in a table, the surest first.
pub(super) fn of(table: &Table) -> Vec<FoundIdentifier<'_>> {
    let columns = || table.columns.iter().filter(|column| can_be_found(column));
    let mut found: Vec<(Sort, bool, &Column)> = columns()
        .filter_map(|column| Some((sort_of(column)?, is_unique(table, column), column)))
        // A code or a nickname that many rows share says nothing of one of them.
        .filter(|(sort, unique, column)| {
            let weak = [Sort::Number, Sort::Username].contains(sort);
            !table.primary_key.contains(&column.name) && (*unique || !weak)
        })
        .collect();
    if found.is_empty() {
        let unique = columns().find(|column| is_unique(table, column));
        found.extend(
            unique
                .or_else(|| columns().next())
                .map(|c| (Sort::Key, is_unique(table, c), c)),
        );
    }
    found.sort_by_key(|(sort, unique, _)| (*sort, !unique));
    found.truncate(MAX_IDENTIFIERS);
    let mut names: Vec<String> = Vec::new();
    found
        .into_iter()
        .map(|(sort, unique, column)| FoundIdentifier {
            name: named(sort, column, &mut names),
            column,
            normalise: normalise(sort, column),
            why: match (sort, unique) {
                (Sort::Key, true) => {
                    "guess: no column looks like an identifier, and this one is unique"
                }
                (Sort::Key, false) => {
                    "guess: no column looks like an identifier; TO DO: which is one"
                }
                (_, true) => "guess: by its name, and a unique index",
                (_, false) => "guess: by its name; no unique index says that it is one person's",
            },
            sort,
        })
        .collect()
}

impl<'c> FoundIdentifier<'c> {
    /// Whether it is a number of which each person has another one.
    pub(super) fn is_number(&self) -> bool {
        matches!(self.sort, Sort::National | Sort::Number)
    }

    /// The columns in which another table has it, without a reference. A phone may be several people's.
    pub(super) fn held_by(&self, links: &Links<'c>, table: &'c Table) -> Vec<Self> {
        let alike = |column: &&Column| {
            let same_name = plain(column.name.as_str()) == plain(self.column.name.as_str());
            let same_type = column.kind == self.column.kind;
            let is_one = match self.sort {
                Sort::Email => sort_of(column) == Some(Sort::Email) && self.name == EMAIL,
                Sort::National | Sort::Number | Sort::Username => same_name && same_type,
                Sort::Phone | Sort::Key => false,
            };
            is_one
                && can_be_found(column)
                && !links.refers(&table.name, &column.name)
                && !links.from(&table.name).any(|link| link.has(&column.name))
        };
        let columns = table.columns.iter().filter(alike);
        columns
            .map(|column| Self {
                column,
                normalise: normalise(self.sort, column),
                why: "guess: by its name",
                ..self.clone()
            })
            .collect()
    }
}

/// Whether the rows of a table look like persons.
pub(super) fn is_person(table: &Table) -> bool {
    let has = |wanted: &dyn Fn(&Column) -> bool| table.columns.iter().any(wanted);
    let contact = has(&|c| matches!(sort_of(c), Some(Sort::Email | Sort::Phone)));
    let named = has(&|c| words(c.name.as_str()).iter().any(|word| word == "name"));
    let own = has(&|c| {
        let name = words(c.name.as_str()).concat();
        let sorts = [Some(Sort::National), Some(Sort::Username)];
        OF_PERSONS.iter().any(|part| name.contains(part)) || sorts.contains(&sort_of(c))
    });
    own && (contact || named || has(&|c| is_of_a_life(c.name.as_str()))) || contact && named
}

/// A table's name as of one of its rows.
pub(super) fn singular(name: &str) -> String {
    let lower = name.to_lowercase();
    if lower.ends_with("ies") && lower.len() == name.len() && name.len() > 4 {
        format!("{}y", &name[..name.len() - 3])
    } else if lower.ends_with('s')
        && !lower.ends_with("ss")
        && !lower.ends_with("us")
        && name.len() > 2
    {
        name[..name.len() - 1].to_owned()
    } else {
        name.to_owned()
    }
}

/// A name without what is written in one way here and in another one there.
pub(super) fn plain(name: &str) -> String {
    let kept = name.chars().filter(|c| c.is_alphanumeric());
    kept.flat_map(char::to_lowercase).collect()
}

fn can_be_found(column: &Column) -> bool {
    let kinds = [
        ColumnKind::Text,
        ColumnKind::Int,
        ColumnKind::UnsignedBigInt,
        ColumnKind::Uuid,
    ];
    kinds.contains(&column.kind) && can_be_written(&column.name)
}

fn sort_of(column: &Column) -> Option<Sort> {
    let words = words(column.name.as_str());
    let (last, all) = (words.last()?, words.concat());
    let is_text = column.kind == ColumnKind::Text;
    let among = |known: &[&str]| words.iter().any(|word| known.contains(&word.as_str()));
    if ABOUT.contains(&last.as_str()) || !can_be_found(column) {
        None
    } else if is_text && (all.contains("email") || last == "mail") {
        Some(Sort::Email)
    } else if among(&NATIONAL) {
        Some(Sort::National)
    } else if among(&PHONES) || all.contains("phone") {
        Some(Sort::Phone)
    } else if is_text && USERNAMES.contains(&all.as_str()) {
        Some(Sort::Username)
    } else if NUMBERS.contains(&last.as_str()) && words.len() > 1 {
        Some(Sort::Number)
    } else {
        None
    }
}

/// Whether at most one row has a value, as far as an index says; that of a part of the rows nearly does.
fn is_unique(table: &Table, column: &Column) -> bool {
    let mut indexes = table.indexes.iter().filter(|index| index.unique);
    table.primary_key.as_slice() == [column.name.clone()]
        || indexes.any(|index| {
            let mut decides = index.compares.iter().chain(&index.reads).peekable();
            decides.peek().is_some() && decides.all(|name| *name == column.name)
        })
}

fn normalise(sort: Sort, column: &Column) -> Option<Normalise> {
    let digits = [Sort::Phone, Sort::National].contains(&sort);
    let letters = words(column.name.as_str())
        .iter()
        .any(|word| ["nino", "passport", "vat"].contains(&word.as_str()));
    match column.kind {
        ColumnKind::Text if digits && !letters => Some(Normalise::DigitsOnly),
        ColumnKind::Text => Some(Normalise::LowercaseTrim),
        ColumnKind::Int | ColumnKind::UnsignedBigInt => Some(Normalise::DigitsOnly),
        _ => None,
    }
}

/// What addresses are called in every map, so that one request finds a person in all of them.
const EMAIL: &str = "email";

fn named(sort: Sort, column: &Column, taken: &mut Vec<String>) -> String {
    let words = words(column.name.as_str());
    let usual = match sort {
        Sort::Email => Some(EMAIL.to_owned()),
        Sort::Phone => Some("phone".to_owned()),
        Sort::National => words
            .iter()
            .find(|w| NATIONAL.contains(&w.as_str()))
            .cloned(),
        Sort::Number | Sort::Username | Sort::Key => None,
    };
    let mut own = String::new();
    for word in words {
        let word: String = word.chars().filter(char::is_ascii_alphabetic).collect();
        let (first, rest) = word.split_at(usize::from(!word.is_empty()));
        if own.is_empty() {
            own.push_str(&word);
        } else {
            own.push_str(&first.to_ascii_uppercase());
            own.push_str(rest);
        }
    }
    own.truncate(60);
    if own.is_empty() {
        "identifier".clone_into(&mut own);
    }
    let numbered = (2..100).map(|number| format!("{own}{number}"));
    let mut names = usual.into_iter().chain([own.clone()]).chain(numbered);
    let name = names.find(|name| !taken.contains(name)).unwrap_or_default();
    taken.push(name.clone());
    name
}
