//! Rows of other tables that a rule looks at, typed against the catalog. What would hide some of them
//! is refused: a row that is kept by one would go.

use super::Refusal;
use super::clock::Typing;
use crate::api::reason::Reason;
use crate::catalog::{Column, ColumnKind, Table, TableKind};
use crate::name::Ident;
use crate::policy::{Hop, Lookup, Match, Normalise};
use crate::sql::{HopSql, LookupSql, PairSql};

/// A table with more rows than this needs an index on a column by which its rows are found, for the
/// reason that `graph` has.
const SMALL_TABLE: u64 = 10_000;

impl Typing<'_> {
    pub(super) fn lookup(&self, table: &Table, lookup: &Lookup) -> Result<LookupSql, Vec<Refusal>> {
        self.lookup_rows(table, lookup).map(|(typed, _)| typed)
    }

    /// The rows, and their table.
    pub(super) fn lookup_rows(
        &self,
        table: &Table,
        lookup: &Lookup,
    ) -> Result<(LookupSql, &Table), Vec<Refusal>> {
        let (via, from) = match &lookup.via {
            None => (None, table),
            Some(via) => {
                let (hop, between) = self.hop(table, &via.hop)?;
                (Some(hop), between)
            }
        };
        let (hop, end) = self.hop(from, &lookup.hop)?;
        let mut refusals = Vec::new();
        let mut tests = Vec::new();
        for condition in &lookup.conditions {
            match self.condition(end, condition) {
                Ok(typed) => tests.push(typed),
                Err(refusal) => refusals.push(refusal),
            }
        }
        if !refusals.is_empty() {
            return Err(refusals);
        }
        let typed = LookupSql {
            from: table.name.clone(),
            via,
            open_ended: lookup.via.as_ref().is_some_and(|via| via.open_ended),
            hop,
            tests,
        };
        Ok((typed, end))
    }

    pub(super) fn hop(&self, from: &Table, hop: &Hop) -> Result<(HopSql, &Table), Vec<Refusal>> {
        let catalog = self.view.catalog;
        let Some(table) = catalog.table(&hop.table) else {
            return Err(vec![self.refusal(
                Reason::TableMissing,
                format!(
                    "table {} does not exist in database {}, or user {} may not see it",
                    hop.table, catalog.database, catalog.user
                ),
            )]);
        };
        let mut refusals: Vec<Refusal> = self.hides(table).into_iter().collect();
        let mut pairs = Vec::new();
        for wanted in &hop.matches {
            match self.pair(from, table, wanted) {
                Ok(pair) => pairs.push(pair),
                Err(refusal) => refusals.push(refusal),
            }
        }
        let index = leading_index(table, &pairs);
        if refusals.is_empty() && index.is_none() {
            refusals.extend(self.unindexed(table, &pairs));
        }
        if !refusals.is_empty() {
            return Err(refusals);
        }
        let hop = HopSql {
            table: table.name.clone(),
            pairs,
            index,
        };
        Ok((hop, table))
    }

    fn refusal(&self, reason: Reason, message: String) -> Refusal {
        Refusal::of(&self.rule.name, reason, message)
    }

    /// What would keep rows of the table from being seen.
    fn hides(&self, table: &Table) -> Option<Refusal> {
        if table.row_security {
            let user = &self.view.catalog.user;
            let message = format!(
                "{}: row-level security would hide rows from {user} that keep others",
                table.name
            );
            let refusal = self.refusal(Reason::RowSecurity, message);
            return Some(refusal.remedy(format!("ALTER ROLE {user} BYPASSRLS;")));
        }
        match &table.kind {
            TableKind::View | TableKind::MaterialisedView | TableKind::Foreign => {
                Some(self.refusal(
                    Reason::TableUnfit,
                    format!(
                        "{}: a view or foreign table may show other rows than there are: name the \
                         table below it",
                        table.name
                    ),
                ))
            }
            TableKind::Other { what } => {
                Some(self.refusal(Reason::TableUnfit, format!("{}: it is {what}", table.name)))
            }
            _ => None,
        }
    }

    fn pair(&self, from: &Table, to: &Table, wanted: &Match) -> Result<PairSql, Refusal> {
        let column = self.column(to, &wanted.column)?;
        let equals = self.column(from, &wanted.equals)?;
        let refuse = |what: &str| {
            self.refusal(
                Reason::ColumnUnfit,
                format!(
                    "{}.{} ({}) and {}.{} ({}) {what}",
                    to.name,
                    column.name,
                    column.type_name,
                    from.name,
                    equals.name,
                    equals.type_name
                ),
            )
        };
        match wanted.normalise {
            Some(how) if can_be(column, how) && can_be(equals, how) => {}
            Some(_) => {
                return Err(refuse(
                    "cannot be normalised: LowercaseTrim is for text, DigitsOnly for text and whole \
                     numbers",
                ));
            }
            None => {
                let group = |column: &Column| group(column.kind);
                if group(column).is_none() || group(column) != group(equals) {
                    return Err(refuse(
                        "are not compared: two columns match that are whole or decimal numbers, \
                         text, uuids or bytes, or, with normalise: DigitsOnly, a number and a text",
                    ));
                }
                let plain = |column: &Column| !column.nondeterministic && !column.folded;
                let alike =
                    column.collation == equals.collation && column.charset == equals.charset;
                if column.kind == ColumnKind::Text && !(alike && plain(column) && plain(equals)) {
                    return Err(refuse(
                        "have collations that do not say the same of two texts: add normalise: \
                         LowercaseTrim",
                    ));
                }
            }
        }
        Ok(PairSql {
            column: column.clone(),
            equals: equals.clone(),
            normalise: wanted.normalise,
        })
    }

    fn unindexed(&self, table: &Table, pairs: &[PairSql]) -> Option<Refusal> {
        if self.rule.allow_unindexed || table.estimated_rows <= SMALL_TABLE {
            return None;
        }
        let first = &pairs.first()?.column.name;
        let remedy = if pairs.iter().all(|pair| pair.normalise.is_some()) {
            "walk: {allowUnindexed: true}   # if reading it once for every window is acceptable"
                .to_owned()
        } else {
            format!("CREATE INDEX ON {} ({first});", table.name)
        };
        let message = format!(
            "{}: no index leads to its rows by {first}: every row would look through {} rows",
            table.name, table.estimated_rows
        );
        Some(
            self.refusal(Reason::ReferenceUnindexed, message)
                .remedy(remedy),
        )
    }
}

