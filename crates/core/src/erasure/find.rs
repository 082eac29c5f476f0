//! Who is meant: the identifiers that a request gives, looked for in every role of every map. Nothing
//! is guessed: a person is found where one row fits all that is known, and no row contradicts it.

use std::fmt;

use crate::api::reason::Reason;
use crate::catalog::{Catalog, Column, Table};
use crate::duty::{DataMap, MappedTable};
use crate::name::Ident;
pub use crate::people::Known;
use crate::people::{Role, Way};
use crate::plan::Refusal;
use crate::sql::{Bound, FindSql, IdentifierSql};
use crate::value::{Key, Personal, Value};

/// Rows that one search brings back at the most: more are nobody's in particular.
pub const MOST_CANDIDATES: u32 = 1_000;

/// The search for a person in one role.
#[derive(Clone, Debug)]
pub struct Search {
    /// The role.
    pub role: String,
    in_rows_of_others: bool,
    leads: Vec<(String, usize)>,
    pub(super) sql: FindSql,
}

/// How an identifier of a row fits what is known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fit {
    /// The row has none.
    Blank,
    /// It is one of those that are known.
    Equal,
    /// It is another one.
    Other,
}

/// Why it is not known who is meant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Doubt {
    /// Several rows fit.
    Several(usize),
    /// A row has one of the identifiers and contradicts another.
    Contradiction,
}

impl fmt::Display for Doubt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Several(rows) => write!(f, "{rows} rows fit"),
            Self::Contradiction => {
                f.write_str("a row has one of the identifiers and contradicts another")
            }
        }
    }
}

/// A person's rows in one role: what of them leads on.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct FoundRole {
    /// The role.
    pub role: String,
    /// The columns that were read.
    pub columns: Vec<Ident>,
    /// One value per column. Held in memory, and in the ledger until the request has ended (P4).
    pub rows: Vec<Vec<Value>>,
}

impl FoundRole {
    /// The values of some of its columns, each once. A row with a NULL in one of them has none.
    pub fn keys(&self, columns: &[&Ident]) -> Vec<Key> {
        let places: Option<Vec<usize>> = columns
            .iter()
            .map(|name| self.columns.iter().position(|column| column == *name))
            .collect();
        let Some(places) = places else {
            return Vec::new();
        };
        let mut keys: Vec<Key> = Vec::new();
        for row in &self.rows {
            let key: Key = places
                .iter()
                .filter_map(|at| row.get(*at).cloned())
                .collect();
            if !key.contains(&Value::Null) && !keys.contains(&key) {
                keys.push(key);
            }
        }
        keys
    }
}

impl Search {
    /// The search in a role; `None`: nothing is known by which anybody could be found in it. What does
    /// not fit the database is refused.
    pub fn of(
        map: &DataMap,
        role: &Role,
        catalog: &Catalog,
        known: &Known,
    ) -> Result<Option<Self>, Refusal> {
        let refuse = |message: String| Refusal::of(&role.name, Reason::DutiesUnfit, message);
        let table = catalog.table(&role.table).ok_or_else(|| {
            refuse(format!(
                "table {} does not exist in database {}, or user {} may not see it",
                role.table, catalog.database, catalog.user
            ))
        })?;
        if table.primary_key.is_empty() {
            return Err(refuse(format!(
                "{} has no primary key, by which a person's row could be told from others",
                table.name
            )));
        }
        let column = |name: &Ident| {
            let missing = || refuse(format!("{} has no column {name}", table.name));
            table.column(name).ok_or_else(missing)
        };
        let mut identifiers = Vec::new();
        for identifier in &role.identifiers {
            let texts = known.texts(&identifier.name);
            if texts.is_empty() {
                continue;
            }
            let column = column(&identifier.column)?;
            let typed =
                IdentifierSql::of(column, identifier.normalise, texts).ok_or_else(|| {
                    refuse(format!(
                        "{}.{} is {}: nobody is found by it; text, whole numbers and uuids can be \
                     compared, and normalise is for text, DigitsOnly for whole numbers, too",
                        table.name, column.name, column.type_name
                    ))
                })?;
            identifiers.push(typed);
        }
        let mut read = Vec::new();
        for name in wanted(map, role, table) {
            read.push(column(name)?.clone());
        }
        let at = |name: &Ident| read.iter().position(|column: &Column| column.name == *name);
        let leads = role.leads_to.iter();
        let leads = leads.filter_map(|(name, column)| Some((name.clone(), at(column)?)));
        let leads = leads.collect();
        let somebody = identifiers.iter().any(|one| !one.values.is_empty());
        Ok(somebody.then(|| Self {
            role: role.name.clone(),
            in_rows_of_others: role.in_rows_of_others,
            leads,
            sql: FindSql {
                engine: catalog.engine,
                table: table.name.clone(),
                with_leaves: table.has_leaves(),
                identifiers,
                read,
            },
        }))
    }

