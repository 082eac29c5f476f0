//! Which tables hold dates or look personal while nobody has decided about their rows: the gaps that
//! a list of rules does not show by itself.
//!
//! Owns what a name or a type gives away. It is a guess, made to be read by people: nothing is ever
//! changed, refused or allowed because of it.

use std::collections::BTreeSet;

use serde::Serialize;

use crate::catalog::Engine;
use crate::duty::NamedMap;
use crate::ledger::looks_like_a_ledgers;
use crate::name::{Ident, TableName};
use crate::policy::{Policy, RelatedAction};

/// A table of the database, whoever may read it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SeenTable {
    /// Its qualified name, as the server spells it.
    pub name: TableName,
    /// Its columns, in their order.
    pub columns: Vec<SeenColumn>,
}

/// One of its columns.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SeenColumn {
    /// Its name, for people.
    pub name: String,
    /// Its type as the catalog calls it without its length (`timestamptz`, `varchar`); empty where it
    /// is not known.
    pub type_name: String,
}

/// What was found.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Coverage {
    /// How many tables there are, the ledger's own left out.
    pub tables: usize,
    /// Those about which nobody has decided, by name.
    pub gaps: Vec<Gap>,
}

/// A table with dates or personal-looking columns that nothing reaches.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Gap {
    /// The table.
    pub table: TableName,
    /// The columns that look personal.
    pub personal: Vec<String>,
    /// The columns with dates.
    pub dates: Vec<String>,
}

impl Coverage {
    /// Weighs the tables of a database. `reached`: those about which somebody has decided, qualified.
    pub fn of(engine: Engine, tables: &[SeenTable], reached: &BTreeSet<TableName>) -> Self {
        let own = |table: &SeenTable| {
            let columns: Vec<&str> = table.columns.iter().map(|c| c.name.as_str()).collect();
            looks_like_a_ledgers(engine, table.name.table.as_str(), &columns)
        };
        let tables: Vec<&SeenTable> = tables.iter().filter(|table| !own(table)).collect();
        let open = tables.iter().filter(|table| !reached.contains(&table.name));
        let mut gaps: Vec<Gap> = open.filter_map(|table| Gap::of(table)).collect();
        gaps.sort_by(|a, b| a.table.cmp(&b.table));
        Self {
            tables: tables.len(),
            gaps,
        }
    }
}

impl Gap {
    fn of(table: &SeenTable) -> Option<Self> {
        let named = |columns: &dyn Fn(&SeenColumn) -> bool| -> Vec<String> {
            let columns = table.columns.iter().filter(|column| columns(column));
            columns.map(|column| column.name.clone()).collect()
        };
        let gap = Self {
            table: table.name.clone(),
            personal: named(&|c| {
                ADDRESSES.contains(&c.type_name.as_str()) || looks_personal(&c.name)
            }),
            dates: named(&|c| DATES.contains(&c.type_name.as_str())),
        };
        (!gap.personal.is_empty() || !gap.dates.is_empty()).then_some(gap)
    }
}

/// The tables about whose rows a policy decides: those of its rules, and what goes or changes with
/// them, as they are written. Rows that are only detached stay as they are.
pub fn reached(policy: &Policy) -> BTreeSet<TableName> {
    let mut reached = BTreeSet::new();
    for rule in &policy.rules {
        reached.insert(rule.table.clone());
        let related = rule.related.iter();
        let decided = related.filter(|related| !matches!(related.action, RelatedAction::Detach));
        reached.extend(decided.map(|related| related.table.clone()));
    }
    reached
}

/// The tables about which DataMaps say something.
pub fn mapped(maps: &[NamedMap]) -> impl Iterator<Item = TableName> {
    maps.iter().flat_map(|named| named.map.tables()).cloned()
}

/// Names with the schema in which they are looked up where none is written: on MySQL and MariaDB the
/// database's.
pub fn qualified(
    names: BTreeSet<TableName>,
    engine: Engine,
    database: &Ident,
) -> BTreeSet<TableName> {
    let qualified = |name: TableName| match name.schema {
        None if engine.is_innodb() => TableName::qualified(database.clone(), name.table),
        _ => name,
    };
    names.into_iter().map(qualified).collect()
}

/// Types of dates and instants.
const DATES: [&str; 4] = ["date", "datetime", "timestamp", "timestamptz"];
/// Types of network addresses.
const ADDRESSES: [&str; 3] = ["inet", "inet4", "inet6"];