/// An index that begins with a column by which rows are found as they are.
fn leading_index(table: &Table, pairs: &[PairSql]) -> Option<Ident> {
    let plain = |name: Option<&Ident>| {
        let mut pairs = pairs.iter().filter(|pair| pair.normalise.is_none());
        name.is_some_and(|name| pairs.any(|pair| pair.column.name == *name))
    };
    if plain(table.primary_key.first()) {
        return Ident::new("PRIMARY").ok();
    }
    let mut indexes = table.indexes.iter();
    let index = indexes.find(|i| !i.partial_or_invalid && plain(i.columns.first()))?;
    index.name.parse().ok()
}

/// Whether a column's values can be made comparable so.
pub(super) fn can_be(column: &Column, how: Normalise) -> bool {
    match how {
        Normalise::LowercaseTrim => column.kind == ColumnKind::Text,
        Normalise::DigitsOnly => matches!(
            column.kind,
            ColumnKind::Text | ColumnKind::Int | ColumnKind::UnsignedBigInt
        ),
    }
}

/// Kinds of one group are compared by the engine's own operators, which nobody else can have made.
fn group(kind: ColumnKind) -> Option<u8> {
    match kind {
        ColumnKind::Int | ColumnKind::UnsignedBigInt | ColumnKind::Decimal => Some(0),
        ColumnKind::Text => Some(1),
        ColumnKind::Uuid => Some(2),
        ColumnKind::Bytes => Some(3),
        _ => None,
    }
}