    /// Looks for rows with any of the identifiers.
    pub fn look(&self) -> Bound {
        self.sql.look(MOST_CANDIDATES + 1)
    }

    /// Which of the rows that `look` brought back are the person's. In rows of others there may be
    /// several.
    pub fn settle(&self, rows: &[Vec<Value>]) -> Result<FoundRole, Doubt> {
        if rows.len() > usize::try_from(MOST_CANDIDATES).unwrap_or(usize::MAX) {
            return Err(Doubt::Several(rows.len()));
        }
        let theirs: Vec<&Vec<Value>> = rows.iter().filter(|row| self.fits(row)).collect();
        match theirs.len() {
            0 if rows.is_empty() => {}
            0 if self.in_rows_of_others => {}
            0 => return Err(Doubt::Contradiction),
            1 => {}
            _ if self.in_rows_of_others => {}
            several => return Err(Doubt::Several(several)),
        }
        Ok(self.found(theirs.into_iter()))
    }

    /// How many of the rows that `look` brought back may be the person's: those that contradict nothing.
    pub fn may_be_theirs(&self, rows: &[Vec<Value>]) -> usize {
        rows.iter().filter(|row| self.fits(row)).count()
    }

    /// The same rows; all of them, where each contradicts something, and then it is vague whose they
    /// are. For whoever must rather take one too many than one too few. `None`: they are too many.
    pub fn perhaps(&self, rows: &[Vec<Value>]) -> Option<(FoundRole, bool)> {
        if rows.len() > usize::try_from(MOST_CANDIDATES).unwrap_or(usize::MAX) {
            return None;
        }
        let vague = !rows.is_empty() && self.may_be_theirs(rows) == 0;
        let rows = rows.iter().filter(|row| vague || self.fits(row));
        Some((self.found(rows), vague))
    }

    fn fits(&self, row: &[Value]) -> bool {
        let mut fits = row.iter().take(self.sql.identifiers.len()).map(fit);
        !fits.any(|fit| fit == Fit::Other)
    }

    fn found<'r>(&self, rows: impl Iterator<Item = &'r Vec<Value>>) -> FoundRole {
        let identifiers = self.sql.identifiers.len();
        let columns = self.sql.read.iter();
        FoundRole {
            role: self.role.clone(),
            columns: columns.map(|column| column.name.clone()).collect(),
            rows: rows
                .map(|row| row.get(identifiers..).unwrap_or_default().to_vec())
                .collect(),
        }
    }

    /// What the person's rows are known by elsewhere.
    pub fn leads(&self, found: &FoundRole) -> Vec<(String, Personal)> {
        let of_row = |row: &Vec<Value>| -> Vec<(String, Personal)> {
            let leads = self.leads.iter().filter_map(|(name, at)| {
                let text = match row.get(*at)? {
                    Value::Int(n) => n.to_string(),
                    Value::Text(text) if !text.trim().is_empty() => text.clone(),
                    Value::Text(_) | Value::Bytes(_) | Value::Null => return None,
                };
                Some((name.clone(), Personal::new(text)))
            });
            leads.collect()
        };
        found.rows.iter().flat_map(of_row).collect()
    }
}

fn fit(value: &Value) -> Fit {
    match value {
        Value::Int(0) => Fit::Blank,
        Value::Int(1) => Fit::Equal,
        Value::Int(_) | Value::Text(_) | Value::Bytes(_) | Value::Null => Fit::Other,
    }
}

