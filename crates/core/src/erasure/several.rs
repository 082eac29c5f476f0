//! Several persons looked for in one role at once: one look over the table instead of one for each. What
//! is read is shared out in memory, by the same comparison.

use super::find::{MOST_CANDIDATES, Search};
use crate::sql::{Bound, FindSql, IdentifierSql};
use crate::value::Value;

/// Rows that one look may bring back for each person, on the average: more, and each is looked for alone.
const EACH: u32 = 20;

/// The searches of several persons in one role.
#[derive(Clone, Debug)]
pub struct Several<'a> {
    /// One for each person; `None`: nothing is known by which they could be found.
    searches: &'a [Option<Search>],
    sql: FindSql,
}

impl<'a> Several<'a> {
    /// Puts searches in one role together; `None`: nobody could be found in it.
    pub fn of(searches: &'a [Option<Search>]) -> Option<Self> {
        let first = &searches.iter().flatten().next()?.sql;
        let mut identifiers: Vec<IdentifierSql> = Vec::new();
        for one in searches.iter().flatten().flat_map(|s| &s.sql.identifiers) {
            match identifiers.iter_mut().find(|known| is_alike(known, one)) {
                None => identifiers.push(one.clone()),
                Some(known) => {
                    let new = one.values.iter().filter(|v| !known.values.contains(v));
                    let new: Vec<Value> = new.cloned().collect();
                    known.values.extend(new);
                }
            }
        }
        let sql = FindSql {
            identifiers,
            ..first.clone()
        };
        Some(Self { searches, sql })
    }

    /// Looks for rows with any of the identifiers.
    pub fn look(&self) -> Bound {
        self.sql.look_for_several(self.most() + 1)
    }

    fn most(&self) -> u32 {
        let persons = u32::try_from(self.searches.len()).unwrap_or(u32::MAX);
        MOST_CANDIDATES.saturating_add(persons.saturating_mul(EACH))
    }

    /// The rows of each person as their own search would have brought them back; `None`: there are too
    /// many, or one is nobody's by what was read of it, and each has to be looked for alone.
    pub fn share(&self, rows: &[Vec<Value>]) -> Option<Vec<Vec<Vec<Value>>>> {
        if rows.len() > usize::try_from(self.most()).unwrap_or(usize::MAX) {
            return None;
        }
        let mut shared = vec![Vec::new(); self.searches.len()];
        for row in rows {
            let mut somebodys = false;
            for (search, theirs) in self.searches.iter().zip(&mut shared) {
                let fits = search.as_ref().and_then(|search| self.fits(search, row));
                if let Some(fits) = fits {
                    somebodys = true;
                    theirs.push(fits);
                }
            }
            if !somebodys {
                return None;
            }
        }
        Some(shared)
    }

    /// The row as a person's own search reads it; `None`: it has none of their identifiers.
    fn fits(&self, search: &Search, row: &[Value]) -> Option<Vec<Value>> {
        let mut told = Vec::with_capacity(row.len());
        let mut any = false;
        for one in &search.sql.identifiers {
            let at = self.sql.identifiers.iter().position(|u| is_alike(u, one))?;
            let (blank, read) = (row.get(2 * at)?, row.get(2 * at + 1)?);
            // As `FindSql::look` tells it: 1 has it, 0 has none, 2 has another.
            let fit = if one.has(read) {
                any = true;
                1
            } else {
                2 * i64::from(blank.as_int()? == 0)
            };
            told.push(Value::Int(fit));
        }
        told.extend_from_slice(row.get(2 * self.sql.identifiers.len()..)?);
        any.then_some(told)
    }
}

fn is_alike(one: &IdentifierSql, other: &IdentifierSql) -> bool {
    one.column.name == other.column.name && one.normalise == other.normalise
}