/// Words of which one alone makes a column look personal, in the singular.
const WORDS: &[&str] = &[
    "address",
    "allergy",
    "body",
    "born",
    "comment",
    "death",
    "deceased",
    "diagnosis",
    "dob",
    "disability",
    "disabled",
    "dietary",
    "fax",
    "feedback",
    "gender",
    "iban",
    "ip",
    "latitude",
    "longitude",
    "mail",
    "marital",
    "medical",
    "message",
    "mobile",
    "name",
    "nationality",
    "nhs",
    "nickname",
    "nino",
    "note",
    "person",
    "phone",
    "photo",
    "postal",
    "remark",
    "sex",
    "signature",
    "ssn",
    "street",
    "uln",
    "zip",
    "username",
];
/// Parts that do so wherever they stand in a word: too long to stand in another one by chance.
const PARTS: &[&str] = &[
    "birth",
    "email",
    "ethnic",
    "firstname",
    "forename",
    "fullname",
    "lastname",
    "passport",
    "phonenumber",
    "postcode",
    "relig",
    "surname",
    "telephone",
    "zipcode",
];
/// Of these, the ones that say that a date is about a person and not about the row.
const LIFE: [&str; 5] = ["birth", "born", "dob", "death", "deceased"];

/// Whether a column's name says that a person is described in it.
pub fn looks_personal(name: &str) -> bool {
    let words = words(name);
    words.iter().any(|word| {
        WORDS.iter().any(|known| is(word, known)) || PARTS.iter().any(|part| word.contains(part))
    })
}

/// Whether a date of that name says something of a person's life, and nothing of when the row was
/// needed.
pub(crate) fn is_of_a_life(name: &str) -> bool {
    let words = words(name);
    let is_of = |word: &String| {
        LIFE.iter()
            .any(|known| is(word, known) || word.contains("birth"))
    };
    words.iter().any(is_of)
}

/// Whether it is that word, or more of it.
fn is(word: &str, known: &str) -> bool {
    let rest = word.strip_prefix(known);
    rest.is_some_and(|rest| ["", "s", "es"].contains(&rest))
        || known
            .strip_suffix('y')
            .is_some_and(|stem| word.strip_prefix(stem) == Some("ies"))
}

/// The words of a name, in lower case: `home_address`, `homeAddress`, `IPAddress2`.
pub(crate) fn words(name: &str) -> Vec<String> {
    let mut words = vec![String::new()];
    let characters: Vec<char> = name.chars().collect();
    for (place, &character) in characters.iter().enumerate() {
        let before = place.checked_sub(1).map(|place| characters[place]);
        let begins = character.is_uppercase()
            && (before.is_some_and(|c| c.is_lowercase() || c.is_ascii_digit())
                || before.is_some_and(char::is_uppercase)
                    && characters.get(place + 1).is_some_and(|c| c.is_lowercase()));
        if begins || !character.is_alphabetic() {
            words.push(String::new());
        }
        if character.is_alphabetic()
            && let Some(word) = words.last_mut()
        {
            word.extend(character.to_lowercase());
        }
    }
    words.retain(|word| !word.is_empty());
    words
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table(name: &str, columns: &[(&str, &str)]) -> SeenTable {
        let column = |(name, type_name): &(&str, &str)| SeenColumn {
            name: (*name).to_owned(),
            type_name: (*type_name).to_owned(),
        };
        SeenTable {
            name: name.parse().unwrap(),
            columns: columns.iter().map(column).collect(),
        }
    }

    #[test]
    fn names_are_read_word_by_word() {
        for name in [
            "email",
            "EMail_email",
            "eMail",
            "e_mail",
            "home_address",
            "homeAddress",
            "IPAddress",
            "client_ip",
            "ip2",
            "Surname",
            "dateOfBirth",
            "date_of_birth",
            "birthday",
            "phone_numbers",
            "notes",
            "addresses",
            "disabilities",
            "ethnicity",
            "religious_belief",
            "NINO",
            "userEmailAddress",
        ] {
            assert!(looks_personal(name), "{name}");
        }
        for name in [
            "description",
            "zipped",
            "ship_id",
            "renamed",
            "amount",
            "renaming",
            "id",
            "tip",
            "notebook_id",
            "nameless",
            "mobility",
            "sexagesimal",
            "",
        ] {
            assert!(!looks_personal(name), "{name}");
        }
        assert_eq!(
            words("IPAddress2_ofHTTPHost"),
            ["ip", "address", "of", "http", "host"]
        );
    }

    #[test]
    fn a_table_is_a_gap_for_its_dates_for_what_it_says_of_people_and_for_a_type() {
        let tables = [
            table(
                "b.visits",
                &[("id", "int8"), ("at", "timestamptz"), ("from", "inet")],
            ),
            table("a.people", &[("id", "int8"), ("email", "text")]),
            table("a.covered", &[("email", "text"), ("made", "date")]),
            table("a.rates", &[("id", "int8"), ("rate", "numeric")]),
            table("a.unknown", &[("made", "")]),
        ];
        let reached = BTreeSet::from(["a.covered".parse().unwrap()]);
        let coverage = Coverage::of(Engine::Postgres, &tables, &reached);
        assert_eq!(coverage.tables, 5);
        let gap = |name: &str, personal: &[&str], dates: &[&str]| Gap {
            table: name.parse().unwrap(),
            personal: personal.iter().map(ToString::to_string).collect(),
            dates: dates.iter().map(ToString::to_string).collect(),
        };
        assert_eq!(
            coverage.gaps,
            [
                gap("a.people", &["email"], &[]),
                gap("b.visits", &["from"], &["at"]),
            ]
        );
    }
}