/// The columns of a role's row that somebody needs: its key, what entries hang on, and what leads on.
fn wanted<'a>(map: &'a DataMap, role: &'a Role, table: &'a Table) -> Vec<&'a Ident> {
    let of_role = |way: &'a Way| match way {
        Way::OfRole(from, pairs) if *from == role.name => pairs.as_slice(),
        Way::OfRole(..) | Way::Role(_) | Way::OfEntry(..) | Way::Own(_) => &[],
    };
    let reached = |entry: &'a MappedTable| entry.reached.iter().flat_map(|r| &r.ways);
    let hanging = map.tables.iter().flat_map(reached).flat_map(of_role);
    let leads = role.leads_to.iter().map(|(_, column)| column);
    let mut all: Vec<&Ident> = Vec::new();
    for name in table
        .primary_key
        .iter()
        .chain(hanging.map(|(_, equals)| equals))
        .chain(leads)
    {
        if !all.contains(&name) {
            all.push(name);
        }
    }
    all
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::catalog::Engine;

    fn search(identifiers: usize, in_rows_of_others: bool) -> Search {
        let column = Column {
            name: "email".parse().unwrap(),
            kind: crate::catalog::ColumnKind::Text,
            type_name: "text".to_owned(),
            cast: "text".to_owned(),
            nullable: true,
            max_length: None,
            bounds: crate::catalog::Bounds::None,
            generated: false,
            identity_always: false,
            on_update_now: false,
            charset: None,
            collation: None,
            nondeterministic: false,
            folded: false,
        };
        let one = IdentifierSql {
            column: column.clone(),
            normalise: None,
            values: vec![Value::Text("a".to_owned())],
        };
        Search {
            role: "learner".to_owned(),
            in_rows_of_others,
            leads: vec![("learnerNumber".to_owned(), 0)],
            sql: FindSql {
                engine: Engine::Postgres,
                table: "public.learners".parse().unwrap(),
                with_leaves: false,
                identifiers: vec![one; identifiers],
                read: vec![column],
            },
        }
    }

    fn row(fits: &[i64], id: &str) -> Vec<Value> {
        let fits = fits.iter().map(|fit| Value::Int(*fit));
        fits.chain([Value::Text(id.to_owned())]).collect()
    }

    #[test]
    fn one_row_that_fits_all_that_is_known_is_the_persons() {
        let ids = |rows: &[Vec<Value>], others| -> Result<Vec<String>, Doubt> {
            let found = search(2, others).settle(rows)?;
            let ids = found.rows.iter().filter_map(|row| row[0].as_text());
            Ok(ids.map(str::to_owned).collect())
        };
        let all = |names: &[&str]| Ok(names.iter().map(|n| (*n).to_owned()).collect());
        for (what, rows, expected) in [
            ("nobody", vec![], all(&[])),
            ("fits both", vec![row(&[1, 1], "a")], all(&["a"])),
            (
                "fits one, the other is blank",
                vec![row(&[1, 0], "a")],
                all(&["a"]),
            ),
            (
                "a household with one address, told apart by the number",
                vec![row(&[1, 1], "a"), row(&[1, 2], "b")],
                all(&["a"]),
            ),
            (
                "a household with one address and nothing else",
                vec![row(&[1, 0], "a"), row(&[1, 0], "b")],
                Err(Doubt::Several(2)),
            ),
            (
                "an address of one, a number of another",
                vec![row(&[1, 2], "a"), row(&[2, 1], "b")],
                Err(Doubt::Contradiction),
            ),
            (
                "another number than was given",
                vec![row(&[1, 2], "a")],
                Err(Doubt::Contradiction),
            ),
        ] {
            assert_eq!(ids(&rows, false), expected, "{what}");
        }
        let perhaps = |rows: &[Vec<Value>]| {
            let (found, vague) = search(2, false).perhaps(rows).unwrap();
            (found.rows.len(), vague)
        };
        assert_eq!(perhaps(&[row(&[1, 0], "a"), row(&[1, 0], "b")]), (2, false));
        assert_eq!(perhaps(&[row(&[1, 1], "a"), row(&[1, 2], "b")]), (1, false));
        assert_eq!(perhaps(&[row(&[1, 2], "a"), row(&[2, 1], "b")]), (2, true));
        assert_eq!(perhaps(&[]), (0, false));
        let several = vec![row(&[1, 0], "a"), row(&[1, 0], "b"), row(&[1, 2], "c")];
        assert_eq!(ids(&several, true), all(&["a", "b"]));
        let many: Vec<_> = (0..=1_000).map(|i| row(&[1, 1], &i.to_string())).collect();
        assert_eq!(ids(&many, true), Err(Doubt::Several(1_001)));
    }

    #[test]
    fn what_leads_on_is_never_shown() {
        let search = search(1, false);
        let found = search.settle(&[row(&[1], "L-77")]).unwrap();
        let leads = search.leads(&found);
        assert_eq!(leads.len(), 1);
        assert_eq!(leads[0].1.expose(), "L-77");
        let shown = format!("{leads:?} {found:?} {search:?}");
        assert!(!shown.contains("L-77"), "{shown}");
        let mut known = Known::default();
        assert!(known.add("email", Personal::new("a@x")));
        assert!(!known.add("email", Personal::new("a@x")));
        assert!(!format!("{known:?}").contains("a@x"));
    }
}
